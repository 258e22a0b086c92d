#pragma once

// Layers of a batch of networks, element by element: what stands between the products of stacked matrices (blas.hpp).

#include "context.hpp"
#include "kernel_row.hpp"
#include "stack.hpp"

#include <ntkcuda/random.hpp>

namespace ntk::cuda {

/// x(b, i, j) = T(scale * normal(i * cols + j)) of the stream in network stream.network + b.
template <class T>
void draw(Context& context, NormalStream stream, double scale, Stack<T> x);

/// z(b, i, j) += bias(b, 0, j).
template <class T>
void add_bias(Context& context, std::type_identity_t<Stack<const T>> bias, Stack<T> z);

/// a = phi(z), and z becomes phi'(z).
template <class T>
void activate(Context& context, const Activation& activation, Stack<T> z, Stack<T> a);

/// delta(b, (i, o), j) = w(b, o, j) slope(b, i, j).
template <class T>
void output_delta(Context& context, std::type_identity_t<Stack<const T>> w, std::type_identity_t<Stack<const T>> slope, Stack<T> delta);

/// delta(b, (i, o), j) *= slope(b, i, j).
template <class T>
void multiply_by_slope(Context& context, std::type_identity_t<Stack<const T>> slope, Stack<T> delta);

/// out(b, i, 0) = |x(b, i)|^2.
template <class T>
void squared_norms(Context& context, std::type_identity_t<Stack<const T>> x, Stack<T> out);

/// Where the terms of one layer go: rows of `out` from column `theta` on are the sum over layers, from column `term` on (if not
/// negative) the term itself.
template <class Real>
struct TermTarget {
    MatrixView<Real> out;
    Index entries, term;
    bool first;  ///< of the sum, which is set then
};

/// samples: n x n products of activations; deltas: products of delta in the form of the block (nO x nO, n x n, or nO x 1 norms), or
/// without data at the output layer.
template <class T, class Real>
void add_tangent_term(Context& context, Block block, Index outputs, LayerTerm term, std::type_identity_t<Stack<const T>> samples,
                      Stack<T> deltas, const TermTarget<Real>& target);

/// out(b, e) = scale samples(b, entry e of the lower triangle) + shift.
template <class T, class Real>
void store_nngp(Context& context, LayerTerm term, Stack<T> samples, MatrixView<Real> out);

}  // namespace ntk::cuda

#pragma once

// Arithmetic on `lanes` networks at once: a number of the networks is `lanes` consecutive values, so each operation is one vector
// instruction and no lane touches another. Vectors of the compiler (GCC and Clang), since loops over lanes do not stay in registers.
// Multiplications and additions are separate: the same bits from every instruction set.

#include "instruction_sets.hpp"

#include <ntkcuda/activation.hpp>
#include <ntkcuda/formulas/activation.hpp>
#include <ntkcuda/matrix.hpp>

#include <algorithm>
#include <cmath>

namespace ntk {

template <class Real, int lanes>
struct LaneVector {
    typedef Real Type __attribute__((vector_size(lanes * sizeof(Real)), may_alias));
};
/// One lane: a plain number.
template <class Real>
struct LaneVector<Real, 1> {
    typedef Real Type __attribute__((may_alias));
};
template <class Real, int lanes>
using Lanes = typename LaneVector<Real, lanes>::Type;

/// Number e of an array of numbers of `lanes` networks.
template <int lanes, class Real>
NTK_INLINE Lanes<Real, lanes>& lanes_at(Real* array, Index e) {
    return *reinterpret_cast<Lanes<Real, lanes>*>(array + e * lanes);
}
template <int lanes, class Real>
NTK_INLINE const Lanes<Real, lanes>& lanes_at(const Real* array, Index e) {
    return *reinterpret_cast<const Lanes<Real, lanes>*>(array + e * lanes);
}

/// to = number e of an array of another type.
template <int lanes, class Value, class Vector>
NTK_INLINE void read_lanes(const Value* array, Index e, Vector& to) {
    if constexpr (lanes == 1)
        to = array[e];
    else
        to = __builtin_convertvector(lanes_at<lanes>(array, e), Vector);
}

/// Entry (row, term) of a factor of a product, at data + row * row_stride + term * term_stride: a number of `lanes` networks, or with
/// Broadcast one number that is the same in all lanes.
template <class Value>
struct LaneOperand {
    const Value* data;
    Index row_stride, term_stride;

    template <int lanes, class Vector>
    NTK_INLINE void get(Index row, Index term, Vector& to) const {
        read_lanes<lanes>(data, row * row_stride + term * term_stride, to);
    }
};
template <class Value>
struct Broadcast {
    const Value* data;
    Index row_stride, term_stride;

    template <int lanes, class Vector>
    NTK_INLINE void get(Index row, Index term, Vector& to) const {
        to = Vector{} + data[row * row_stride + term * term_stride];
    }
};

/// How lane_product leaves its result: stored or added to what is there; all of it or at least the lower triangle.
enum class LaneProduct { store, add, store_lower, add_lower };
constexpr bool adds(LaneProduct kind) { return kind == LaneProduct::add || kind == LaneProduct::add_lower; }
constexpr bool is_lower(LaneProduct kind) { return kind == LaneProduct::store_lower || kind == LaneProduct::add_lower; }

/// out(r, c) = [out(r, c) +] sum_t x(r, t) y(c, t) for rows [r, r + R) and columns [c, c + C), the sums in the registers.
template <int lanes, int R, int C, LaneProduct kind, class Real, class X, class Y>
NTK_INLINE void product_tile(const X& x, Index r, const Y& y, Index c, Index terms, Real* out, Index out_stride) {
    using Vector = Lanes<Real, lanes>;
    Vector sum[R][C] = {};
    for (Index t = 0; t < terms; ++t) {
        Vector right[C];
        for (int j = 0; j < C; ++j) y.template get<lanes>(c + j, t, right[j]);
        for (int i = 0; i < R; ++i) {
            Vector left;
            x.template get<lanes>(r + i, t, left);
            for (int j = 0; j < C; ++j) sum[i][j] += left * right[j];
        }
    }
    for (int i = 0; i < R; ++i)
        for (int j = 0; j < C; ++j) {
            Vector& to = lanes_at<lanes>(out, (r + i) * out_stride + c + j);
            to = adds(kind) ? to + sum[i][j] : sum[i][j];
        }
}

template <int lanes, int R, LaneProduct kind, class Real, class X, class Y>
NTK_INLINE void product_rows(const X& x, Index r, const Y& y, Index cols, Index terms, Real* out, Index out_stride) {
    // As many sums as there are registers: 32 with AVX-512, else 16.
    constexpr int side = lanes * sizeof(Real) == 64 ? 4 : 2;
    if constexpr (is_lower(kind)) cols = std::min(cols, r + R);
    Index c = 0;
    if constexpr (side == 4)
        for (; c + 4 <= cols; c += 4) product_tile<lanes, R, 4, kind>(x, r, y, c, terms, out, out_stride);
    for (; c + 2 <= cols; c += 2) product_tile<lanes, R, 2, kind>(x, r, y, c, terms, out, out_stride);
    for (; c < cols; ++c) product_tile<lanes, R, 1, kind>(x, r, y, c, terms, out, out_stride);
}

/// out (rows x cols, row stride `out_stride`) = x y^T, both with `terms` terms.
template <int lanes, LaneProduct kind, class Real, class X, class Y>
NTK_INLINE void lane_product(Index rows, const X& x, Index cols, const Y& y, Index terms, Real* out, Index out_stride) {
    Index r = 0;
    for (; r + 4 <= rows; r += 4) product_rows<lanes, 4, kind>(x, r, y, cols, terms, out, out_stride);
    for (; r + 2 <= rows; r += 2) product_rows<lanes, 2, kind>(x, r, y, cols, terms, out, out_stride);
    for (; r < rows; ++r) product_rows<lanes, 1, kind>(x, r, y, cols, terms, out, out_stride);
}

/// The same for a lower triangular x (rows x rows): terms past the diagonal are left out.
template <int lanes, LaneProduct kind, class Real, class X, class Y>
NTK_INLINE void lower_product(Index rows, const X& x, Index cols, const Y& y, Real* out, Index out_stride) {
    Index r = 0;
    for (; r + 4 <= rows; r += 4) product_rows<lanes, 4, kind>(x, r, y, cols, r + 4, out, out_stride);
    for (; r + 2 <= rows; r += 2) product_rows<lanes, 2, kind>(x, r, y, cols, r + 2, out, out_stride);
    for (; r < rows; ++r) product_rows<lanes, 1, kind>(x, r, y, cols, r + 1, out, out_stride);
}

/// z becomes phi(z), slope phi'(z), `count` numbers.
template <int lanes, class Real>
NTK_INLINE void lane_activate(const Activation& activation, Index count, Real* z, Real* slope) {
    using Vector = Lanes<Real, lanes>;
    const Vector zero = {}, one = zero + 1;
    switch (activation.kind) {
        case Activation::Kind::leaky_relu: {
            const Vector below = zero + static_cast<Real>(activation.slope);
            for (Index e = 0; e < count; ++e) {
                Vector& at = lanes_at<lanes>(z, e);
                const Vector factor = at > zero ? one : below;
                lanes_at<lanes>(slope, e) = factor;
                at *= factor;
            }
            break;
        }
        case Activation::Kind::abs:
            for (Index e = 0; e < count; ++e) {
                Vector& at = lanes_at<lanes>(z, e);
                const Vector factor = at > zero ? one : at < zero ? -one : zero;
                lanes_at<lanes>(slope, e) = factor;
                at *= factor;
            }
            break;
        case Activation::Kind::erf:
            for (Index e = 0; e < count * lanes; ++e) {
                const double at = z[e];
                slope[e] = static_cast<Real>(formulas::activation_slope(activation.kind, 0, at));
                z[e] = static_cast<Real>(formulas::activation(activation.kind, 0, at));
            }
            break;
    }
}

}  // namespace ntk

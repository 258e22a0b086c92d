#pragma once

// Pairs of rows of inputs by tiles: rows are divided by powers of two, cuBLAS makes the products of a tile, and what is a function of
// two inputs goes on from there.

#include "blas.hpp"
#include "device_matrix.hpp"

#include <ntkcuda/formulas/dual.hpp>
#include <ntkcuda/formulas/input_pair.hpp>

#include <algorithm>
#include <cmath>

namespace ntk::cuda {

/// One row, divided by 2^exponent so that no square over- or underflows.
struct RowFacts {
    double norm;          ///< of the scaled row; 1 for a zero row
    double squared_norm;  ///< of the scaled row
    double mean_square;   ///< |x|^2 / d, not scaled
    int exponent;
};

/// One side of a tile.
struct ScaledRows {
    Index count, inputs;
    const RowFacts* facts;
    double* values;  ///< count x inputs, scaled
};

/// value / 2^exponent in two steps, since 2^-exponent alone can overflow.
inline __device__ double scaled(double value, int exponent) { return ldexp(ldexp(value, -(exponent / 2)), -(exponent - exponent / 2)); }

inline __device__ double warp_largest(double value) {
    for (int distance = warp_threads / 2; distance > 0; distance /= 2) {
        const double other = __shfl_xor_sync(~0U, value, distance);
        value = other > value ? other : value;
    }
    return value;
}

/// A warp a row.
template <class Real>
__global__ void measure_rows_kernel(DeviceMatrix<const Real> x, RowFacts* facts) {
    for_each_warp_item(x.rows, [&](Index i, int lane) {
        double largest = 0, square = 0;
        for (Index j = lane; j < x.cols; j += warp_threads) {
            const double size = fabs(static_cast<double>(x(i, j)));
            largest = size > largest ? size : largest;
        }
        largest = warp_largest(largest);
        const int exponent = largest > 0 && isfinite(largest) ? ilogb(largest) : 0;
        for (Index j = lane; j < x.cols; j += warp_threads) {
            const double value = scaled(static_cast<double>(x(i, j)), exponent);
            square += value * value;
        }
        square = warp_sum(square);
        if (lane == 0)
            facts[i] = {square == 0 ? 1 : sqrt(square), square, ldexp(square / static_cast<double>(x.cols), 2 * exponent), exponent};
    });
}

template <class Real>
__global__ void scale_rows_kernel(DeviceMatrix<const Real> x, const RowFacts* facts, DeviceMatrix<double> out) {
    for_each_entry(out.rows, out.cols, [&](Index i, Index j) { out(i, j) = scaled(static_cast<double>(x(i, j)), facts[i].exponent); });
}

/// The angle between rows i and j, from the product of the scaled rows, and the relative difference of their squared norms.
inline __device__ formulas::InputPair input_of(const ScaledRows& rows, const ScaledRows& cols, Index i, Index j, double product) {
    const RowFacts &x = rows.facts[i], &y = cols.facts[j];
    const double cosine = product / (x.norm * y.norm);
    if (fabs(cosine) > formulas::near_line)
        return formulas::near_line_pair(rows.values + i * rows.inputs, cols.values + j * cols.inputs, rows.inputs, product, x.squared_norm,
                                        y.squared_norm, y.exponent - x.exponent);
    return formulas::input_pair(cosine, formulas::ratio_or_zero(x.mean_square - y.mean_square, x.mean_square + y.mean_square));
}

template <class Real>
__global__ void store_entries_kernel(DeviceMatrix<const double> entries, DeviceMatrix<Real> out, bool lower) {
    for_each_entry(out.rows, out.cols, [&](Index i, Index j) {
        if (!lower || j <= i) out(i, j) = static_cast<Real>(entries(i, j));
    });
}

/// The facts of all rows of a matrix.
template <class Real>
class MeasuredRows {
public:
    MeasuredRows(Context& context, ConstMatrixView<Real> x) : x_(x), facts_(context, x.rows() * sizeof(RowFacts)) {
        context.launch("measure_rows", warps_shape(x.rows()), measure_rows_kernel<Real>, x, facts());
    }
    RowFacts* facts() const { return facts_.as<RowFacts>(); }
    ConstMatrixView<Real> view() const { return x_; }

private:
    ConstMatrixView<Real> x_;
    Buffer facts_;
};

/// Rows [first, first + count), scaled, in `values`.
template <class Real>
ScaledRows pack_rows(Context& context, const MeasuredRows<Real>& rows, Index first, Index count, double* values) {
    const ScaledRows packed{count, rows.view().cols(), rows.facts() + first, values};
    context.launch("scale_rows", entries_shape(count, packed.inputs), scale_rows_kernel<Real>, rows.view().row_range(first, count),
                   packed.facts, MatrixView<double>(values, count, packed.inputs));
    return packed;
}

/// Visits the pairs of rows of x1 and x2 by tiles of up to side x side pairs: run(i, j, left, right, lower, products) takes the products
/// of the scaled rows (left.count x right.count) from row i and column j on, its own to write on; `lower`: both sides are the same samples
/// and only j <= i is used.
template <class Real, class Run>
void for_each_product_tile(Context& context, Index side, const MeasuredRows<Real>& x1, const MeasuredRows<Real>& x2, bool lower,
                           const Run& run) {
    const Index n1 = x1.view().rows(), n2 = x2.view().rows(), inputs = x1.view().cols(), rows = std::min(side, n1),
                cols = std::min(side, n2);
    const Buffer row_values(context, rows * inputs * sizeof(double)), col_values(context, cols * inputs * sizeof(double)),
        products(context, rows * cols * sizeof(double));
    for (Index i = 0; i < n1; i += side)
        for (Index j = 0; j < (lower ? i + 1 : n2); j += side) {
            const ScaledRows left = pack_rows(context, x1, i, std::min(rows, n1 - i), row_values.as<double>());
            const ScaledRows right = pack_rows(context, x2, j, std::min(cols, n2 - j), col_values.as<double>());
            gemm(context, Transpose::no, Transpose::yes, 1.0, ConstMatrixView<double>(left.values, left.count, inputs),
                 ConstMatrixView<double>(right.values, right.count, inputs), 0.0,
                 MatrixView<double>(products.as<double>(), left.count, right.count));
            run(i, j, left, right, lower && i == j, products.as<double>());
        }
}

/// out = a function of the pairs of rows of x1 and x2, in float64: run(left, right, lower, entries) turns products, as above, into the
/// values.
template <class Real, class Run>
void for_each_pair_tile(Context& context, Index side, const MeasuredRows<Real>& x1, const MeasuredRows<Real>& x2, bool lower,
                        MatrixView<Real> out, const Run& run) {
    for_each_product_tile(context, side, x1, x2, lower,
                          [&](Index i, Index j, const ScaledRows& left, const ScaledRows& right, bool on_diagonal, double* entries) {
                              run(left, right, on_diagonal, entries);
                              context.launch("store_entries", entries_shape(left.count, right.count), store_entries_kernel<Real>,
                                             ConstMatrixView<double>(entries, left.count, right.count),
                                             MatrixView<Real>(out.data() + i * out.stride() + j, left.count, right.count, out.stride()),
                                             on_diagonal);
                          });
}

}  // namespace ntk::cuda

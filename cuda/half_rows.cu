// Rows rounded to FP16: a warp a row.

#include "half_rows.hpp"

#include "device_matrix.hpp"

#include <ntkcuda/formulas/half_rounding.hpp>

#include <cmath>

namespace ntk::cuda {
namespace {

/// The largest |entry| of row i in every lane, a NaN before all others.
template <class Real>
__device__ double largest_entry(const DeviceMatrix<const Real>& x, Index i, int lane) {
    unsigned long long largest = 0;  // |x| as bits are in its order, with NaN on top
    for (Index j = lane; j < x.cols; j += warp_threads) {
        const unsigned long long size = formulas::bits_of(static_cast<double>(x(i, j))) & 0x7fffffffffffffffULL;
        largest = size > largest ? size : largest;
    }
    for (int distance = warp_threads / 2; distance > 0; distance /= 2) {
        const unsigned long long other = __shfl_xor_sync(~0U, largest, distance);
        largest = other > largest ? other : largest;
    }
    return formulas::double_of(largest);
}

template <class Real>
__device__ __half rounded_entry(const DeviceMatrix<const Real>& x, Index i, Index j, int exponent) {
    return __float2half_rn(static_cast<float>(formulas::half_entry(static_cast<double>(x(i, j)), exponent)));
}

/// out has columns to the end of its rows; those past x are zero.
template <class Real>
__global__ void round_rows_kernel(DeviceMatrix<const Real> x, DeviceMatrix<__half> out, double* scales) {
    for_each_warp_item(x.rows, [&](Index i, int lane) {
        const int exponent = formulas::half_row_exponent(largest_entry(x, i, lane));
        for (Index j = lane; j < out.cols; j += warp_threads) out(i, j) = j < x.cols ? rounded_entry(x, i, j, exponent) : __half{};
        if (lane == 0) scales[i] = ldexp(1.0, exponent);
    });
}

/// A row of `panels` is a panel.
template <class Real>
__global__ void round_to_panels_kernel(DeviceMatrix<const Real> x, DeviceMatrix<__half> panels, int* exponents) {
    for_each_warp_item(panels.cols / panel_cols, [&](Index i, int lane) {
        const bool padding = i >= x.rows;
        const double largest = padding ? 0 : largest_entry(x, i, lane);
        const int exponent = formulas::half_row_exponent(largest);
        for (Index j = lane; j < panels.rows * panel_cols; j += warp_threads)
            panels(j / panel_cols, panel_offset(i, j % panel_cols)) = !padding && j < x.cols ? rounded_entry(x, i, j, exponent) : __half{};
        if (lane == 0 && !padding) exponents[i] = largest == 0 ? zero_row_exponent : exponent;
    });
}

}  // namespace

template <class Real>
HalfView HalfRows::round(ConstMatrixView<Real> x) {
    if (x.empty()) return {};
    const Index stride = ceil_divide(x.cols(), 8) * 8;
    values_.reserve(x.rows() * stride * sizeof(__half));
    scales_.reserve(x.rows() * sizeof(double));
    const MatrixView<__half> whole(values_.as<__half>(), x.rows(), stride);
    context_.launch("round_rows", warps_shape(x.rows()), round_rows_kernel<Real>, x, whole, scales_.as<double>());
    return {ConstMatrixView<__half>(whole.data(), x.rows(), x.cols(), stride), scales_.as<double>()};
}

template <class Real>
void round_to_panels(Context& context, ConstMatrixView<Real> x, __half* panels, int* exponents) {
    const Index rows = padded_rows(x.rows());
    const MatrixView<__half> whole(panels, panel_count(x.cols()), rows * panel_cols);
    context.launch("round_to_panels", warps_shape(rows), round_to_panels_kernel<Real>, x, whole, exponents);
}

template HalfView HalfRows::round(ConstMatrixView<float>);
template HalfView HalfRows::round(ConstMatrixView<double>);
template void round_to_panels(Context&, ConstMatrixView<float>, __half*, int*);
template void round_to_panels(Context&, ConstMatrixView<double>, __half*, int*);

}  // namespace ntk::cuda

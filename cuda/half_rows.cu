// Rows rounded to FP16: a warp a row.

#include "half_rows.hpp"

#include "device_matrix.hpp"

#include <ntkcuda/formulas/half_rounding.hpp>

#include <cmath>

namespace ntk::cuda {
namespace {

/// out has columns to the end of its rows; those past x are zero.
template <class Real>
__global__ void round_rows_kernel(DeviceMatrix<const Real> x, DeviceMatrix<__half> out, double* scales) {
    for_each_warp_item(x.rows, [&](Index i, int lane) {
        unsigned long long largest = 0;  // |x| as bits are in its order, with NaN on top
        for (Index j = lane; j < x.cols; j += warp_threads) {
            const unsigned long long size = formulas::bits_of(static_cast<double>(x(i, j))) & 0x7fffffffffffffffULL;
            largest = size > largest ? size : largest;
        }
        for (int distance = warp_threads / 2; distance > 0; distance /= 2) {
            const unsigned long long other = __shfl_xor_sync(~0U, largest, distance);
            largest = other > largest ? other : largest;
        }
        const int exponent = formulas::half_row_exponent(formulas::double_of(largest));
        for (Index j = lane; j < out.cols; j += warp_threads) {
            const double value = j < x.cols ? formulas::half_entry(static_cast<double>(x(i, j)), exponent) : 0;
            out(i, j) = __float2half_rn(static_cast<float>(value));
        }
        if (lane == 0) scales[i] = ldexp(1.0, exponent);
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

template HalfView HalfRows::round(ConstMatrixView<float>);
template HalfView HalfRows::round(ConstMatrixView<double>);

}  // namespace ntk::cuda

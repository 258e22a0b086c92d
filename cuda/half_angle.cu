// Angles between inputs as tan(theta / 2), and functions tabulated in them: a thread a pair.

#include "cuda_backend.hpp"
#include "pair_tiles.hpp"

#include <ntkcuda/formulas/octave_series.hpp>

#include <limits>

namespace ntk::cuda {
namespace {

__global__ void half_angles_kernel(ScaledRows rows, ScaledRows cols, bool lower, DeviceMatrix<double> entries) {
    for_each_entry(entries.rows, entries.cols, [&](Index i, Index j) {
        if (lower && j > i) return;
        const double x = rows.facts[i].squared_norm, y = cols.facts[j].squared_norm;
        if (lower && i == j) {
            entries(i, j) = formulas::own_half_angle_tangent(x);
        } else {
            entries(i, j) = x * y == 0 ? std::numeric_limits<double>::quiet_NaN()
                                       : formulas::half_angle_tangent(input_of(rows, cols, i, j, entries(i, j)));
        }
    });
}

/// The coefficients of `series` are device memory.
template <class Real>
__global__ void series_kernel(OctaveSeries series, DeviceMatrix<const Real> t, bool lower, DeviceMatrix<Real> out) {
    for_each_entry(out.rows, out.cols, [&](Index i, Index j) {
        if (!lower || j <= i) out(i, j) = static_cast<Real>(formulas::octave_series(series, static_cast<double>(t(i, j))));
    });
}

}  // namespace

template <class Real>
void CudaHalfAngle<Real>::half_angle_tangents(ConstMatrixView<Real> x1, ConstMatrixView<Real> x2, Triangle triangle, MatrixView<Real> out) {
    if (out.empty()) return;
    Context& context = this->context();
    const MeasuredRows<Real> rows(context, x1), cols(context, x2);
    for_each_pair_tile(context, this->tiling().limit, rows, cols, triangle == Triangle::lower, out,
                       [&](const ScaledRows& left, const ScaledRows& right, bool lower, double* entries) {
                           context.launch("half_angles", entries_shape(left.count, right.count), half_angles_kernel, left, right, lower,
                                          MatrixView<double>(entries, left.count, right.count));
                       });
}

template <class Real>
void CudaHalfAngle<Real>::evaluate_series(const OctaveSeries& series, ConstMatrixView<Real> t, Triangle triangle, MatrixView<Real> out) {
    if (out.empty()) return;
    Context& context = this->context();
    const std::size_t bytes = series.octaves * series.terms * sizeof(double);
    const Buffer coefficients(context, bytes);
    check(cudaMemcpyAsync(coefficients.as<void>(), series.coefficients, bytes, cudaMemcpyHostToDevice, context.stream()),
          "cudaMemcpyAsync");
    context.synchronize();  // the caller's memory is its own again
    OctaveSeries on_device = series;
    on_device.coefficients = coefficients.as<double>();
    context.launch("series", entries_shape(out.rows(), out.cols()), series_kernel<Real>, on_device, t, triangle == Triangle::lower, out);
}

template class CudaHalfAngle<float>;
template class CudaHalfAngle<double>;

}  // namespace ntk::cuda

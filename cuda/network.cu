// Activations and their slopes: a thread an entry, evaluated in float64.

#include "cuda_backend.hpp"
#include "device_matrix.hpp"

#include <ntkcuda/formulas/activation.hpp>

namespace ntk::cuda {
namespace {

template <class Real>
__global__ void activate_kernel(Activation activation, DeviceMatrix<const Real> z, DeviceMatrix<Real> a) {
    for_each_entry(a.rows, a.cols, [&](Index i, Index j) {
        a(i, j) = static_cast<Real>(formulas::activation(activation.kind, activation.slope, z(i, j)));
    });
}

/// Row (i, o) of delta is `outputs` i + o.
template <class Real>
__global__ void multiply_by_slope_kernel(Activation activation, DeviceMatrix<const Real> z, Index outputs, DeviceMatrix<Real> delta) {
    for_each_entry(delta.rows, delta.cols, [&](Index row, Index j) {
        delta(row, j) =
            static_cast<Real>(delta(row, j) * formulas::activation_slope(activation.kind, activation.slope, z(row / outputs, j)));
    });
}

template <class Real>
__global__ void output_delta_kernel(Activation activation, DeviceMatrix<const Real> w, DeviceMatrix<const Real> z,
                                    DeviceMatrix<Real> delta) {
    for_each_entry(delta.rows, delta.cols, [&](Index row, Index j) {
        const Index i = row / w.rows, o = row % w.rows;
        delta(row, j) = static_cast<Real>(w(o, j) * formulas::activation_slope(activation.kind, activation.slope, z(i, j)));
    });
}

}  // namespace

template <class Real>
void CudaNetwork<Real>::activate(const Activation& activation, ConstMatrixView<Real> z, MatrixView<Real> a) {
    if (a.empty()) return;
    this->context().launch("activate", entries_shape(a.rows(), a.cols()), activate_kernel<Real>, activation, z, a);
}

template <class Real>
void CudaNetwork<Real>::multiply_by_slope(const Activation& activation, ConstMatrixView<Real> z, MatrixView<Real> delta) {
    if (delta.empty()) return;
    this->context().launch("multiply_by_slope", entries_shape(delta.rows(), delta.cols()), multiply_by_slope_kernel<Real>, activation, z,
                           delta.rows() / z.rows(), delta);
}

template <class Real>
void CudaNetwork<Real>::output_delta(const Activation& activation, ConstMatrixView<Real> w, ConstMatrixView<Real> z,
                                     MatrixView<Real> delta) {
    if (delta.empty()) return;
    this->context().launch("output_delta", entries_shape(delta.rows(), delta.cols()), output_delta_kernel<Real>, activation, w, z, delta);
}

template class CudaNetwork<float>;
template class CudaNetwork<double>;

}  // namespace ntk::cuda

#include "host_backend.hpp"

#include <ntkcuda/network.hpp>

// PLACEHOLDER

namespace ntk {

template <class Real> void HostGram<Real>::accumulate_layer_gram(MatrixView<Real>, ConstMatrixView<Real>, ConstMatrixView<Real>, ConstMatrixView<Real>, ConstMatrixView<Real>, double, double, Triangle) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostGram<Real>::accumulate_layer_diagonal(MatrixView<Real>, ConstMatrixView<Real>, ConstMatrixView<Real>, double, double) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostGram<Real>::jacobian_block(ConstMatrixView<Real>, ConstMatrixView<Real>, Index, Index, double, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }

template class HostGram<float>;
template class HostGram<double>;

}  // namespace ntk

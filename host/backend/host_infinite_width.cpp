#include "host_backend.hpp"

#include <ntkcuda/network.hpp>

// PLACEHOLDER

namespace ntk {

template <class Real> void HostInfiniteWidth<Real>::infinite_width_kernel(const Architecture&, InfiniteKernel, ConstMatrixView<Real>, ConstMatrixView<Real>, Triangle, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostInfiniteWidth<Real>::infinite_width_diagonal(const Architecture&, InfiniteKernel, ConstMatrixView<Real>, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }

template class HostInfiniteWidth<float>;
template class HostInfiniteWidth<double>;

}  // namespace ntk

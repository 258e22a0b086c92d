#include "host_backend.hpp"

#include <ntkcuda/network.hpp>

// PLACEHOLDER

namespace ntk {

template <class Real> CholeskyStatus HostBackend<Real>::cholesky(MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostBackend<Real>::cholesky_solve(ConstMatrixView<Real>, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostBackend<Real>::triangular_solve_rows(ConstMatrixView<Real>, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostBackend<Real>::eigen(MatrixView<Real>, MatrixView<Real>, bool) { throw Error(ErrorCode::device_failure, "not yet"); }

template class HostBackend<float>;
template class HostBackend<double>;

}  // namespace ntk

#include "host_backend.hpp"

#include <ntkcuda/network.hpp>

// PLACEHOLDER

namespace ntk {

template <class Real> void HostNetwork<Real>::draw_normals(NormalStream, double, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostNetwork<Real>::activate(const Activation&, ConstMatrixView<Real>, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostNetwork<Real>::multiply_by_slope(const Activation&, ConstMatrixView<Real>, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostNetwork<Real>::output_delta(const Activation&, ConstMatrixView<Real>, ConstMatrixView<Real>, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }

template class HostNetwork<float>;
template class HostNetwork<double>;

}  // namespace ntk

#include "host_backend.hpp"

#include <ntkcuda/network.hpp>

// PLACEHOLDER

namespace ntk {

template <class Real> HostMemory<Real>::HostMemory(int threads) : threads_(threads) {}
template <class Real> DeviceInfo HostMemory<Real>::info() const { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> Real* HostMemory<Real>::allocate(Index) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostMemory<Real>::release(Real*) noexcept {}
template <class Real> void HostMemory<Real>::upload(ConstMatrixView<Real>, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostMemory<Real>::download(ConstMatrixView<Real>, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostMemory<Real>::copy(ConstMatrixView<Real>, MatrixView<Real>) { throw Error(ErrorCode::device_failure, "not yet"); }
template <class Real> void HostMemory<Real>::fill(MatrixView<Real>, double) { throw Error(ErrorCode::device_failure, "not yet"); }

template class HostMemory<float>;
template class HostMemory<double>;

}  // namespace ntk

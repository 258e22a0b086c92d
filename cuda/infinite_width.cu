#include "cuda_backend.hpp"

namespace ntk::cuda {
// PLACEHOLDER
template <class Real>
void CudaInfiniteWidth<Real>::infinite_width_kernel(const Architecture&, InfiniteKernel, ConstMatrixView<Real>, ConstMatrixView<Real>,
                                                    Triangle, MatrixView<Real>) {
    throw Error(ErrorCode::device_failure, "not yet");
}
template <class Real>
void CudaInfiniteWidth<Real>::infinite_width_diagonal(const Architecture&, InfiniteKernel, ConstMatrixView<Real>, MatrixView<Real>) {
    throw Error(ErrorCode::device_failure, "not yet");
}
template class CudaInfiniteWidth<float>;
template class CudaInfiniteWidth<double>;
}  // namespace ntk::cuda

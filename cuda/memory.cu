#include "cuda_backend.hpp"
#include "device_matrix.hpp"

namespace ntk::cuda {
namespace {

template <class Real>
__global__ void fill_kernel(DeviceMatrix<Real> x, Real value) {
    for_each_entry(x.rows, x.cols, [&](Index i, Index j) { x(i, j) = value; });
}

template <class Real>
void copy_rows(Context& context, ConstMatrixView<Real> from, MatrixView<Real> to, cudaMemcpyKind kind) {
    if (to.empty()) return;
    if (from.contiguous() && to.contiguous()) {
        check(cudaMemcpyAsync(to.data(), from.data(), to.size() * sizeof(Real), kind, context.stream()), "cudaMemcpyAsync");
    } else {
        check(cudaMemcpy2DAsync(to.data(), to.stride() * sizeof(Real), from.data(), from.stride() * sizeof(Real), to.cols() * sizeof(Real),
                                to.rows(), kind, context.stream()),
              "cudaMemcpy2DAsync");
    }
}

}  // namespace

template <class Real>
CudaMemory<Real>::CudaMemory(int device, Tiling tiling) : context_(device), tiling_(tiling) {}

template <class Real>
DeviceInfo CudaMemory<Real>::info() const {
    const Context& device = context();
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, device.device()), "cudaGetDeviceProperties");
    return {DeviceKind::cuda,          device.device(),      properties.name,
            properties.totalGlobalMem, device.memory_free(), properties.multiProcessorCount,
            device.memory_peak()};
}

template <class Real>
Real* CudaMemory<Real>::allocate(Index count) {
    return static_cast<Real*>(context().allocate(count * sizeof(Real)));
}

template <class Real>
void CudaMemory<Real>::release(Real* data) noexcept {
    context_.release(data);
}

template <class Real>
void CudaMemory<Real>::upload(ConstMatrixView<Real> host, MatrixView<Real> device) {
    copy_rows(context(), host, device, cudaMemcpyHostToDevice);
    synchronize();  // the caller's buffer is its own again, also when a later call fails
}

template <class Real>
void CudaMemory<Real>::download(ConstMatrixView<Real> device, MatrixView<Real> host) {
    copy_rows(context(), device, host, cudaMemcpyDeviceToHost);
    synchronize();
}

template <class Real>
void CudaMemory<Real>::copy(ConstMatrixView<Real> from, MatrixView<Real> to) {
    copy_rows(context(), from, to, cudaMemcpyDeviceToDevice);
}

template <class Real>
void CudaMemory<Real>::fill(MatrixView<Real> x, double value) {
    if (x.empty()) return;
    context().launch("fill", entries_shape(x.rows(), x.cols()), fill_kernel<Real>, x, static_cast<Real>(value));
}

template <class Real>
void CudaMemory<Real>::synchronize() {
    context_.synchronize();
}

template <class Real>
void CudaMemory<Real>::limit_memory(std::uint64_t bytes) {
    context().keep_released(bytes);
}

template class CudaMemory<float>;
template class CudaMemory<double>;

}  // namespace ntk::cuda

#include "context.hpp"

#include <cstdint>
#include <exception>
#include <limits>
#include <string>

namespace ntk::cuda {
namespace {

/// What cuBLAS would take itself on the largest devices.
constexpr std::size_t blas_workspace_bytes = std::size_t{32} << 20;

cudaMemPool_t memory_pool(int device) {
    cudaMemPool_t pool = nullptr;
    check(cudaDeviceGetDefaultMemPool(&pool, device), "cudaDeviceGetDefaultMemPool");
    return pool;
}

cublasHandle_t new_blas() {
    cublasHandle_t handle = nullptr;
    check(cublasCreate(&handle), "cublasCreate");
    return handle;
}

cusolverDnHandle_t new_solver() {
    cusolverDnHandle_t handle = nullptr;
    check(cusolverDnCreate(&handle), "cusolverDnCreate");
    return handle;
}

std::uint64_t pool_bytes(cudaMemPool_t pool, cudaMemPoolAttr attribute) {
    std::uint64_t bytes = 0;
    check(cudaMemPoolGetAttribute(pool, attribute, &bytes), "cudaMemPoolGetAttribute");
    return bytes;
}

}  // namespace

int device_attribute(cudaDeviceAttr which, int device) {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
    return value;
}

cudaStream_t new_stream() {
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    return stream;
}

Context::Context(int device) : device_(device) {
    make_current();
    pool_ = memory_pool(device);
    // For the next matrix, instead of back to the driver at every synchronisation.
    keep_released(std::numeric_limits<std::uint64_t>::max());
    stream_.reset(new_stream());
    blas_.reset(new_blas());
    check(cublasSetStream(blas(), stream()), "cublasSetStream");
    // With a workspace of its own cuBLAS would allocate in every recorded product.
    blas_workspace_ = std::make_unique<Buffer>(*this, blas_workspace_bytes);
    check(cublasSetWorkspace(blas(), blas_workspace_->as<void>(), blas_workspace_bytes), "cublasSetWorkspace");
}

Context::~Context() {
    (void)cudaSetDevice(device_);
    (void)cudaStreamSynchronize(stream());
    (void)cudaGetLastError();
}

void Context::make_current() const { check(cudaSetDevice(device_), "cudaSetDevice"); }

cudaError_t Context::try_make_current() const noexcept {
    int current = -1;
    return cudaGetDevice(&current) == cudaSuccess && current == device_ ? cudaSuccess : cudaSetDevice(device_);
}

cusolverDnHandle_t Context::solver() {
    if (!solver_) {
        Unique<cusolverDnHandle_t, cusolverDnDestroy> handle(new_solver());
        check(cusolverDnSetStream(handle.get(), stream()), "cusolverDnSetStream");
        solver_ = std::move(handle);
    }
    return solver_.get();
}

void* Context::allocate(std::size_t bytes) {
    if (bytes == 0) return nullptr;
    void* memory = nullptr;
    const cudaError_t status = cudaMallocAsync(&memory, bytes, stream());
    if (status == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        throw Error(ErrorCode::out_of_memory, "cuda:" + std::to_string(device_) + " has no room: " + std::to_string(bytes) +
                                                  " bytes asked for, " + std::to_string(memory_free()) + " bytes free");
    }
    check(status, "cudaMallocAsync");
    return memory;
}

void Context::release(void* memory) noexcept {
    if (!memory) return;
    const cudaError_t switched = try_make_current(), freed = cudaFreeAsync(memory, stream());
    const cudaError_t status = freed != cudaSuccess ? freed : switched;
    if (status != cudaSuccess && failed_release_ == cudaSuccess) failed_release_ = status;
}

std::size_t Context::memory_free() const {
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    return free + pool_bytes(pool_, cudaMemPoolAttrReservedMemCurrent) - pool_bytes(pool_, cudaMemPoolAttrUsedMemCurrent);
}

std::size_t Context::memory_peak() const { return pool_bytes(pool_, cudaMemPoolAttrReservedMemHigh); }

void Context::keep_released(std::uint64_t bytes) {
    check(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &bytes), "cudaMemPoolSetAttribute");
}

void Context::synchronize() {
    check(cudaStreamSynchronize(stream()), "cudaStreamSynchronize");
    check(std::exchange(failed_release_, cudaSuccess), "cudaFreeAsync");
}

Unique<cudaGraph_t, cudaGraphDestroy> Context::record(const std::function<void()>& work) {
    make_current();
    check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    const cudaError_t failed_before = std::exchange(failed_release_, cudaSuccess);
    std::exception_ptr failure;
    try {
        work();
    } catch (...) {
        failure = std::current_exception();
    }
    cudaGraph_t recorded = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(stream(), &recorded);
    Unique<cudaGraph_t, cudaGraphDestroy> graph(recorded);
    // A release that failed in the recording is its own failure; memory of a recording that is given up was never allocated.
    const cudaError_t failed_inside = std::exchange(failed_release_, failed_before);
    if (failure) {
        (void)cudaGetLastError();
        std::rethrow_exception(failure);
    }
    check(ended, "cudaStreamEndCapture");
    check(failed_inside, "cudaFreeAsync");
    return graph;
}

}  // namespace ntk::cuda

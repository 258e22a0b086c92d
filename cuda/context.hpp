#pragma once

// One device as a backend uses it: a stream, library handles, stream-ordered memory. Nothing here knows about matrices.

#include "launch.hpp"

#include <functional>
#include <memory>
#include <type_traits>

namespace ntk::cuda {

/// Calls an API function that destroys what it is given; failures while destroying cannot be acted on.
template <auto destroy>
struct Destroyer {
    template <class T>
    void operator()(T* handle) const noexcept {
        (void)destroy(handle);
    }
};
template <class Handle, auto destroy>
using Unique = std::unique_ptr<std::remove_pointer_t<Handle>, Destroyer<destroy>>;

[[nodiscard]] int device_attribute(cudaDeviceAttr which, int device);
/// A stream on the current device that does not wait for the default stream.
[[nodiscard]] cudaStream_t new_stream();

class Buffer;

class Context {
public:
    /// Throws Error(device_failure) or Error(out_of_memory) if the device does not give a stream or the handles.
    explicit Context(int device);
    /// Waits for the work in flight.
    ~Context();
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    [[nodiscard]] int device() const { return device_; }
    /// Makes the device current on the calling thread; every operation starts with it.
    void make_current() const;
    /// For what is destroyed on any thread, perhaps where another device is current.
    [[nodiscard]] cudaError_t try_make_current() const noexcept;
    [[nodiscard]] cudaStream_t stream() const { return stream_.get(); }
    [[nodiscard]] cublasHandle_t blas() const { return blas_.get(); }
    /// Made at the first use: few runs factorise.
    [[nodiscard]] cusolverDnHandle_t solver();

    /// Device memory in the order of the stream; nullptr for 0 bytes. Throws Error(out_of_memory) with the bytes asked for and free.
    [[nodiscard]] void* allocate(std::size_t bytes);
    /// A failure is kept and thrown by the next synchronize().
    void release(void* memory) noexcept;
    /// Bytes that an allocation can have now: free on the device, or free in its memory pool.
    [[nodiscard]] std::size_t memory_free() const;
    /// The most bytes that allocations, with what was kept of released ones, have taken on the device so far.
    [[nodiscard]] std::size_t memory_peak() const;
    /// Released memory goes back to the device at the next wait as far as it and what is in use pass this. No limit at first.
    void keep_released(std::uint64_t bytes);
    void synchronize();

    /// What `work` gives to the stream, as a graph: none of it runs. Throws what `work` throws, and Error(invalid_argument) if it waits.
    [[nodiscard]] Unique<cudaGraph_t, cudaGraphDestroy> record(const std::function<void()>& work);

    template <class... Parameters, class... Arguments>
    void launch(const char* name, const LaunchShape& shape, void (*kernel)(Parameters...), Arguments&&... arguments) {
        cuda::launch(name, stream(), shape, kernel, std::forward<Arguments>(arguments)...);
    }

private:
    int device_;
    cudaMemPool_t pool_ = nullptr;
    Unique<cudaStream_t, cudaStreamDestroy> stream_;
    Unique<cublasHandle_t, cublasDestroy> blas_;
    Unique<cusolverDnHandle_t, cusolverDnDestroy> solver_;
    std::unique_ptr<Buffer> blas_workspace_;
    cudaError_t failed_release_ = cudaSuccess;
};

/// Device memory of a context for as long as this lives.
class Buffer {
public:
    explicit Buffer(Context& context) : context_(context) {}
    Buffer(Context& context, std::size_t bytes) : Buffer(context) { reserve(bytes); }
    ~Buffer() { context_.release(data_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    /// At least `bytes`; the contents are lost when it grows.
    void reserve(std::size_t bytes) {
        if (bytes <= bytes_) return;
        context_.release(std::exchange(data_, nullptr));
        bytes_ = 0;
        data_ = context_.allocate(bytes);
        bytes_ = bytes;
    }
    template <class T>
    [[nodiscard]] T* as() const {
        return static_cast<T*>(data_);
    }

private:
    Context& context_;
    void* data_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace ntk::cuda

#pragma once

// Shared by the files of the emulated runtime.

#include <cuda_runtime.h>

#include <deque>
#include <memory>
#include <mutex>

namespace emulated {

/// One piece of queued work: a kernel, or (without a shape) a copy, a fill or a library call.
struct Work {
    std::function<void()> run;
    bool is_kernel = false;
    dim3 grid, block;
    std::shared_ptr<Work> previous;  ///< on the same stream; for the race detector
    char started, finished;          ///< its clocks
};

}  // namespace emulated

struct CUstream_st {
    std::deque<std::shared_ptr<emulated::Work>> queue;
    std::shared_ptr<emulated::Work> last;
};

namespace emulated {

/// Held by every call: the device does one thing at a time.
std::recursive_mutex& device_mutex();
using Lock = std::lock_guard<std::recursive_mutex>;

// Streams
void finish(CUstream_st& stream);
void finish_all();
cudaError_t create_stream(cudaStream_t* stream);
void destroy_stream(cudaStream_t stream);
/// Ends the process for a stream that does not exist, the default one included: the backend has its own.
CUstream_st& existing(cudaStream_t stream);

// Threads
void run_kernel(Work& work);

// Memory
/// Device memory is readable and writable while one of these lives.
class Unlocked {
public:
    Unlocked();
    ~Unlocked();
    Unlocked(const Unlocked&) = delete;
    Unlocked& operator=(const Unlocked&) = delete;
};
/// nullptr when the device is full.
void* allocate(std::size_t bytes);
void deallocate(void* p);
bool is_allocation(const void* p);
/// Whether `p` is an address that only the device can have.
bool is_device_address(const void* p);
std::size_t memory_used();

}  // namespace emulated

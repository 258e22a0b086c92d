#pragma once

// Shared by the files of the emulated runtime.

#include <cuda_runtime.h>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

namespace emulated {

/// One piece of queued work: a kernel, or (without a shape) a copy, a fill or a library call.
struct Work {
    std::function<void()> run;
    bool is_kernel = false, done = false;
    dim3 grid, block;
    std::size_t shared_bytes = 0;
    std::shared_ptr<Work> previous;  ///< on the same stream; for the race detector
    char started, finished;          ///< its clocks
};

/// What a stream was given while it was capturing, and the memory that this allocates. A graph and all that is made of it share one.
struct Recorded {
    std::vector<std::shared_ptr<Work>> work;
    std::map<void*, std::size_t> memory;  ///< and its bytes
    std::set<void*> unreleased;           ///< the part of it that the work so far has not freed
    bool invalid = false;                 ///< something waited for it

    Recorded() = default;
    ~Recorded();
    Recorded(const Recorded&) = delete;
    Recorded& operator=(const Recorded&) = delete;
};

}  // namespace emulated

struct CUstream_st {
    int device = 0;
    std::deque<std::shared_ptr<emulated::Work>> queue;
    std::shared_ptr<emulated::Work> last;
    std::shared_ptr<emulated::Recorded> recording;  ///< while it is capturing
};

/// The work that it was recorded behind; none before.
struct CUevent_st {
    CUstream_st* stream = nullptr;
    std::shared_ptr<emulated::Work> work;
};

namespace emulated {

/// Held by every call: the devices do one thing at a time.
std::recursive_mutex& device_mutex();
using Lock = std::lock_guard<std::recursive_mutex>;

// Devices
bool exists(int device);
void make_current(int device);
/// A device is current while one of these lives.
class Current {
public:
    explicit Current(int device) : before_(current_device()) { make_current(device); }
    ~Current() { make_current(before_); }
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;

private:
    int before_;
};

// Streams
void finish(CUstream_st& stream);
void finish_all();
cudaError_t create_event(cudaEvent_t* event);
void destroy_event(cudaEvent_t event);
/// Ends the process for an event that does not exist.
CUevent_st& existing(cudaEvent_t event);
void record(CUevent_st& event, cudaStream_t stream);
/// Runs the event's stream up to what the event was recorded behind, and no further.
void finish(CUevent_st& event);
cudaError_t create_stream(cudaStream_t* stream);
void destroy_stream(cudaStream_t stream);
/// Queues the work, or records it if the stream is capturing.
void add(cudaStream_t stream, std::shared_ptr<Work> work);
/// Ends the process for a stream that does not exist, the default one included: the backend has its own.
CUstream_st& existing(cudaStream_t stream);
/// The same for a stream of a device that is not the current one, where a real device refuses or forgives as the call may be.
CUstream_st& existing_here(cudaStream_t stream);

// Graphs
/// New memory of the work that the stream records; nullptr when the device is full.
void* record_allocation(cudaStream_t stream, std::size_t bytes);
/// Ends the process for memory that is not of this recording.
void record_release(cudaStream_t stream, void* p);

// Kernels
/// Dynamic shared memory that a launch of this function may ask for (cudaFuncSetAttribute).
std::size_t allowed_shared_bytes(const void* function);

// Threads
void run_kernel(Work& work);
/// The running thread within its block.
unsigned thread_rank();
/// Lets the other threads of the block run until `ready`, which may do what others wait for.
void wait_until(const std::function<bool()>& ready);
/// To be increased by what another thread may wait for; a round of all threads without is a deadlock.
unsigned long& block_progress();

// Copies and products beside the threads of a block
constexpr std::size_t most_shared_bytes = 227 * 1024;
void begin_asynchronous_work();
void end_asynchronous_work();

// Memory
/// Device memory is readable and writable while one of these lives.
class Unlocked {
public:
    Unlocked();
    ~Unlocked();
    Unlocked(const Unlocked&) = delete;
    Unlocked& operator=(const Unlocked&) = delete;
};
/// On the current device; nullptr when it is full.
void* allocate(std::size_t bytes);
/// Makes `bytes` from p unset again.
void unset(void* p, std::size_t bytes);
void deallocate(void* p);
/// Of the current device.
bool is_allocation(const void* p);
/// on_device for the threads of a kernel: whoever runs it holds the mutex.
bool in_allocation(const void* p, std::size_t bytes);
/// Whether `p` is an address that only the device can have.
bool is_device_address(const void* p);
std::size_t memory_used(int device);

}  // namespace emulated

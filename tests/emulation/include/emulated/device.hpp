#pragma once

// The emulated device as tests see it (knobs, leaks, faults) and as the stand-in headers use it (launches, barriers, lanes).

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <string>
#include <type_traits>

namespace emulated {

/// How the devices behave. From the environment at start: EMULATED_DEVICES=n, EMULATED_EAGER, EMULATED_REVERSE, EMULATED_FAIL_AT=k,
/// EMULATED_FAIL_ON=i.
struct Settings {
    bool eager = false;    ///< run work when it is enqueued, not when something waits for it
    bool reverse = false;  ///< run the blocks, and the threads of a block, last first
    long fail_at = -1;     ///< this API call, counted by `calls`, fails
    int fail_on = -1;      ///< only calls with this device current are counted; -1: of all
    int devices = 1;
    std::size_t memory = std::size_t{1} << 33;  ///< of each device
};
inline Settings settings;
inline long calls = 0;           ///< API calls that can fail, since the start or since a test set it to 0
inline std::string failed_call;  ///< the one that `fail_at` made fail

/// Device allocations, streams and library handles that exist.
std::size_t live_objects();
/// Counts a call; true if it is the one that must fail.
bool fails(const char* call);
/// A mistake that a real device would punish or hide: says so and ends the process with status 86.
[[noreturn]] void fault(const char* what, const void* where = nullptr);

/// The device that is current on this thread, or whose work it runs.
int current_device();
/// Whether [p, p + bytes) lies in one live allocation of the current device.
bool on_device(const void* p, std::size_t bytes);
/// Tells ThreadSanitizer of an access by code that is not instrumented.
void touch(const void* p, std::size_t bytes, bool write);
/// Counts library handles among the live objects.
void count_object(int change);
/// Queues work on a stream; it may touch device memory while it runs.
void enqueue(cudaStream_t stream, std::function<void()> work);
cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> body);

/// The dynamic shared memory of the running block.
std::byte* shared_memory();
std::size_t shared_bytes();
void synchronize_block(std::source_location where);
unsigned lane();
/// What each lane of a warp brought to a shuffle or vote.
using Lanes = std::array<std::uint64_t, 32>;
const Lanes& gather(unsigned mask, std::uint64_t value);

/// Kernel arguments that point to memory must point to device memory: plain pointers, and matrices with all their entries.
template <class T>
void check_argument(const T& argument) {
    if constexpr (std::is_pointer_v<T>) {
        if (argument && !on_device(argument, 1)) fault("a kernel argument points to no device memory", argument);
    } else if constexpr (requires { argument.data[0], argument.rows, argument.cols, argument.stride; }) {
        if (argument.rows == 0 || argument.cols == 0) return;
        std::size_t count = (argument.rows - 1) * argument.stride + argument.cols;
        if constexpr (requires { argument.count, argument.step; }) count += (argument.count - 1) * argument.step;
        if (!on_device(argument.data, count * sizeof argument.data[0]))
            fault("a matrix argument reaches outside its device memory", argument.data);
    }
}

}  // namespace emulated

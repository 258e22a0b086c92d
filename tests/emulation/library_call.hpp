#pragma once

// What emulated cuBLAS and cuSOLVER calls have in common: their operands are checked against the allocations and the call is queued.

#include <cuda_runtime.h>

#include <vector>

namespace emulated {

/// A column-major operand.
struct Operand {
    const void* data;
    std::int64_t rows, cols, leading;
    std::size_t entry_bytes;
    bool written = false;
};

template <class Real>
Operand input(const Real* data, std::int64_t rows, std::int64_t cols, std::int64_t leading) {
    return {data, rows, cols, leading, sizeof(Real)};
}
template <class Real>
Operand output(Real* data, std::int64_t rows, std::int64_t cols, std::int64_t leading) {
    return {data, rows, cols, leading, sizeof(Real), true};
}

/// Whether the sizes are what the libraries accept; an operand that leaves its allocation ends the process.
bool sound(const std::vector<Operand>& operands);
/// Queues a call on operands that are sound, on a stream of the current device.
void enqueue_call(cudaStream_t stream, std::vector<Operand> operands, std::function<void()> call);

}  // namespace emulated

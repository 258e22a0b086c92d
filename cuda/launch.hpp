#pragma once

// How kernels are launched: one wrapper of cudaLaunchKernelEx, so that the host compiler reads every .cu file as well
// (tests/emulation runs them without a GPU).

#include "status.hpp"

#include <ntkcuda/matrix.hpp>

#include <algorithm>
#include <utility>

namespace ntk::cuda {

inline constexpr int threads_per_block = 256;
inline constexpr int warp_threads = 32;

struct LaunchShape {
    dim3 grid, block;
    std::size_t shared_bytes = 0;
};

inline constexpr Index ceil_divide(Index a, Index b) { return (a + b - 1) / b; }

/// A thread for each entry up to 2^16 blocks; kernels go on by grid-stride loops (for_each_entry). Narrow matrices get tall blocks.
inline LaunchShape entries_shape(Index rows, Index cols) {
    unsigned width = 1;
    while (width < threads_per_block && width < cols) width *= 2;
    const unsigned height = threads_per_block / width;
    const Index across = std::min<Index>(ceil_divide(cols, width), 1024);
    const Index down = std::min<Index>(ceil_divide(rows, height), (Index{1} << 16) / across - 1);
    return {dim3(static_cast<unsigned>(across), static_cast<unsigned>(std::max<Index>(down, 1))), dim3(width, height)};
}

/// A warp for each of `count` items up to 2^16 blocks (for_each_warp_item).
inline LaunchShape warps_shape(Index count) {
    const unsigned warps = threads_per_block / warp_threads;
    return {dim3(static_cast<unsigned>(std::min<Index>(ceil_divide(count, warps), Index{1} << 16))), dim3(warp_threads, warps)};
}

template <class... Parameters, class... Arguments>
void launch(const char* name, cudaStream_t stream, const LaunchShape& shape, void (*kernel)(Parameters...), Arguments&&... arguments) {
    cudaLaunchConfig_t config{};
    config.gridDim = shape.grid;
    config.blockDim = shape.block;
    config.dynamicSmemBytes = shape.shared_bytes;
    config.stream = stream;
    check(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), name);
}

}  // namespace ntk::cuda

#pragma once

// What CUDA C++ gives a kernel: built-in variables, barriers, shuffles.

#include <emulated/device.hpp>

#include <cmath>

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __constant__
#undef __forceinline__
#undef __launch_bounds__
#undef __grid_constant__
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __shared__ static  // one block runs at a time
#define __restrict__ __restrict

inline thread_local constinit uint3 threadIdx{}, blockIdx{};
inline thread_local constinit dim3 blockDim{}, gridDim{};

inline void __syncthreads(std::source_location where = std::source_location::current()) { emulated::synchronize_block(where); }

namespace emulated {

template <class T>
T exchange(unsigned mask, T value, unsigned from) {
    static_assert(sizeof value <= sizeof(std::uint64_t));
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    const Lanes& lanes = gather(mask, bits);
    std::memcpy(&value, &lanes[from], sizeof value);
    return value;
}

}  // namespace emulated

template <class T>
T __shfl_xor_sync(unsigned mask, T value, unsigned distance) {
    return emulated::exchange(mask, value, emulated::lane() ^ distance);
}

using std::isfinite, std::isinf, std::isnan, std::max, std::min;

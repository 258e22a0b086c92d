#pragma once

// Instructions of compute capability 9.0 that CUDA C++ has no words for (PTX ISA, chapters on mbarrier, cp.async.bulk and wgmma), a
// function each; only for files that are compiled for sm_90a alone. tests/emulation/include/cuda/hopper.hpp stands in for this file.

#include <cstdint>

namespace ntk::cuda::hopper {

/// The dynamic shared memory of the block; it starts at a multiple of 1024 bytes.
template <class T>
__device__ T& dynamic_shared() {
    extern __shared__ __align__(1024) unsigned char memory[];
    return *reinterpret_cast<T*>(memory);
}

/// The address within shared memory.
inline __device__ std::uint32_t shared_address(const void* p) { return static_cast<std::uint32_t>(__cvta_generic_to_shared(p)); }

/// A barrier in shared memory. Its phases, with parities 0, 1, 0, .., end each when all arrivals and all bytes expected have come.
class Barrier {
public:
    /// By one thread; the others may use it after its fence_initialized() and a __syncthreads().
    __device__ void initialize(unsigned arrivals) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(this)), "r"(arrivals) : "memory");
    }
    __device__ void arrive() {
        asm volatile("mbarrier.arrive.release.cta.shared::cta.b64 _, [%0];" ::"r"(shared_address(this)) : "memory");
    }
    __device__ void arrive_and_expect(unsigned bytes) {
        asm volatile("mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(this)), "r"(bytes)
                     : "memory");
    }
    /// Until the phase of this parity has ended; true at once for parity 1 before the first phase.
    __device__ void wait(unsigned parity) {
        unsigned ended;
        do
            asm volatile(
                "{\n"
                ".reg .pred p;\n"
                "mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 p, [%1], %2;\n"
                "selp.u32 %0, 1, 0, p;\n"
                "}"
                : "=r"(ended)
                : "r"(shared_address(this)), "r"(parity)
                : "memory");
        while (!ended);
    }

private:
    std::uint64_t state_;
};

/// Makes initialised barriers known to copies and to the other threads.
inline __device__ void fence_initialized() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// Copies from global to shared memory while the thread goes on; the bytes count at the barrier. All multiples of 16.
inline __device__ void copy(void* to, const void* from, unsigned bytes, Barrier& barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(shared_address(to)),
                 "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(shared_address(&barrier))
                 : "memory");
}

/// Registers of each thread from here on, by all threads of a warpgroup (four warps): some give what others claim.
template <int count>
__device__ void give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
}
template <int count>
__device__ void claim_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
}

// Products of a warpgroup run beside it: fence, multiply.., commit make a group; sums may be read once their group was waited for.

inline __device__ void fence_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
inline __device__ void commit_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/// Until at most `groups` groups are running.
template <int groups>
__device__ void wait_for_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(groups) : "memory");
}

/// Keeps the compiler from reading sums before the wait that stands above this.
inline __device__ void settle(float (&sums)[64]) {
#pragma unroll
    for (float& sum : sums) asm volatile("" : "+f"(sum)::"memory");
}

/// sums (64 x 128) = rows (64 x 16) cols^T (128 x 16) + (accumulate ? sums : 0), both FP16 as their matrix descriptors say. Thread t has
/// sums[4 j + 2 h + e] at row 16 (t / 32) + t % 32 / 4 + 8 h and column 8 j + 2 (t % 4) + e.
inline __device__ void multiply(float (&sums)[64], std::uint64_t rows, std::uint64_t cols, bool accumulate) {
#define NTK_FOUR(i) "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3])
#define NTK_SIXTEEN(i) NTK_FOUR(i), NTK_FOUR(i + 4), NTK_FOUR(i + 8), NTK_FOUR(i + 12)
    asm volatile(
        "{\n"
        ".reg .pred p;\n"
        "setp.ne.b32 p, %66, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
        "%64, %65, p, 1, 1, 0, 0;\n"
        "}"
        : NTK_SIXTEEN(0), NTK_SIXTEEN(16), NTK_SIXTEEN(32), NTK_SIXTEEN(48)
        : "l"(rows), "l"(cols), "r"(static_cast<int>(accumulate)));
#undef NTK_SIXTEEN
#undef NTK_FOUR
}

}  // namespace ntk::cuda::hopper

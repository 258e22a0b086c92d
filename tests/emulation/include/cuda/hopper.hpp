#pragma once

// Stands in for the project's cuda/hopper.hpp: its functions by their documentation, each as late as a device may do it. Copies happen
// when something waits for them, products when their group is waited for, and then for all lanes of a warp.

#include <cuda_runtime.h>

namespace ntk::cuda::hopper {

template <class T>
T& dynamic_shared() {
    static_assert(alignof(T) <= 1024);
    if (sizeof(T) > emulated::shared_bytes()) emulated::fault("the launch asked for less dynamic shared memory than the kernel uses");
    return *reinterpret_cast<T*>(emulated::shared_memory());
}

std::uint32_t shared_address(const void* p);

class Barrier {
public:
    void initialize(unsigned arrivals);
    void arrive();
    void arrive_and_expect(unsigned bytes);
    void wait(unsigned parity);

private:
    std::uint64_t state_;
};

inline void fence_initialized() {}
void copy(void* to, const void* from, unsigned bytes, Barrier& barrier);

template <int count>
void give_registers() {
    static_assert(count >= 24 && count <= 256 && count % 8 == 0);
}
template <int count>
void claim_registers() {
    static_assert(count >= 24 && count <= 256 && count % 8 == 0);
}

inline void fence_products() {}
void commit_products();
void wait_for_products(unsigned groups);
template <unsigned groups>
void wait_for_products() {
    wait_for_products(groups);
}
inline void settle(float (&)[64]) {}
void multiply(float (&sums)[64], std::uint64_t rows, std::uint64_t cols, bool accumulate);

}  // namespace ntk::cuda::hopper

// What cuda/hopper.hpp names: barriers that count arrivals and bytes, copies into shared memory, products of a warpgroup. All state is in
// fixed arrays: threads are fibers, and memory from one freed by another would be a race.

#include "state.hpp"
#include "sanitizers.hpp"

#include <cuda/hopper.hpp>
#include <cuda_fp16.h>

#include <vector>

namespace emulated {
namespace {

constexpr unsigned most_barriers = 64, most_copies = 8, most_products = 64, most_threads = 1024;

struct Copy {
    void* to;
    const void* from;
    unsigned bytes;
};

struct BarrierState {
    const void* address;
    unsigned expected, pending;  ///< arrivals of a phase, and those that have not come
    long bytes;                  ///< expected and not yet copied
    unsigned phase;              ///< phases ended
    unsigned copies;
    Copy copy[most_copies];  ///< asked for and not yet made
    BarrierClocks clocks;
    char asked;  ///< the copies' clock
};

struct Product {
    float* sums;
    std::uint64_t rows, cols;
    bool accumulate;
    unsigned group;
};

/// The products of a thread that have not been computed.
struct Products {
    unsigned first, count, group;
    Product product[most_products];
};

struct State {
    unsigned barriers = 0;
    BarrierState barrier[most_barriers];
    Products products[most_threads];
};
State& state = *new State;

BarrierState& state_of(const void* barrier) {
    for (unsigned i = 0; i < state.barriers; ++i)
        if (state.barrier[i].address == barrier) return state.barrier[i];
    fault("a barrier that was not initialised", barrier);
}

void end_phase_if_complete(BarrierState& barrier) {
    ++block_progress();
    if (barrier.pending > 0 || barrier.bytes != 0) return;
    barrier.clocks.open(barrier.phase);
    ++barrier.phase;
    barrier.pending = barrier.expected;
}

void arrive(BarrierState& barrier) {
    if (barrier.pending == 0) fault("more arrivals at a barrier than it expects", barrier.address);
    --barrier.pending;
    barrier.clocks.arrive();
    end_phase_if_complete(barrier);
}

void make_copies(BarrierState& barrier) {
    if (barrier.copies == 0) return;
    acquire(&barrier.asked);
    for (unsigned i = 0; i < barrier.copies; ++i) {
        const Copy& copy = barrier.copy[i];
        touch(copy.from, copy.bytes, false);
        touch(copy.to, copy.bytes, true);
        std::memcpy(copy.to, copy.from, copy.bytes);
        barrier.bytes -= copy.bytes;
    }
    barrier.copies = 0;
    barrier.clocks.arrive();
    end_phase_if_complete(barrier);
}

bool in_shared_memory(const void* p, std::size_t bytes) {
    const auto* address = static_cast<const std::byte*>(p);
    return address >= shared_memory() && address + bytes <= shared_memory() + shared_bytes();
}

bool multiple_of_16(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

/// The 16 columns of one row of an operand: rows of 128 bytes in groups of eight, a stride apart, with the 128-byte swizzle, which
/// exchanges chunks of 16 bytes by address bits 7 to 9.
void read_row(std::uint64_t descriptor, unsigned row, float (&values)[16]) {
    static const std::vector<float> value_of = [] {
        std::vector<float> table(65536);
        for (unsigned bits = 0; bits < 65536; ++bits) table[bits] = __half2float(__half(__half_raw{static_cast<unsigned short>(bits)}));
        return table;
    }();
    constexpr std::uint64_t field = 0x3fff;
    if (descriptor >> 62 != 1 || (descriptor >> 49 & 7) != 0) fault("a matrix descriptor other than of rows with the 128-byte swizzle");
    const std::uint64_t start = (descriptor & field) * 16, stride = (descriptor >> 32 & field) * 16;
    for (unsigned chunk = 0; chunk < 2; ++chunk) {
        const std::uint64_t address = start + row / 8 * stride + row % 8 * 128 + chunk * 16, swizzled = address ^ (address >> 3 & 0x70);
        if (swizzled + 16 > shared_bytes()) fault("a product reads outside of shared memory");
        touch(shared_memory() + swizzled, 16, false);
        unsigned short bits[8];
        std::memcpy(bits, shared_memory() + swizzled, sizeof bits);
        for (unsigned k = 0; k < 8; ++k) values[8 * chunk + k] = value_of[bits[k]];
    }
}

/// This thread's part of rows (64 x 16) cols^T (128 x 16).
void compute(const Product& product) {
    const unsigned thread = thread_rank() % 128, row = thread / 32 * 16 + thread % 32 / 4, col = thread % 4 * 2;
    float rows[2][16];
    read_row(product.rows, row, rows[0]);
    read_row(product.rows, row + 8, rows[1]);
    for (unsigned j = 0; j < 16; ++j)
        for (unsigned e = 0; e < 2; ++e) {
            float cols[16];
            read_row(product.cols, 8 * j + col + e, cols);
            for (unsigned h = 0; h < 2; ++h) {
                float& sum = product.sums[4 * j + 2 * h + e];
                if (!product.accumulate) sum = 0;
                for (unsigned k = 0; k < 16; ++k) sum += rows[h][k] * cols[k];
            }
        }
}

}  // namespace

void begin_asynchronous_work() {
    state.barriers = 0;
    for (Products& products : state.products) products.first = products.count = products.group = 0;
}

void end_asynchronous_work() {
    for (unsigned i = 0; i < state.barriers; ++i)
        if (state.barrier[i].copies > 0) fault("a block ends before its copies into shared memory");
    for (const Products& products : state.products)
        if (products.count > 0) fault("a block ends before its products were waited for");
}

}  // namespace emulated

namespace ntk::cuda::hopper {

using namespace emulated;

std::uint32_t shared_address(const void* p) {
    if (!in_shared_memory(p, 1)) fault("no address in dynamic shared memory", p);
    return static_cast<std::uint32_t>(static_cast<const std::byte*>(p) - shared_memory());
}

void Barrier::initialize(unsigned arrivals) {
    if (!in_shared_memory(this, sizeof *this)) fault("a barrier outside of dynamic shared memory", this);
    if (state.barriers == most_barriers) fault("more barriers than the emulated device has");
    BarrierState& barrier = state.barrier[state.barriers++];
    barrier = {};
    barrier.address = this;
    barrier.expected = barrier.pending = arrivals;
}

void Barrier::arrive() { emulated::arrive(state_of(this)); }

void Barrier::arrive_and_expect(unsigned bytes) {
    state_of(this).bytes += bytes;
    arrive();
}

void Barrier::wait(unsigned parity) {
    BarrierState& barrier = state_of(this);
    wait_until([&] {
        const auto ended = [&] { return barrier.phase % 2 != parity; };
        if (!ended()) make_copies(barrier);
        return ended();
    });
    barrier.clocks.depart(parity);
}

void copy(void* to, const void* from, unsigned bytes, Barrier& target) {
    if (!in_shared_memory(to, bytes)) fault("a copy leaves dynamic shared memory", to);
    if (!in_allocation(from, bytes)) fault("a copy into shared memory reads outside of device memory", from);
    if (!multiple_of_16(to) || !multiple_of_16(from) || bytes % 16 != 0) fault("a copy of other than multiples of 16 bytes", from);
    BarrierState& barrier = state_of(&target);
    if (barrier.copies == most_copies) fault("more copies than the emulated device has");
    barrier.copy[barrier.copies++] = {to, from, bytes};
    release(&barrier.asked);
    if (settings.eager) make_copies(barrier);
}

void multiply(float (&sums)[64], std::uint64_t rows, std::uint64_t cols, bool accumulate) {
    Products& products = state.products[thread_rank()];
    if (products.count == most_products) fault("more products in flight than the emulated device has");
    products.product[products.count++] = {sums, rows, cols, accumulate, products.group};
    if (settings.eager) compute(products.product[products.first++]);
}

void commit_products() { ++state.products[thread_rank()].group; }

void wait_for_products(unsigned groups) {
    Products& products = state.products[thread_rank()];
    const auto due = [&] { return products.first < products.count && products.product[products.first].group + groups < products.group; };
    while (due()) compute(products.product[products.first++]);
    if (products.first == products.count) products.first = products.count = 0;
    gather(~0U, 0);
}

}  // namespace ntk::cuda::hopper

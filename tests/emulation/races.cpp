// Planted races, and the same work done right. Run under ThreadSanitizer with the name of one.

#include "cuda/context.hpp"

#include <cstdio>
#include <map>
#include <string>

using namespace ntk::cuda;

namespace {

constexpr unsigned threads = 64;
const LaunchShape one_block{dim3(1), dim3(threads)}, two_blocks{dim3(2), dim3(threads)};

/// Every thread of every block adds to the same number.
__global__ void count_kernel(double* total) { *total += 1; }

/// Every thread writes its own number and, after the barrier, reads its neighbour's.
__global__ void shift_kernel(double* x) {
    __shared__ double tile[threads];
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = tile[(threadIdx.x + 1) % threads];
}

__global__ void add_one_kernel(double* x) { x[threadIdx.x] += 1; }

void fill_zero(Context& context, const Buffer& buffer) {
    static const double zero[threads] = {};
    check(cudaMemcpyAsync(buffer.as<void>(), zero, sizeof zero, cudaMemcpyHostToDevice, context.stream()), "cudaMemcpyAsync");
    context.synchronize();
}

void no_atomic() {
    Context context(0);
    const Buffer total(context, threads * sizeof(double));
    fill_zero(context, total);
    context.launch("count", two_blocks, count_kernel, total.as<double>());
    context.synchronize();
}

void shared_tile() {
    Context context(0);
    const Buffer x(context, threads * sizeof(double));
    fill_zero(context, x);
    context.launch("shift", one_block, shift_kernel, x.as<double>());
    context.launch("shift", one_block, shift_kernel, x.as<double>());
    context.synchronize();
}

/// Two streams on the same numbers, and nothing that orders them.
void two_streams(bool synchronize_between) {
    Context first(0), second(0);
    const Buffer x(first, threads * sizeof(double));
    fill_zero(first, x);
    first.launch("add_one", one_block, add_one_kernel, x.as<double>());
    if (synchronize_between) first.synchronize();
    second.launch("add_one", one_block, add_one_kernel, x.as<double>());
    second.synchronize();
    first.synchronize();
}

}  // namespace

int main(int, char** arguments) {
    const std::map<std::string, void (*)()> cases{{"no_atomic", no_atomic},
                                                  {"no_event_tsan", [] { two_streams(false); }},
                                                  {"shared_tile", shared_tile},
                                                  {"synchronized", [] { two_streams(true); }}};
    cases.at(arguments[1])();
    std::puts("no race was found");
}

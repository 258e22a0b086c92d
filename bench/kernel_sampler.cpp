// Kernels of random networks on the CPU, ReLU, one output, float64: microseconds a network by either sampler.
//
//     bench_kernel_sampler [--benchmark_filter=weights/20/2/4] [--benchmark_format=json]
//
// Names: sampler / width / samples / affine layers / networks of one round. 2 features; all threads (OMP_NUM_THREADS).
// bench/peers/run_ensemble sets them beside other tools.

#include <ntkcuda/backend.hpp>
#include <ntkcuda/device.hpp>
#include <ntkcuda/kernel_sampler.hpp>

#include <benchmark/benchmark.h>

#include <string>

namespace {

using namespace ntk;

void sample(benchmark::State& state, Sampler sampler) {
    const Index width = state.range(0), samples = state.range(1), networks = state.range(3);
    const auto backend = make_backend<double>("cpu");
    KernelSamplerOptions options;
    options.architecture.inputs = 2;
    options.architecture.hidden.assign(static_cast<std::size_t>(state.range(2) - 1), width);
    options.sampler = sampler;
    const auto kernels = backend->kernel_sampler(options, upload(backend, host_normals({1, 0, data_stream}, samples, 2)).view());
    Matrix<double> out(backend, networks, kernels->layout().columns());
    std::uint32_t first = 0;
    for ([[maybe_unused]] auto round : state) {
        kernels->sample(first, out.view());
        first += static_cast<std::uint32_t>(networks);
    }
    state.counters["us_per_network"] = benchmark::Counter(static_cast<double>(networks) * 1e-6,
                                                          benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

#define SETTINGS(name, sampler)              \
    BENCHMARK_CAPTURE(sample, name, sampler) \
        ->Name(#name)                        \
        ->Args({20, 2, 4, 100000})           \
        ->Args({80, 2, 4, 10000})            \
        ->Args({1000, 20, 4, 64})            \
        ->Args({1000, 20, 10, 16})           \
        ->Args({2000, 20, 4, 32})            \
        ->MeasureProcessCPUTime()            \
        ->UseRealTime()                      \
        ->Unit(benchmark::kMillisecond)
SETTINGS(weights, Sampler::weights);
SETTINGS(conditional, Sampler::conditional);

}  // namespace

BENCHMARK_MAIN();

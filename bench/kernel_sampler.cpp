// kernel_sampler: kernels of random networks, ReLU, one output, float64, 2 features: microseconds a network by either sampler.
//
// Names: sampler / width / samples / affine layers / networks of one round. bench/peers/run_ensemble sets them beside other tools.

#include "measure.hpp"
#include "problem.hpp"

#include <ntkcuda/kernel_sampler.hpp>

namespace {

using namespace ntk;

void sample(benchmark::State& state, Sampler sampler) {
    const Index width = state.range(0), samples = state.range(1), networks = state.range(3);
    const auto backend = make_backend<double>(bench::device());
    KernelSamplerOptions options;
    options.architecture = bench::relu_network(2, width, state.range(2));
    options.sampler = sampler;
    const auto kernels = backend->kernel_sampler(options, bench::normal_samples(backend, samples, 2).view());
    Matrix<double> out(backend, networks, kernels->layout().columns());
    std::uint32_t first = 0;
    for ([[maybe_unused]] auto round : state) {
        kernels->sample(first, out.view());
        backend->synchronize();
        first += static_cast<std::uint32_t>(networks);
    }
    state.counters["us_per_network"] = benchmark::Counter(static_cast<double>(networks) * 1e-6,
                                                          benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

#define SETTINGS(name, sampler)              \
    BENCHMARK_CAPTURE(sample, name, sampler) \
        ->Name("kernel_sampler/" #name)      \
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

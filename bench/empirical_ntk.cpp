// empirical_ntk: the whole empirical NTK (forward, backward, both Gram matrices of every layer), one output, 64 features, against the floor
// of its flops: symmetric products counted once, at the rate that this device's GEMM reaches in the same run.
//
// Names: precision / samples / width / depth; fast: layer Grams of operands rounded to FP16, the rest in float64. Every round has a network
// of its own, drawn before the clock starts. `relative_error`: against the same kernel in float64, of the last network.

#include "measure.hpp"
#include "problem.hpp"

#include <ntkcuda/gram.hpp>

namespace {

using namespace ntk;

template <class Real>
HostMatrix<Real> kernel_of_network(const Architecture& architecture, Index n, std::uint64_t seed) {
    const auto backend = make_backend<Real>(bench::device());
    const auto x = bench::normal_samples(backend, n, architecture.inputs);
    return download(empirical_ntk<Real>(draw_network(backend, architecture, seed), x.view()));
}

/// The kernels with sums of type Real: the ceiling is the GEMM of that type.
template <class Real>
void whole_kernel(benchmark::State& state) {
    const Index n = state.range(0), width = state.range(1), depth = state.range(2);
    const auto backend = make_backend<Real>(bench::device());
    const Architecture architecture = bench::relu_network(64, width, depth);
    const auto x = bench::normal_samples(backend, n, architecture.inputs);
    bench::Ceiling<Real> ceiling(backend, n, width);
    bench::Rounds rounds;
    std::uint64_t seed = 1;
    const auto compute = [&](const Network<Real>& network) {
        benchmark::DoNotOptimize(empirical_ntk<Real>(network, x.view()).view().data());
    };
    compute(draw_network(backend, architecture, seed));  // warm-up
    for ([[maybe_unused]] auto round : state) {
        const Network<Real> network = draw_network(backend, architecture, ++seed);
        const double rate = ceiling.rate();
        rounds.add(state, bench::seconds(*backend, [&] { compute(network); }), bench::ntk_flops(architecture, n), rate);
    }
    rounds.report(state);
    if constexpr (std::is_same_v<Real, float>)
        if (n <= 4096)
            state.counters["relative_error"] = bench::relative_difference(kernel_of_network<float>(architecture, n, seed),
                                                                          kernel_of_network<double>(architecture, n, seed));
}

/// Float64 but for the layer Grams. `floor_ratio`: to its flops, the passes at the rate of the GEMM of float64, the Grams at that of FP16
/// (on the CPU of float32).
void fast_kernel(benchmark::State& state) {
    const Index n = state.range(0), width = state.range(1), depth = state.range(2);
    const auto backend = make_backend<double>(bench::device());
    const Architecture architecture = bench::relu_network(64, width, depth);
    const auto x = bench::normal_samples(backend, n, architecture.inputs);
    bench::Ceiling<double> exact(backend, std::min<Index>(n, 8192), width);
    bench::HalfCeiling half(std::min<Index>(n, 16384), width);
    bench::Rounds rounds;
    EmpiricalOptions options;
    options.gram = GramPrecision::half;
    std::uint64_t seed = 1;
    const auto compute = [&](const Network<double>& network) {
        benchmark::DoNotOptimize(empirical_ntk<double>(network, x.view(), options).view().data());
    };
    compute(draw_network(backend, architecture, seed));  // warm-up
    const double passes = bench::pass_flops(architecture, n), grams = bench::ntk_flops(architecture, n) - passes;
    for ([[maybe_unused]] auto round : state) {
        const Network<double> network = draw_network(backend, architecture, ++seed);
        const double rate = half.rate(), floor = passes / exact.rate() + grams / rate;
        rounds.add(state, bench::seconds(*backend, [&] { compute(network); }), floor * rate, rate);
    }
    rounds.report(state);
    if (n > 4096) return;
    const Network<double> network = draw_network(backend, architecture, seed);
    state.counters["relative_error"] = bench::relative_difference(download(empirical_ntk<double>(network, x.view(), options)),
                                                                  download(empirical_ntk<double>(network, x.view())));
}

void settings(benchmark::internal::Benchmark* b) {
    b->Args({256, 512, 4})->Args({bench::size(3072, 8192), 1024, 4});
    b->Iterations(9)->UseManualTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK(whole_kernel<double>)->Name("empirical_ntk/float64")->Apply(settings);
BENCHMARK(whole_kernel<float>)->Name("empirical_ntk/float32")->Apply(settings);
BENCHMARK(fast_kernel)->Name("empirical_ntk/fast")->Apply([](auto* b) {
    b->Args({bench::size(3072, 8192), 1024, 4})->Iterations(9)->UseManualTime()->Unit(benchmark::kMillisecond);
});

}  // namespace

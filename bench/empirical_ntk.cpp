// The whole empirical NTK (forward, backward, both Gram matrices of every layer) of ReLU networks with one output, 64 features, against the
// floor of its flops: symmetric products counted once, at the rate that this device's GEMM reaches in the same run.
//
//     bench_empirical_ntk [--benchmark_filter=float64/3072]
//
// Names: precision / samples / width / depth. Every round has a network of its own, drawn before the clock starts.

#include "measure.hpp"

#include <ntkcuda/gram.hpp>

namespace {

using namespace ntk;

/// Flops of the symmetric NTK, summed over outputs, of n samples.
double least_flops(const Architecture& architecture, Index n) {
    double propagate = 0, gram = 0;
    for (Index l = 1; l <= architecture.depth(); ++l) {
        const double products = 2.0 * static_cast<double>(architecture.width(l - 1) * architecture.width(l));
        propagate += products;                                                             // forward
        if (l > 1 && l < architecture.depth()) propagate += products;                      // backward
        gram += static_cast<double>(architecture.width(l - 1));                            // <a, a'>, half of it
        if (l < architecture.depth()) gram += static_cast<double>(architecture.width(l));  // <delta, delta'>
    }
    return static_cast<double>(n) * propagate + static_cast<double>(n) * static_cast<double>(n) * gram;
}

template <class Real>
void whole_kernel(benchmark::State& state) {
    const Index n = state.range(0), width = state.range(1), depth = state.range(2);
    const auto backend = make_backend<Real>(bench::device());
    Architecture architecture;
    architecture.inputs = 64;
    architecture.hidden.assign(static_cast<std::size_t>(depth - 1), width);
    Matrix<Real> x(backend, n, architecture.inputs);
    backend->draw_normals({1, 0, data_stream}, 1, x.view());
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
        rounds.add(state, bench::seconds(*backend, [&] { compute(network); }), least_flops(architecture, n), rate);
    }
    rounds.report(state);
}

#define SETTINGS(name, Real)      \
    BENCHMARK(whole_kernel<Real>) \
        ->Name(name)              \
        ->Args({256, 512, 4})     \
        ->Args({3072, 1024, 4})   \
        ->Iterations(9)           \
        ->UseManualTime()         \
        ->Unit(benchmark::kMillisecond)
SETTINGS("float64", double);
SETTINGS("float32", float);

}  // namespace

BENCHMARK_MAIN();

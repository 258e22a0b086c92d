// infinite_width, pair_recursion: the analytic NTK and the normalised recursion of every pair, between all samples on the sphere in 64
// features, ReLU, float64.
//
// Names: infinite_width / samples / depth; pair_recursion / samples / layers of one advance.
// `ns_per_pair_layer`: time over the pairs j <= i and their layers. `write_ratio`: the time that writing the result takes, at the rate at
// which this device fills a matrix in the same run, over the time (1: nothing but memory would be faster).

#include "measure.hpp"
#include "problem.hpp"

#include <ntkcuda/infinite_width.hpp>

namespace {

using namespace ntk;

constexpr Index features = 64;

/// Seconds that all entries of a matrix take to be written.
double fill_time(Backend<double>& backend, Matrix<double>& out) {
    return bench::seconds(backend, [&] { backend.fill(out.view(), 0); });
}

void report(benchmark::State& state, Index n, Index layers, const std::vector<double>& time, const std::vector<double>& fill) {
    const double pairs = 0.5 * static_cast<double>(n) * static_cast<double>(n + 1);
    const double median = bench::median(time);
    state.counters["median_s"] = median;
    state.counters["ns_per_pair_layer"] = 1e9 * median / (pairs * static_cast<double>(layers));
    state.counters["write_ratio"] = bench::median(fill) / median;
    state.counters["threads"] = omp_get_max_threads();
}

void infinite_width(benchmark::State& state) {
    const Index n = state.range(0), depth = state.range(1);
    const auto backend = make_backend<double>(bench::device());
    const Architecture architecture = bench::relu_network(features, 1, depth);
    Matrix<double> out(backend, n, n);
    std::vector<double> time, fill;
    std::uint64_t seed = 1;
    for ([[maybe_unused]] auto round : state) {
        const auto x = bench::normal_samples(backend, n, features, ++seed);
        fill.push_back(fill_time(*backend, out));
        time.push_back(bench::seconds(*backend, [&] {
            backend->infinite_width_kernel(architecture, InfiniteKernel::ntk, x.view(), x.view(), Triangle::lower, out.view());
            backend->mirror_lower(out.view());
        }));
        state.SetIterationTime(time.back());
    }
    report(state, n, depth, time, fill);
}

void pair_recursion(benchmark::State& state) {
    const Index n = state.range(0), layers = state.range(1);
    const auto backend = make_backend<double>(bench::device());
    PairRecursionOptions options;
    options.weight_std = std::numbers::sqrt2;
    const auto x = bench::normal_samples(backend, n, features);
    const auto recursion = backend->pair_recursion(options, x.view(), x.view(), Triangle::lower);
    recursion->advance(2);  // warm-up
    Matrix<double> out(backend, n, n);
    std::vector<double> time, fill;
    for ([[maybe_unused]] auto round : state) {
        fill.push_back(fill_time(*backend, out));
        time.push_back(bench::seconds(*backend, [&] { recursion->advance(recursion->depth() + layers); }));
        state.SetIterationTime(time.back());
    }
    report(state, n, layers, time, fill);
}

void settings(benchmark::internal::Benchmark* b) { b->UseManualTime()->Iterations(5)->Unit(benchmark::kMillisecond); }
BENCHMARK(infinite_width)
    ->Apply([](auto* b) {
        b->Args({bench::size(3072, 60000), 4})->Args({bench::size(3072, 60000), 10})->Args({bench::size(768, 60000), 1000});
    }) -> Apply(settings);
BENCHMARK(pair_recursion)->Apply([](auto* b) { b->Args({bench::size(1024, 16384), 100}); }) -> Apply(settings);

}  // namespace

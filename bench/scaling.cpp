// scaling: how cost grows when one size is doubled twice and the others stay: the slope of log time over log size, by least squares over
// medians of rounds in which the three sizes take turns, beside the slope of the cost in theory (flops; pairs times layers; networks).
//
// Counters: `exponent`, `theory`, the time of the largest size. Small sizes run at a lower rate, which lowers the exponent.

#include "measure.hpp"
#include "problem.hpp"

#include <ntkcuda/gram.hpp>
#include <ntkcuda/infinite_width.hpp>
#include <ntkcuda/kernel_sampler.hpp>

#include <functional>

namespace {

using namespace ntk;

/// Least squares over equally spaced log sizes -1, 0, 1: the slope is half the difference of the ends.
double exponent(double first, double last) { return 0.5 * std::log2(last / first); }

/// Runs the work of the sizes base, 2 base and 4 base in turns: `make` returns it, made once; `cost` is what it should cost, in any unit.
template <class Cost, class Make>
void fit(benchmark::State& state, Index base, const Cost& cost, const Make& make) {
    const auto backend = make_backend<double>(bench::device());
    constexpr int sizes = 3;
    std::vector<std::function<void()>> work;
    std::vector<std::vector<double>> time(sizes);
    for (int k = 0; k < sizes; ++k) {
        work.push_back(make(backend, base << k));
        work.back()();  // warm-up
    }
    for ([[maybe_unused]] auto round : state) {
        for (std::size_t k = 0; k < sizes; ++k) time[k].push_back(bench::seconds(*backend, work[k]));
        state.SetIterationTime(time.back().back());
    }
    state.counters["exponent"] = exponent(bench::median(time.front()), bench::median(time.back()));
    state.counters["theory"] = exponent(cost(base), cost(base << (sizes - 1)));
    state.counters["median_s"] = bench::median(time.back());
}

std::function<void()> kernel(const std::shared_ptr<Backend<double>>& backend, Index n, Index width, Index depth) {
    auto x = std::make_shared<Matrix<double>>(bench::normal_samples(backend, n, 64));
    auto network = std::make_shared<Network<double>>(draw_network(backend, bench::relu_network(64, width, depth), 1));
    return [x, network] { benchmark::DoNotOptimize(empirical_ntk<double>(*network, std::as_const(*x).view()).view().data()); };
}

double proportional(Index size) { return static_cast<double>(size); }
double quadratic(Index size) { return static_cast<double>(size) * static_cast<double>(size); }
double flops(Index n, Index width, Index depth) { return bench::ntk_flops(bench::relu_network(64, width, depth), n); }

void samples(benchmark::State& state) {
    fit(
        state, bench::size(768, 4096), [](Index n) { return flops(n, 512, 4); },
        [](const auto& backend, Index n) { return kernel(backend, n, 512, 4); });
}
void width(benchmark::State& state) {
    const Index n = bench::size(2048, 8192);
    fit(
        state, bench::size(256, 1024), [&](Index w) { return flops(n, w, 4); },
        [&](const auto& backend, Index w) { return kernel(backend, n, w, 4); });
}
void depth(benchmark::State& state) {
    const Index n = bench::size(1024, 8192);
    fit(
        state, 8, [&](Index l) { return flops(n, 512, l); }, [&](const auto& backend, Index l) { return kernel(backend, n, 512, l); });
}
void analytic_samples(benchmark::State& state) {
    fit(state, bench::size(1024, 8192), quadratic, [](const std::shared_ptr<Backend<double>>& backend, Index n) {
        auto x = std::make_shared<Matrix<double>>(bench::normal_samples(backend, n, 64));
        return
            [x] { benchmark::DoNotOptimize(infinite_width_kernel(bench::relu_network(64, 1, 10), InfiniteKernel::ntk, *x).view().data()); };
    });
}
void analytic_depth(benchmark::State& state) {
    fit(state, 64, proportional, [](const std::shared_ptr<Backend<double>>& backend, Index l) {
        auto x = std::make_shared<Matrix<double>>(bench::normal_samples(backend, bench::size(512, 8192), 64));
        return [x, l] {
            benchmark::DoNotOptimize(infinite_width_kernel(bench::relu_network(64, 1, l), InfiniteKernel::ntk, *x).view().data());
        };
    });
}
void networks(benchmark::State& state, Sampler sampler) {
    fit(state, bench::size(20000, 1 << 20), proportional, [&](const std::shared_ptr<Backend<double>>& backend, Index count) {
        KernelSamplerOptions options;
        options.architecture = bench::relu_network(2, 20, 4);
        options.sampler = sampler;
        const auto x = bench::normal_samples(backend, 2, 2);
        std::shared_ptr<KernelSampler<double>> kernels = backend->kernel_sampler(options, x.view());
        auto out = std::make_shared<Matrix<double>>(backend, count, kernels->layout().columns());
        return [kernels, out] { kernels->sample(0, out->view()); };
    });
}

void settings(benchmark::internal::Benchmark* b) { b->UseManualTime()->Iterations(5)->Unit(benchmark::kMillisecond); }
BENCHMARK(samples)->Name("scaling/empirical_ntk/samples")->Apply(settings);
BENCHMARK(width)->Name("scaling/empirical_ntk/width")->Apply(settings);
BENCHMARK(depth)->Name("scaling/empirical_ntk/depth")->Apply(settings);
BENCHMARK(analytic_samples)->Name("scaling/infinite_width/samples")->Apply(settings);
BENCHMARK(analytic_depth)->Name("scaling/infinite_width/depth")->Apply(settings);
BENCHMARK_CAPTURE(networks, weights, Sampler::weights)->Name("scaling/kernel_sampler/weights/networks")->Apply(settings);
BENCHMARK_CAPTURE(networks, conditional, Sampler::conditional)->Name("scaling/kernel_sampler/conditional/networks")->Apply(settings);

}  // namespace

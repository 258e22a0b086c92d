// headline: the closed form of a deep wide network on MNIST-sized data, float64, start to end: weights, empirical NTK of all training
// samples, kernel of the test samples against them, Cholesky factor, predictions.
//
// Names: headline / training samples / test samples / features / width / depth. On the CPU a part of it, 8192 of the 60000 samples.
// NTKCUDA_BENCH_DATA=train-images-idx3-ubyte,t10k-images-idx3-ubyte: these images, each scaled to the sphere; else normal samples on it.
// Counters: seconds of each phase, `kernel_ratio`, `cholesky_ratio` (to the flop floor at the GEMM rate of the same run), peak memory.

#include "measure.hpp"
#include "problem.hpp"

#include <ntkcuda/closed_form.hpp>
#include <ntkcuda/data.hpp>
#include <ntkcuda/gram.hpp>

#include <numeric>
#include <optional>

namespace {

using namespace ntk;

constexpr Index features = 784;

/// `count` samples: of file number `which` of NTKCUDA_BENCH_DATA, or drawn.
Dataset samples(std::size_t which, Index count) {
    DataOptions options;
    options.source = "sphere:n=" + std::to_string(count) + ",d=" + std::to_string(features) + ",seed=" + std::to_string(which + 1);
    if (const char* files = std::getenv("NTKCUDA_BENCH_DATA")) {
        const std::string both = files;
        const auto comma = both.find(',');
        options.source = which == 0 ? both.substr(0, comma) : both.substr(comma + 1);
        options.samples = count;
    }
    Dataset data = load_data(options);
    normalize(Normalization::sphere, data);
    return data;
}

void headline(benchmark::State& state) {
    const Index n = state.range(0), tests = state.range(1), width = state.range(3), depth = state.range(4);
    const bench::PeakMemory memory;
    const auto backend = make_backend<double>(bench::device());
    const Architecture architecture = bench::relu_network(features, width, depth);
    const Matrix<double> x = upload(backend, samples(0, n).x), t = upload(backend, samples(1, tests).x);
    Matrix<double> y(backend, n, 10);
    backend->draw_normals({1, 0, 0}, 1, y.view());
    // The ceiling right before and after a phase: a long run may not keep its clock.
    const auto rate = [&] { return bench::Ceiling<double>(backend, std::min<Index>(n, 8192), width).rate(); };
    rate();  // warm-up
    for ([[maybe_unused]] auto once : state) {
        const auto phase = [&](const char* name, const auto& work) {
            const double time = bench::seconds(*backend, work);
            state.counters[name] = time;
            return time;
        };
        std::optional<Network<double>> network;
        Matrix<double> kernel, cross;
        std::optional<KernelSystem<double>> system;
        double total = phase("weights_s", [&] { network = draw_network(backend, architecture, 1); });
        const double before = rate();
        const double kernel_s = phase("kernel_s", [&] { kernel = empirical_ntk<double>(*network, x.view()); });
        const double between = rate();
        const double cross_s = phase("test_kernel_s", [&] { cross = empirical_ntk<double>(*network, t.view(), x.view()); });
        const double system_s = phase("cholesky_s", [&] { system.emplace(std::move(kernel), 0); });
        const double after = rate();
        total += kernel_s + cross_s + system_s;
        total += phase("predict_s", [&] { benchmark::DoNotOptimize(system->predict(cross, y).view().data()); });
        state.SetIterationTime(total);
        const double cubed = static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n);
        state.counters["kernel_ratio"] = bench::ntk_flops(architecture, n) / std::midpoint(before, between) / kernel_s;
        state.counters["test_kernel_ratio"] = bench::ntk_flops(architecture, tests, n) / between / cross_s;
        state.counters["cholesky_ratio"] = cubed / 3 / std::midpoint(between, after) / system_s;
        state.counters["gemm_gflops"] = 1e-9 * between;
    }
    state.counters["peak_memory_GB"] = memory.gigabytes();
    state.counters["device_memory_GB"] = 1e-9 * static_cast<double>(backend->info().memory_total - backend->info().memory_free);
}

BENCHMARK(headline)->Apply([](auto* b) {
                       b->Args({bench::size(8192, 60000), bench::size(2048, 10000), features, 1024, 10});
                   }) -> UseManualTime() -> Iterations(1) -> Unit(benchmark::kMillisecond);

}  // namespace

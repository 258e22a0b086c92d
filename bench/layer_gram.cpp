// One layer of the tangent kernel on the CPU against the floor of its flops: half of two n x n x w products, at the rate that this
// machine's GEMM reaches on the same shape in the same run. Both are timed in turns, so that other work on the machine meets both.
//
//     bench_layer_gram [--benchmark_filter=...]
//
// Counters: `floor_ratio` = floor time / measured time (1 is perfect), median over rounds; `gemm_gflops`, `layer_gflops`, medians.
// The GEMM is the library's own threaded one, as OpenBLAS ships it; the layer runs on as many threads.

#include <ntkcuda/backend.hpp>
#include <ntkcuda/device.hpp>

#include <benchmark/benchmark.h>
#include <cblas.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace {

using namespace ntk;

double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
    return values[values.size() / 2];
}

template <class F>
double seconds(const F& f) {
    const auto start = std::chrono::steady_clock::now();
    f();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void library_gemm(int n, int k, const double* a, const double* b, double* c) {
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, k, 1, a, k, b, k, 0, c, n);
}
void library_gemm(int n, int k, const float* a, const float* b, float* c) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, k, 1, a, k, b, k, 0, c, n);
}

template <class Real>
void layer_gram(benchmark::State& state) {
    const Index n = state.range(0), w = state.range(1);
    const auto backend = make_backend<Real>("cpu");
    openblas_set_num_threads(omp_get_max_threads());
    Matrix<Real> a(backend, n, w), d(backend, n, w), theta(backend, n, n), product(backend, n, n);
    backend->draw_normals({1, 0, 0}, 1, a.view());
    backend->draw_normals({1, 0, 1}, 1, d.view());
    backend->fill(theta.view(), 0);
    backend->fill(product.view(), 0);
    const double products = static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(w);
    std::vector<double> ratio, gemm_rate, layer_rate;
    for ([[maybe_unused]] auto round : state) {
        const double gemm = seconds(
            [&] { library_gemm(static_cast<int>(n), static_cast<int>(w), a.view().data(), d.view().data(), product.view().data()); });
        const double layer = seconds([&] {
            backend->accumulate_layer_gram(theta.view(), std::as_const(a).view(), std::as_const(a).view(), std::as_const(d).view(),
                                           std::as_const(d).view(), 0.5, 0.1, Triangle::lower);
        });
        gemm_rate.push_back(2e-9 * products / gemm);
        layer_rate.push_back(2e-9 * products / layer);
        ratio.push_back(gemm / layer);  // half of two products take the time of one
        state.SetIterationTime(layer);
    }
    state.counters["floor_ratio"] = median(ratio);
    state.counters["gemm_gflops"] = median(gemm_rate);
    state.counters["layer_gflops"] = median(layer_rate);
    state.counters["threads"] = omp_get_max_threads();
}

BENCHMARK(layer_gram<double>)
    ->Name("layer_gram/float64")
    ->Args({3072, 1024})
    ->UseManualTime()
    ->Iterations(15)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(layer_gram<float>)
    ->Name("layer_gram/float32")
    ->Args({3072, 1024})
    ->UseManualTime()
    ->Iterations(15)
    ->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();

// layer_gram: one layer of the tangent kernel against the floor of its flops: half of two n x n x width products, at the rate that this
// device's GEMM reaches on the same shape in the same run.
//
// fast: operands rounded to FP16 from float64, against the GEMM of FP16 (on the CPU of float32).
//
// Names: precision / samples / width; fast: / layers.

#include "measure.hpp"

namespace {

using namespace ntk;

template <class Real>
void layer_gram(benchmark::State& state) {
    const Index n = state.range(0), width = state.range(1);
    const auto backend = make_backend<Real>(bench::device());
    Matrix<Real> a(backend, n, width), d(backend, n, width), theta(backend, n, n);
    backend->draw_normals({1, 0, 0}, 1, a.view());
    backend->draw_normals({1, 0, 1}, 1, d.view());
    backend->fill(theta.view(), 0);
    bench::Ceiling<Real> ceiling(backend, n, width);
    bench::Rounds rounds;
    const double flops = 2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(width);
    const auto layer = [&] {
        backend->accumulate_layer_gram(theta.view(), std::as_const(a).view(), std::as_const(a).view(), std::as_const(d).view(),
                                       std::as_const(d).view(), 0.5, 0.1, Triangle::lower);
    };
    layer();  // warm-up
    for ([[maybe_unused]] auto round : state) {
        const double rate = ceiling.rate();
        rounds.add(state, bench::seconds(*backend, layer), flops, rate);
    }
    rounds.report(state);
}

/// All layers of a kernel, added to theta and finished: what a path that keeps theta in registers over the layers is for.
void half_layer_grams(benchmark::State& state) {
    const Index n = state.range(0), width = state.range(1), layers = state.range(2);
    const auto backend = make_backend<double>(bench::device());
    Matrix<double> a(backend, n, width), d(backend, n, width), theta(backend, n, n);
    backend->draw_normals({1, 0, 0}, 1, a.view());
    backend->draw_normals({1, 0, 1}, 1, d.view());
    backend->fill(theta.view(), 0);
    bench::HalfCeiling ceiling(std::min<Index>(n, 16384), width);
    bench::Rounds rounds;
    const double flops = 2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(width * layers);
    const auto grams = [&] {
        const auto sum = backend->half_gram_sum(theta.view(), Triangle::lower);
        const auto left = std::as_const(a).view(), delta = std::as_const(d).view();
        for (Index l = 0; l < layers; ++l) sum->add(left, left, delta, delta, 0.5, 0.1);
        sum->finish();
    };
    grams();  // warm-up
    for ([[maybe_unused]] auto round : state) {
        const double rate = ceiling.rate();
        rounds.add(state, bench::seconds(*backend, grams), flops, rate);
    }
    rounds.report(state);
}

void settings(benchmark::internal::Benchmark* b) {
    b->Args({bench::size(3072, 16384), 1024})->UseManualTime()->Iterations(15)->Unit(benchmark::kMillisecond);
}
BENCHMARK(layer_gram<double>)->Name("layer_gram/float64")->Apply(settings);
BENCHMARK(layer_gram<float>)->Name("layer_gram/float32")->Apply(settings);
BENCHMARK(half_layer_grams)->Name("layer_gram/fast")->Apply([](auto* b) {
    b->Args({bench::size(3072, 60000), 1024, bench::size(1, 10)})
        ->UseManualTime()
        ->Iterations(bench::size(9, 5))
        ->Unit(benchmark::kMillisecond);
});

}  // namespace

// cholesky: the factorisation of the closed form, n^3 / 3 flops at the rate of this device's GEMM in the same run.
//
// Names: precision / samples. Every round factorises a fresh copy of K = X X^T / d + I. `relative_error`: |K x - b| / (|K| |x|), 2-norms of
// the vectors and the Frobenius norm of K, for one right-hand side.

#include "measure.hpp"
#include "problem.hpp"

#include <stdexcept>

namespace {

using namespace ntk;

template <class Real>
void cholesky(benchmark::State& state) {
    const Index n = state.range(0), d = 64;
    const auto backend = make_backend<Real>(bench::device());
    const auto x = bench::normal_samples(backend, n, d);
    Matrix<Real> kernel(backend, n, n), factor(backend, n, n);
    backend->fill(kernel.view(), 0);
    backend->accumulate_gram(kernel.view(), x.view(), x.view(), 1.0 / static_cast<double>(d), Triangle::lower);
    backend->add_to_diagonal(1, kernel.view());
    backend->mirror_lower(kernel.view());
    bench::Ceiling<Real> ceiling(backend, std::min<Index>(n, 8192), 1024);
    bench::Rounds rounds;
    const auto factorise = [&] {
        if (backend->cholesky(factor.view()).failed_minor != 0) throw std::runtime_error("the matrix is not positive definite");
    };
    const double flops = static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n) / 3;
    backend->copy(std::as_const(kernel).view(), factor.view());
    factorise();  // warm-up
    for ([[maybe_unused]] auto round : state) {
        backend->copy(std::as_const(kernel).view(), factor.view());
        const double rate = ceiling.rate();
        rounds.add(state, bench::seconds(*backend, factorise), flops, rate);
    }
    rounds.report(state);
    Matrix<Real> b(backend, n, 1), solution(backend, n, 1);
    backend->draw_normals({1, 0, 0}, 1, b.view());
    backend->copy(std::as_const(b).view(), solution.view());
    backend->cholesky_solve(std::as_const(factor).view(), solution.view());
    backend->gemm(Transpose::no, Transpose::no, 1, std::as_const(kernel).view(), std::as_const(solution).view(), -1, b.view());
    state.counters["relative_error"] =
        backend->norms(std::as_const(b).view()).frobenius /
        (backend->norms(std::as_const(kernel).view()).frobenius * backend->norms(std::as_const(solution).view()).frobenius);
}

void settings(benchmark::internal::Benchmark* b) {
    b->Args({bench::size(1024, 8192)})->Args({bench::size(6144, 32768)});
    b->UseManualTime()->Iterations(5)->Unit(benchmark::kMillisecond);
}
BENCHMARK(cholesky<double>)->Name("cholesky/float64")->Apply(settings);
BENCHMARK(cholesky<float>)->Name("cholesky/float32")->Apply(settings);

}  // namespace

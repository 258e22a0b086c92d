#pragma once

// What the benchmarks share: the device they run on, clocks, and the rate of its GEMM, which is the ceiling of the others.

#include <ntkcuda/backend.hpp>
#include <ntkcuda/device.hpp>

#include <benchmark/benchmark.h>
#include <cblas.h>
#include <omp.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

namespace ntk::bench {

/// NTKCUDA_BENCH_DEVICE, or the first GPU if there is one, else the CPU.
inline std::string device() {
    const char* name = std::getenv("NTKCUDA_BENCH_DEVICE");
    return name ? name : "auto";
}

inline double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
    return values[values.size() / 2];
}

/// Seconds that f takes, until all of its work on the device is done.
template <class Real, class F>
double seconds(Backend<Real>& backend, const F& f) {
    backend.synchronize();
    const auto start = std::chrono::steady_clock::now();
    f();
    backend.synchronize();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline void library_gemm(blasint n, blasint k, const double* a, double* c) {
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, k, 1, a, k, a, k, 0, c, n);
}
inline void library_gemm(blasint n, blasint k, const float* a, float* c) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, k, 1, a, k, a, k, 0, c, n);
}

/// The GEMM of the device's library, c (n x n) = a a^T with a (n x k), all of it: the ceiling. On the CPU OpenBLAS with its own threads.
template <class Real>
class Ceiling {
public:
    Ceiling(std::shared_ptr<Backend<Real>> backend, Index n, Index k)
        : backend_(std::move(backend)), a_(backend_, n, k), c_(backend_, n, n) {
        openblas_set_num_threads(omp_get_max_threads());
        backend_->draw_normals({1, 0, 0}, 1, a_.view());
        backend_->fill(c_.view(), 0);
    }

    /// Flops a second, measured now.
    double rate() {
        const double n = static_cast<double>(a_.rows()), k = static_cast<double>(a_.cols());
        return 2 * n * n * k / seconds(*backend_, [&] {
                   if (backend_->info().kind == DeviceKind::cpu)
                       library_gemm(static_cast<blasint>(a_.rows()), static_cast<blasint>(a_.cols()), a_.view().data(), c_.view().data());
                   else
                       backend_->gemm(Transpose::no, Transpose::yes, 1, std::as_const(a_).view(), std::as_const(a_).view(), 0, c_.view());
               });
    }

private:
    std::shared_ptr<Backend<Real>> backend_;
    Matrix<Real> a_, c_;
};

/// Times of something beside the time its flops would take at the rate of the ceiling, both measured in turns so that other work on the
/// machine meets both.
class Rounds {
public:
    /// One round: `flops` of work took `time` seconds where the ceiling ran at `rate`.
    void add(benchmark::State& state, double time, double flops, double rate) {
        state.SetIterationTime(time);
        time_.push_back(time);
        ratio_.push_back(flops / rate / time);
        rate_.push_back(1e-9 * rate);
    }

    /// Counters: `floor_ratio` (1: as fast as the flops allow), `gemm_gflops` and `median_s`, medians over rounds; `peak_memory_GB` of the
    /// process on the host so far.
    void report(benchmark::State& state) const {
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        state.counters["median_s"] = median(time_);
        state.counters["floor_ratio"] = median(ratio_);
        state.counters["gemm_gflops"] = median(rate_);
        state.counters["peak_memory_GB"] = static_cast<double>(usage.ru_maxrss) * 1024e-9;
        state.counters["threads"] = omp_get_max_threads();
    }

private:
    std::vector<double> time_, ratio_, rate_;
};

}  // namespace ntk::bench

#pragma once

// What the benchmarks share: the device they run on, clocks, and the rate of its GEMM, which is the ceiling of the others.

#include <ntkcuda/backend.hpp>
#include <ntkcuda/device.hpp>

#include <benchmark/benchmark.h>
#include <cblas.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace ntk::bench {

/// NTKCUDA_BENCH_DEVICE, or the first GPU if there is one, else the CPU.
inline std::string device() {
    const char* name = std::getenv("NTKCUDA_BENCH_DEVICE");
    return name ? name : "auto";
}

/// What `device` stands for.
inline const DeviceInfo& device_info() {
    static const DeviceInfo info = make_backend<double>(device())->info();
    return info;
}

/// The size of a problem: seconds of work on a few cores, or on a GPU.
inline Index size(Index on_cpu, Index on_gpu) { return device_info().kind == DeviceKind::cpu ? on_cpu : on_gpu; }

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

/// The GEMM that layer Grams of FP16 operands are held against, of the same shape as Ceiling's: on a GPU cuBLAS in FP16 with sums in
/// float32, on the CPU float32.
class HalfCeiling {
public:
    HalfCeiling(Index n, Index k);
    ~HalfCeiling();
    HalfCeiling(const HalfCeiling&) = delete;
    HalfCeiling& operator=(const HalfCeiling&) = delete;
    /// Flops a second, measured now.
    double rate();

private:
    struct Gpu;
    std::unique_ptr<Gpu> gpu_;
    std::unique_ptr<Ceiling<float>> cpu_;
};

/// |x - reference| / |reference| (Frobenius), both taken as float64.
template <class Real>
double relative_difference(const HostMatrix<Real>& x, const HostMatrix<double>& reference) {
    double difference = 0, norm = 0;
    for (Index k = 0; k < x.size(); ++k) {
        const double r = reference.data()[k], d = static_cast<double>(x.data()[k]) - r;
        difference += d * d;
        norm += r * r;
    }
    return std::sqrt(difference / norm);
}

/// Largest resident memory of the process on the host, since this was made.
class PeakMemory {
public:
    PeakMemory() { std::ofstream("/proc/self/clear_refs") << "5"; }  // sets VmHWM to the present
    [[nodiscard]] static double gigabytes() {
        std::ifstream status("/proc/self/status");
        for (std::string word; status >> word;)
            if (double kibibytes = 0; word == "VmHWM:" && status >> kibibytes) return kibibytes * 1024e-9;
        return NAN;
    }
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
    /// process on the host since this was made.
    void report(benchmark::State& state) const {
        state.counters["median_s"] = median(time_);
        state.counters["floor_ratio"] = median(ratio_);
        state.counters["gemm_gflops"] = median(rate_);
        state.counters["peak_memory_GB"] = memory_.gigabytes();
        state.counters["threads"] = omp_get_max_threads();
    }

private:
    PeakMemory memory_;
    std::vector<double> time_, ratio_, rate_;
};

}  // namespace ntk::bench

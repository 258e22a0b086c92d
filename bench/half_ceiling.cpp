// The FP16 GEMM of cuBLAS, called directly: the library has no operation that is one. In a build without CUDA there is only the CPU's.

#include "measure.hpp"

#ifdef NTKCUDA_BENCH_CUDA
#include <cublas_v2.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <random>
#include <stdexcept>
#endif

namespace ntk::bench {

#ifdef NTKCUDA_BENCH_CUDA

namespace {

template <class Status>
void check(Status status) {
    if (static_cast<int>(status) != 0) throw std::runtime_error("the FP16 GEMM of cuBLAS failed");
}

}  // namespace

struct HalfCeiling::Gpu {
    Gpu(Index rows, Index cols) : n(rows), k(cols) {
        std::mt19937 random(1);
        std::normal_distribution<float> normal;
        std::vector<__half> values(static_cast<std::size_t>(n * k));
        for (auto& v : values) v = __float2half(normal(random));
        check(cudaSetDevice(device_info().index));
        check(cublasCreate(&blas));
        check(cudaMalloc(&a, values.size() * sizeof(__half)));
        check(cudaMalloc(&c, static_cast<std::size_t>(n * n) * sizeof(float)));
        check(cudaMemcpy(a, values.data(), values.size() * sizeof(__half), cudaMemcpyHostToDevice));
    }
    ~Gpu() {
        cudaFree(a);
        cudaFree(c);
        if (blas) cublasDestroy(blas);
    }
    Gpu(const Gpu&) = delete;
    Gpu& operator=(const Gpu&) = delete;

    double seconds() {
        check(cudaDeviceSynchronize());
        const auto start = std::chrono::steady_clock::now();
        const float one = 1, zero = 0;
        check(cublasGemmEx_64(blas, CUBLAS_OP_T, CUBLAS_OP_N, n, n, k, &one, a, CUDA_R_16F, k, a, CUDA_R_16F, k, &zero, c, CUDA_R_32F, n,
                              CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
        check(cudaDeviceSynchronize());
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }

    Index n, k;
    cublasHandle_t blas = nullptr;
    void *a = nullptr, *c = nullptr;
};

#else

struct HalfCeiling::Gpu {
    Gpu(Index rows, Index cols) : n(rows), k(cols) {}
    double seconds() { return NAN; }
    Index n, k;
};

#endif

HalfCeiling::HalfCeiling(Index n, Index k) {
    if (device_info().kind == DeviceKind::cpu)
        cpu_ = std::make_unique<Ceiling<float>>(make_backend<float>(device()), n, k);
    else
        gpu_ = std::make_unique<Gpu>(n, k);
}

HalfCeiling::~HalfCeiling() = default;

double HalfCeiling::rate() {
    if (cpu_) return cpu_->rate();
    return 2 * static_cast<double>(gpu_->n) * static_cast<double>(gpu_->n) * static_cast<double>(gpu_->k) / gpu_->seconds();
}

}  // namespace ntk::bench

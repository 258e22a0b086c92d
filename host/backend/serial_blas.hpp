#pragma once

// The number of threads of BLAS calls, one where the tiled loops of the CPU backend own the threads, so that a result does not depend on
// their number.

#include <ntkcuda/matrix.hpp>

#include <cblas.h>

#include <limits>

namespace ntk {

/// While one of these is alive OpenBLAS runs a call with so many threads. The setting is one for the process in the pthread build, so who
/// wants another number waits for those who are at work; in the OpenMP build it also sets the caller's OpenMP default, which is restored.
class BlasThreads {
public:
    explicit BlasThreads(int threads);
    ~BlasThreads();
    BlasThreads(const BlasThreads&) = delete;
    BlasThreads& operator=(const BlasThreads&) = delete;

private:
    int openmp_threads_;
};

/// OpenBLAS runs each call in the thread that makes it.
class SerialBlas : BlasThreads {
public:
    SerialBlas() : BlasThreads(1) {}
};

/// A size as BLAS takes it. Throws Error(invalid_argument) past 2^31 - 1.
inline blasint blas_int(Index value) {
    if (value > std::numeric_limits<blasint>::max())
        throw Error(ErrorCode::invalid_argument,
                    "a matrix side of " + std::to_string(value) + " is more than this BLAS can address; use smaller blocks");
    return static_cast<blasint>(value);
}

/// c (m x n) = alpha op(a) op(b) + beta c, row-major, m, n > 0.
inline void blas_gemm(bool ta, bool tb, Index m, Index n, Index k, double alpha, const double* a, Index lda, const double* b, Index ldb,
                      double beta, double* c, Index ldc) {
    cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, static_cast<blasint>(m),
                static_cast<blasint>(n), static_cast<blasint>(k), alpha, a, static_cast<blasint>(lda), b, static_cast<blasint>(ldb), beta,
                c, static_cast<blasint>(ldc));
}
inline void blas_gemm(bool ta, bool tb, Index m, Index n, Index k, double alpha, const float* a, Index lda, const float* b, Index ldb,
                      double beta, float* c, Index ldc) {
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, static_cast<blasint>(m),
                static_cast<blasint>(n), static_cast<blasint>(k), static_cast<float>(alpha), a, static_cast<blasint>(lda), b,
                static_cast<blasint>(ldb), static_cast<float>(beta), c, static_cast<blasint>(ldc));
}

/// The lower triangle of c (n x n) = alpha a a^T + beta c, row-major, a (n x k).
inline void blas_syrk_lower(Index n, Index k, double alpha, const double* a, Index lda, double beta, double* c, Index ldc) {
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, static_cast<blasint>(n), static_cast<blasint>(k), alpha, a,
                static_cast<blasint>(lda), beta, c, static_cast<blasint>(ldc));
}
inline void blas_syrk_lower(Index n, Index k, double alpha, const float* a, Index lda, double beta, float* c, Index ldc) {
    cblas_ssyrk(CblasRowMajor, CblasLower, CblasNoTrans, static_cast<blasint>(n), static_cast<blasint>(k), static_cast<float>(alpha), a,
                static_cast<blasint>(lda), static_cast<float>(beta), c, static_cast<blasint>(ldc));
}

}  // namespace ntk

#include "host_backend.hpp"
#include "lu_factor.hpp"
#include "serial_blas.hpp"
#include "tiles.hpp"

#include <lapacke.h>

#include <algorithm>
#include <string>

// LAPACK is column-major: the row-major lower triangle is its upper triangle, and no copy is transposed.

namespace ntk {
namespace {

/// Below this side a call runs in the caller's thread alone: sharing it costs more than doing it, above all on a busy machine.
constexpr Index threaded_from = 256;

/// Factorisations use the threads of BLAS itself; while one of side n runs there are `threads` of them.
class ThreadedBlas : BlasThreads {
public:
    ThreadedBlas(Index n, int threads) : BlasThreads(n < threaded_from ? 1 : threads) {}
};

int potrf(lapack_int n, double* a, lapack_int lda) { return LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', n, a, lda); }
int potrf(lapack_int n, float* a, lapack_int lda) { return LAPACKE_spotrf_work(LAPACK_COL_MAJOR, 'U', n, a, lda); }

/// b := G^{-1} b or G^{-T} b (left), b G^{-T} (right), row-major.
void trsm(CBLAS_SIDE side, CBLAS_TRANSPOSE transpose, ConstMatrixView<double> g, MatrixView<double> b) {
    cblas_dtrsm(CblasRowMajor, side, CblasLower, transpose, CblasNonUnit, blas_int(b.rows()), blas_int(b.cols()), 1, g.data(),
                blas_int(g.stride()), b.data(), blas_int(b.stride()));
}
void trsm(CBLAS_SIDE side, CBLAS_TRANSPOSE transpose, ConstMatrixView<float> g, MatrixView<float> b) {
    cblas_strsm(CblasRowMajor, side, CblasLower, transpose, CblasNonUnit, blas_int(b.rows()), blas_int(b.cols()), 1, g.data(),
                blas_int(g.stride()), b.data(), blas_int(b.stride()));
}

int getrf(lapack_int n, double* a, lapack_int lda, lapack_int* pivots) {
    return LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, n, n, a, lda, pivots);
}
int getrf(lapack_int n, float* a, lapack_int lda, lapack_int* pivots) {
    return LAPACKE_sgetrf_work(LAPACK_COL_MAJOR, n, n, a, lda, pivots);
}

int getrs(lapack_int n, lapack_int m, const double* a, lapack_int lda, const lapack_int* pivots, double* b, lapack_int ldb) {
    return LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'T', n, m, a, lda, pivots, b, ldb);
}
int getrs(lapack_int n, lapack_int m, const float* a, lapack_int lda, const lapack_int* pivots, float* b, lapack_int ldb) {
    return LAPACKE_sgetrs_work(LAPACK_COL_MAJOR, 'T', n, m, a, lda, pivots, b, ldb);
}

int syevd(char job, lapack_int n, double* a, lapack_int lda, double* w, double* work, lapack_int lwork, lapack_int* iwork,
          lapack_int liwork) {
    return LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, job, 'U', n, a, lda, w, work, lwork, iwork, liwork);
}
int syevd(char job, lapack_int n, float* a, lapack_int lda, float* w, float* work, lapack_int lwork, lapack_int* iwork, lapack_int liwork) {
    return LAPACKE_ssyevd_work(LAPACK_COL_MAJOR, job, 'U', n, a, lda, w, work, lwork, iwork, liwork);
}

/// A negative info means that this file, not its caller, is wrong.
void check_arguments(const char* routine, int info) {
    if (info < 0)
        throw Error(ErrorCode::device_failure, std::string("LAPACK's ") + routine + " refused its argument " + std::to_string(-info));
}

}  // namespace

template <class Real>
CholeskyStatus HostBackend<Real>::cholesky(MatrixView<Real> k) {
    if (k.empty()) return {};
    const ThreadedBlas threaded(k.rows(), this->threads());
    const int info = potrf(blas_int(k.rows()), k.data(), blas_int(k.stride()));
    check_arguments("potrf", info);
    return {info};
}

template <class Real>
void HostBackend<Real>::cholesky_solve(ConstMatrixView<Real> factor, MatrixView<Real> b) {
    if (b.empty()) return;
    const ThreadedBlas threaded(factor.rows(), this->threads());
    trsm(CblasLeft, CblasNoTrans, factor, b);
    trsm(CblasLeft, CblasTrans, factor, b);
}

template <class Real>
void HostBackend<Real>::triangular_solve_rows(ConstMatrixView<Real> factor, MatrixView<Real> b) {
    if (b.empty()) return;
    const ThreadedBlas threaded(factor.rows(), this->threads());
    trsm(CblasRight, CblasTrans, factor, b);
}

// The factors are those of A^T, and the rows of b are LAPACK's columns.
template <class Real>
LuFactor HostBackend<Real>::lu(MatrixView<Real> a) {
    if (a.empty()) return {};
    const lapack_int n = blas_int(a.rows()), stride = blas_int(a.stride());
    const auto pivots = std::make_shared<std::vector<lapack_int>>(static_cast<std::size_t>(n));
    const ThreadedBlas threaded(a.rows(), this->threads());
    const int info = getrf(n, a.data(), stride, pivots->data());
    check_arguments("getrf", info);
    return {info, pivots};
}

template <class Real>
void HostBackend<Real>::lu_solve_rows(ConstMatrixView<Real> factor, const LuFactor& lu, MatrixView<Real> b) {
    if (b.empty()) return;
    refuse_zero_pivot(lu);
    const auto& pivots = *static_cast<const std::vector<lapack_int>*>(lu.pivots.get());
    const lapack_int n = blas_int(factor.rows()), m = blas_int(b.rows());
    const ThreadedBlas threaded(factor.rows(), this->threads());
    check_arguments("getrs", getrs(n, m, factor.data(), blas_int(factor.stride()), pivots.data(), b.data(), blas_int(b.stride())));
}

template <class Real>
void HostBackend<Real>::eigen(MatrixView<Real> k, MatrixView<Real> values, bool vectors) {
    const Index n = k.rows();
    if (n == 0) return;
    // LAPACK's documented minima, plus a block of the tridiagonal reduction. Its own query answers in `Real`, which float rounds.
    const Index work_size = std::max(vectors ? 1 + 6 * n + 2 * n * n : 1, n * 66);
    const Index integer_work_size = vectors ? 3 + 5 * n : 1;
    if (work_size > std::numeric_limits<lapack_int>::max())
        throw Error(ErrorCode::invalid_argument, "the eigendecomposition of a matrix of side " + std::to_string(n) +
                                                     " needs more workspace than this LAPACK can address (sides up to 32766)");
    const auto release = [this](Real* p) { this->release(p); };
    const std::unique_ptr<Real[], decltype(release)> work(this->allocate(work_size + n), release);
    std::vector<lapack_int> integer_work(static_cast<std::size_t>(integer_work_size));
    Real* const w = work.get() + work_size;

    const ThreadedBlas threaded(n, this->threads());
    const int info = syevd(vectors ? 'V' : 'N', blas_int(n), k.data(), blas_int(k.stride()), w, work.get(),
                           static_cast<lapack_int>(work_size), integer_work.data(), static_cast<lapack_int>(integer_work_size));
    check_arguments("syevd", info);
    if (info > 0)
        throw Error(ErrorCode::device_failure, "the eigenvalue iteration did not converge for a matrix of side " + std::to_string(n));
    for (Index i = 0; i < n; ++i) *row_of(values, i) = w[i];
}

template class HostBackend<float>;
template class HostBackend<double>;

}  // namespace ntk

// cuBLAS on CBLAS. Scalars are host pointers, as in the library's default mode.

#include "library_call.hpp"

#include <cblas.h>
#include <cublas_v2.h>
#include <cuda_fp16.h>

#include <cmath>
#include <cstdint>
#include <vector>

using namespace emulated;

struct cublasContext {
    cudaStream_t stream = nullptr;
    const void* workspace = nullptr;
    std::size_t workspace_bytes = 0;
};

namespace emulated {

bool sound(const std::vector<Operand>& operands) {
    for (const Operand& m : operands) {
        if (m.rows < 0 || m.cols < 0 || m.leading < std::max<std::int64_t>(1, m.rows) || m.leading > INT32_MAX || m.cols > INT32_MAX)
            return false;
        const std::size_t extent = m.rows && m.cols ? ((m.cols - 1) * m.leading + m.rows) * m.entry_bytes : 0;
        if (extent && !on_device(m.data, extent)) fault("a matrix reaches outside its device memory", m.data);
    }
    return true;
}

void enqueue_call(cudaStream_t stream, std::vector<Operand> operands, std::function<void()> call) {
    enqueue(stream, [operands = std::move(operands), call = std::move(call)] {
        for (const Operand& m : operands)
            for (std::int64_t j = 0; j < m.cols; ++j)
                touch(static_cast<const char*>(m.data) + j * m.leading * m.entry_bytes, m.rows * m.entry_bytes, m.written);
        call();
    });
}

}  // namespace emulated

namespace {

CBLAS_TRANSPOSE transposed(cublasOperation_t t) { return t == CUBLAS_OP_N ? CblasNoTrans : CblasTrans; }
CBLAS_UPLO triangle(cublasFillMode_t fill) { return fill == CUBLAS_FILL_MODE_UPPER ? CblasUpper : CblasLower; }

cublasStatus_t queue(const char* name, cublasHandle_t handle, std::vector<Operand> operands, std::function<void()> call) {
    if (fails(name)) return CUBLAS_STATUS_EXECUTION_FAILED;
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!sound(operands)) return CUBLAS_STATUS_INVALID_VALUE;
    if (handle->workspace && !on_device(handle->workspace, handle->workspace_bytes)) fault("the workspace of cuBLAS is gone");
    enqueue_call(handle->stream, std::move(operands), std::move(call));
    return CUBLAS_STATUS_SUCCESS;
}

/// The stored operand of op(x), which is rows x cols.
template <class Real>
Operand operand(cublasOperation_t t, const Real* x, std::int64_t rows, std::int64_t cols, std::int64_t leading) {
    return t == CUBLAS_OP_N ? input(x, rows, cols, leading) : input(x, cols, rows, leading);
}

template <class Real, class Gemm>
cublasStatus_t gemm(Gemm compute, cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, std::int64_t m, std::int64_t n,
                    std::int64_t k, Real alpha, const Real* a, std::int64_t lda, const Real* b, std::int64_t ldb, Real beta, Real* c,
                    std::int64_t ldc) {
    return queue("cublas gemm", h, {operand(ta, a, m, k, lda), operand(tb, b, k, n, ldb), output(c, m, n, ldc)},
                 [=] { compute(CblasColMajor, transposed(ta), transposed(tb), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc); });
}

template <class Real, class Gemm>
cublasStatus_t stacked_gemm(Gemm compute, cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, std::int64_t m, std::int64_t n,
                            std::int64_t k, Real alpha, const Real* a, std::int64_t lda, long long a_step, const Real* b, std::int64_t ldb,
                            long long b_step, Real beta, Real* c, std::int64_t ldc, long long c_step, std::int64_t count) {
    std::vector<Operand> operands;
    for (std::int64_t i = 0; i < count; ++i) {
        operands.push_back(operand(ta, a + i * a_step, m, k, lda));
        operands.push_back(operand(tb, b + i * b_step, k, n, ldb));
        operands.push_back(output(c + i * c_step, m, n, ldc));
    }
    return queue("cublas gemm of a stack", h, std::move(operands), [=] {
        for (std::int64_t i = 0; i < count; ++i)
            compute(CblasColMajor, transposed(ta), transposed(tb), m, n, k, alpha, a + i * a_step, lda, b + i * b_step, ldb, beta,
                    c + i * c_step, ldc);
    });
}

template <class Real, class Syrk>
cublasStatus_t syrk(Syrk compute, cublasHandle_t h, cublasFillMode_t fill, cublasOperation_t t, std::int64_t n, std::int64_t k, Real alpha,
                    const Real* a, std::int64_t lda, Real beta, Real* c, std::int64_t ldc) {
    return queue("cublas syrk", h, {operand(t, a, n, k, lda), output(c, n, n, ldc)},
                 [=] { compute(CblasColMajor, triangle(fill), transposed(t), n, k, alpha, a, lda, beta, c, ldc); });
}

template <class Real, class Trsm>
cublasStatus_t trsm(Trsm compute, cublasHandle_t h, cublasSideMode_t side, cublasFillMode_t fill, cublasOperation_t t,
                    cublasDiagType_t diagonal, std::int64_t m, std::int64_t n, Real alpha, const Real* a, std::int64_t lda, Real* b,
                    std::int64_t ldb) {
    const bool left = side == CUBLAS_SIDE_LEFT;
    const std::int64_t order = left ? m : n;
    return queue("cublas trsm", h, {input(a, order, order, lda), output(b, m, n, ldb)}, [=] {
        compute(CblasColMajor, left ? CblasLeft : CblasRight, triangle(fill), transposed(t),
                diagonal == CUBLAS_DIAG_UNIT ? CblasUnit : CblasNonUnit, m, n, alpha, a, lda, b, ldb);
    });
}

}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
    if (fails("cublasCreate")) return CUBLAS_STATUS_ALLOC_FAILED;
    *handle = new cublasContext;
    count_object(1);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
    const bool failed = fails("cublasDestroy");
    delete handle;
    count_object(-1);
    return failed ? CUBLAS_STATUS_INTERNAL_ERROR : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
    if (fails("cublasSetStream")) return CUBLAS_STATUS_INTERNAL_ERROR;
    handle->stream = stream;
    handle->workspace = nullptr;  // the library's own again
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, size_t bytes) {
    if (fails("cublasSetWorkspace")) return CUBLAS_STATUS_INTERNAL_ERROR;
    if (!on_device(workspace, bytes)) return CUBLAS_STATUS_INVALID_VALUE;
    handle->workspace = workspace;
    handle->workspace_bytes = bytes;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetProperty(libraryPropertyType, int* value) {
    *value = 0;
    return CUBLAS_STATUS_SUCCESS;
}

const char* cublasGetStatusString(cublasStatus_t) { return "an emulated status"; }

cublasStatus_t cublasSgemm_v2_64(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int64_t m, int64_t n, int64_t k,
                                 const float* alpha, const float* a, int64_t lda, const float* b, int64_t ldb, const float* beta, float* c,
                                 int64_t ldc) {
    return gemm(cblas_sgemm, h, ta, tb, m, n, k, *alpha, a, lda, b, ldb, *beta, c, ldc);
}
cublasStatus_t cublasDgemm_v2_64(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int64_t m, int64_t n, int64_t k,
                                 const double* alpha, const double* a, int64_t lda, const double* b, int64_t ldb, const double* beta,
                                 double* c, int64_t ldc) {
    return gemm(cblas_dgemm, h, ta, tb, m, n, k, *alpha, a, lda, b, ldb, *beta, c, ldc);
}
/// FP16 operands and float32 sums alone.
cublasStatus_t cublasGemmEx_64(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int64_t m, int64_t n, int64_t k,
                               const void* alpha, const void* a, cudaDataType a_type, int64_t lda, const void* b, cudaDataType b_type,
                               int64_t ldb, const void* beta, void* c, cudaDataType c_type, int64_t ldc, cublasComputeType_t compute,
                               cublasGemmAlgo_t) {
    if (a_type != CUDA_R_16F || b_type != CUDA_R_16F || c_type != CUDA_R_32F || compute != CUBLAS_COMPUTE_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    const Operand left = operand(ta, static_cast<const __half*>(a), m, k, lda),
                  right = operand(tb, static_cast<const __half*>(b), k, n, ldb);
    return queue("cublas gemm of FP16", h, {left, right, output(static_cast<float*>(c), m, n, ldc)},
                 [=, alpha = *static_cast<const float*>(alpha), beta = *static_cast<const float*>(beta)] {
                     const auto wide = [](const Operand& x) {
                         std::vector<float> values(static_cast<std::size_t>(x.rows * x.cols));
                         for (std::int64_t e = 0; e < x.rows * x.cols; ++e)
                             values[static_cast<std::size_t>(e)] =
                                 __half2float(static_cast<const __half*>(x.data)[e / x.rows * x.leading + e % x.rows]);
                         return values;
                     };
                     const std::vector<float> wide_a = wide(left), wide_b = wide(right);
                     cblas_sgemm(CblasColMajor, transposed(ta), transposed(tb), m, n, k, alpha, wide_a.data(), left.rows, wide_b.data(),
                                 right.rows, beta, static_cast<float*>(c), ldc);
                 });
}
cublasStatus_t cublasSgemmStridedBatched_64(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int64_t m, int64_t n, int64_t k,
                                            const float* alpha, const float* a, int64_t lda, long long a_step, const float* b, int64_t ldb,
                                            long long b_step, const float* beta, float* c, int64_t ldc, long long c_step, int64_t count) {
    return stacked_gemm(cblas_sgemm, h, ta, tb, m, n, k, *alpha, a, lda, a_step, b, ldb, b_step, *beta, c, ldc, c_step, count);
}
cublasStatus_t cublasDgemmStridedBatched_64(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int64_t m, int64_t n, int64_t k,
                                            const double* alpha, const double* a, int64_t lda, long long a_step, const double* b,
                                            int64_t ldb, long long b_step, const double* beta, double* c, int64_t ldc, long long c_step,
                                            int64_t count) {
    return stacked_gemm(cblas_dgemm, h, ta, tb, m, n, k, *alpha, a, lda, a_step, b, ldb, b_step, *beta, c, ldc, c_step, count);
}
cublasStatus_t cublasSsyrk_v2_64(cublasHandle_t h, cublasFillMode_t fill, cublasOperation_t t, int64_t n, int64_t k, const float* alpha,
                                 const float* a, int64_t lda, const float* beta, float* c, int64_t ldc) {
    return syrk(cblas_ssyrk, h, fill, t, n, k, *alpha, a, lda, *beta, c, ldc);
}
cublasStatus_t cublasDsyrk_v2_64(cublasHandle_t h, cublasFillMode_t fill, cublasOperation_t t, int64_t n, int64_t k, const double* alpha,
                                 const double* a, int64_t lda, const double* beta, double* c, int64_t ldc) {
    return syrk(cblas_dsyrk, h, fill, t, n, k, *alpha, a, lda, *beta, c, ldc);
}
cublasStatus_t cublasStrsm_v2_64(cublasHandle_t h, cublasSideMode_t side, cublasFillMode_t fill, cublasOperation_t t,
                                 cublasDiagType_t diagonal, int64_t m, int64_t n, const float* alpha, const float* a, int64_t lda, float* b,
                                 int64_t ldb) {
    return trsm(cblas_strsm, h, side, fill, t, diagonal, m, n, *alpha, a, lda, b, ldb);
}
cublasStatus_t cublasDtrsm_v2_64(cublasHandle_t h, cublasSideMode_t side, cublasFillMode_t fill, cublasOperation_t t,
                                 cublasDiagType_t diagonal, int64_t m, int64_t n, const double* alpha, const double* a, int64_t lda,
                                 double* b, int64_t ldb) {
    return trsm(cblas_dtrsm, h, side, fill, t, diagonal, m, n, *alpha, a, lda, b, ldb);
}
}

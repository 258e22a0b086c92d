// cuSOLVER's 64-bit interface on LAPACKE. Work space is checked and overwritten, so that a backend cannot keep anything in it.

#include "library_call.hpp"

#include <cusolverDn.h>
#include <lapacke.h>

#include <algorithm>

using namespace emulated;

struct cusolverDnContext {
    cudaStream_t stream = nullptr;
};
struct cusolverDnParams {};

namespace {

constexpr std::size_t entry_bytes(cudaDataType type) { return type == CUDA_R_32F ? sizeof(float) : sizeof(double); }
/// A work space of some size, so that its size matters.
constexpr std::size_t device_work(std::int64_t n, cudaDataType type) { return n * entry_bytes(type); }
constexpr std::size_t host_work = 64;

char letter(cublasFillMode_t fill) { return fill == CUBLAS_FILL_MODE_UPPER ? 'U' : 'L'; }

cusolverStatus_t work_sizes(const char* name, std::int64_t n, cudaDataType type, std::size_t* device, std::size_t* host) {
    if (fails(name)) return CUSOLVER_STATUS_INTERNAL_ERROR;
    *device = device_work(n, type);
    *host = host_work;
    return CUSOLVER_STATUS_SUCCESS;
}

struct WorkSpace {
    void* device;
    std::size_t device_bytes;
    void* host;
    std::size_t host_bytes;
    int* info;
};

cusolverStatus_t queue(const char* name, cusolverDnHandle_t handle, std::vector<Operand> operands, std::size_t needed,
                       const WorkSpace& work, std::function<int()> call) {
    if (fails(name)) return CUSOLVER_STATUS_EXECUTION_FAILED;
    if (!handle) return CUSOLVER_STATUS_NOT_INITIALIZED;
    if (work.device_bytes < needed || work.host_bytes < host_work || !sound(operands)) return CUSOLVER_STATUS_INVALID_VALUE;
    if (!on_device(work.device, needed) || !on_device(work.info, sizeof(int)))
        fault("the work space or the info is not device memory", work.device);
    enqueue_call(handle->stream, std::move(operands), [=] {
        touch(work.info, sizeof(int), true);
        touch(work.device, needed, true);
        std::memset(work.device, 0xFF, needed);
        std::memset(work.host, 0xFF, host_work);
        *work.info = call();
    });
    return CUSOLVER_STATUS_SUCCESS;
}

template <class Real, class Compute>
cusolverStatus_t factorise(Compute compute, cusolverDnHandle_t h, cublasFillMode_t fill, std::int64_t n, Real* a, std::int64_t lda,
                           std::size_t needed, const WorkSpace& work) {
    return queue("cusolverDnXpotrf", h, {output(a, n, n, lda)}, needed, work,
                 [=] { return compute(LAPACK_COL_MAJOR, letter(fill), n, a, lda); });
}

/// LAPACK's pivots are stored as cuSOLVER's.
template <class Real, class Compute>
cusolverStatus_t factorise_general(Compute compute, cusolverDnHandle_t h, std::int64_t n, Real* a, std::int64_t lda, std::int64_t* pivots,
                                   std::size_t needed, const WorkSpace& work) {
    return queue("cusolverDnXgetrf", h, {output(a, n, n, lda), output(pivots, n, 1, n)}, needed, work, [=] {
        std::vector<lapack_int> rows(n);
        const int info = compute(LAPACK_COL_MAJOR, n, n, a, lda, rows.data());
        std::copy(rows.begin(), rows.end(), pivots);
        return info;
    });
}

template <class Real, class Compute>
cusolverStatus_t solve_general(Compute compute, cusolverDnHandle_t h, cublasOperation_t operation, std::int64_t n, std::int64_t m,
                               const Real* a, std::int64_t lda, const std::int64_t* pivots, Real* b, std::int64_t ldb, int* info) {
    if (fails("cusolverDnXgetrs")) return CUSOLVER_STATUS_EXECUTION_FAILED;
    if (!h) return CUSOLVER_STATUS_NOT_INITIALIZED;
    const std::vector<Operand> operands{input(a, n, n, lda), input(pivots, n, 1, n), output(b, n, m, ldb), output(info, 1, 1, 1)};
    if (!sound(operands)) return CUSOLVER_STATUS_INVALID_VALUE;
    enqueue_call(h->stream, operands, [=] {
        const std::vector<lapack_int> rows(pivots, pivots + n);
        *info = compute(LAPACK_COL_MAJOR, operation == CUBLAS_OP_N ? 'N' : 'T', n, m, a, lda, rows.data(), b, ldb);
    });
    return CUSOLVER_STATUS_SUCCESS;
}

template <class Real, class Compute>
cusolverStatus_t eigenvalues(Compute compute, cusolverDnHandle_t h, cusolverEigMode_t mode, cublasFillMode_t fill, std::int64_t n, Real* a,
                             std::int64_t lda, Real* values, std::size_t needed, const WorkSpace& work) {
    const char vectors = mode == CUSOLVER_EIG_MODE_VECTOR ? 'V' : 'N';
    return queue("cusolverDnXsyevd", h, {output(a, n, n, lda), output(values, n, 1, n)}, needed, work,
                 [=] { return compute(LAPACK_COL_MAJOR, vectors, letter(fill), n, a, lda, values); });
}

}  // namespace

extern "C" {

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t* handle) {
    if (fails("cusolverDnCreate")) return CUSOLVER_STATUS_ALLOC_FAILED;
    *handle = new cusolverDnContext;
    count_object(1);
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle) {
    const bool failed = fails("cusolverDnDestroy");
    delete handle;
    count_object(-1);
    return failed ? CUSOLVER_STATUS_INTERNAL_ERROR : CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream) {
    if (fails("cusolverDnSetStream")) return CUSOLVER_STATUS_INTERNAL_ERROR;
    handle->stream = stream;
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverGetProperty(libraryPropertyType, int* value) {
    *value = 0;
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnCreateParams(cusolverDnParams_t* parameters) {
    if (fails("cusolverDnCreateParams")) return CUSOLVER_STATUS_ALLOC_FAILED;
    *parameters = new cusolverDnParams;
    count_object(1);
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDestroyParams(cusolverDnParams_t parameters) {
    const bool failed = fails("cusolverDnDestroyParams");
    delete parameters;
    count_object(-1);
    return failed ? CUSOLVER_STATUS_INTERNAL_ERROR : CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnXpotrf_bufferSize(cusolverDnHandle_t, cusolverDnParams_t, cublasFillMode_t, int64_t n, cudaDataType type,
                                             const void*, int64_t, cudaDataType, size_t* device, size_t* host) {
    return work_sizes("cusolverDnXpotrf_bufferSize", n, type, device, host);
}

cusolverStatus_t cusolverDnXpotrf(cusolverDnHandle_t h, cusolverDnParams_t, cublasFillMode_t fill, int64_t n, cudaDataType type, void* a,
                                  int64_t lda, cudaDataType, void* device, size_t device_bytes, void* host, size_t host_bytes, int* info) {
    const WorkSpace work{device, device_bytes, host, host_bytes, info};
    const std::size_t needed = device_work(n, type);
    if (type == CUDA_R_32F) return factorise(LAPACKE_spotrf_work, h, fill, n, static_cast<float*>(a), lda, needed, work);
    return factorise(LAPACKE_dpotrf_work, h, fill, n, static_cast<double*>(a), lda, needed, work);
}

cusolverStatus_t cusolverDnXgetrf_bufferSize(cusolverDnHandle_t, cusolverDnParams_t, int64_t, int64_t n, cudaDataType type, const void*,
                                             int64_t, cudaDataType, size_t* device, size_t* host) {
    return work_sizes("cusolverDnXgetrf_bufferSize", n, type, device, host);
}

cusolverStatus_t cusolverDnXgetrf(cusolverDnHandle_t h, cusolverDnParams_t, int64_t m, int64_t n, cudaDataType type, void* a, int64_t lda,
                                  int64_t* pivots, cudaDataType, void* device, size_t device_bytes, void* host, size_t host_bytes,
                                  int* info) {
    if (m != n) return CUSOLVER_STATUS_INVALID_VALUE;
    const WorkSpace work{device, device_bytes, host, host_bytes, info};
    const std::size_t needed = device_work(n, type);
    if (type == CUDA_R_32F) return factorise_general(LAPACKE_sgetrf_work, h, n, static_cast<float*>(a), lda, pivots, needed, work);
    return factorise_general(LAPACKE_dgetrf_work, h, n, static_cast<double*>(a), lda, pivots, needed, work);
}

cusolverStatus_t cusolverDnXgetrs(cusolverDnHandle_t h, cusolverDnParams_t, cublasOperation_t operation, int64_t n, int64_t m,
                                  cudaDataType type, const void* a, int64_t lda, const int64_t* pivots, cudaDataType, void* b, int64_t ldb,
                                  int* info) {
    if (type == CUDA_R_32F)
        return solve_general(LAPACKE_sgetrs_work, h, operation, n, m, static_cast<const float*>(a), lda, pivots, static_cast<float*>(b),
                             ldb, info);
    return solve_general(LAPACKE_dgetrs_work, h, operation, n, m, static_cast<const double*>(a), lda, pivots, static_cast<double*>(b), ldb,
                         info);
}

cusolverStatus_t cusolverDnXsyevd_bufferSize(cusolverDnHandle_t, cusolverDnParams_t, cusolverEigMode_t, cublasFillMode_t, int64_t n,
                                             cudaDataType type, const void*, int64_t, cudaDataType, const void*, cudaDataType,
                                             size_t* device, size_t* host) {
    return work_sizes("cusolverDnXsyevd_bufferSize", n, type, device, host);
}

cusolverStatus_t cusolverDnXsyevd(cusolverDnHandle_t h, cusolverDnParams_t, cusolverEigMode_t mode, cublasFillMode_t fill, int64_t n,
                                  cudaDataType type, void* a, int64_t lda, cudaDataType, void* values, cudaDataType, void* device,
                                  size_t device_bytes, void* host, size_t host_bytes, int* info) {
    const WorkSpace work{device, device_bytes, host, host_bytes, info};
    const std::size_t needed = device_work(n, type);
    if (type == CUDA_R_32F)
        return eigenvalues(LAPACKE_ssyevd, h, mode, fill, n, static_cast<float*>(a), lda, static_cast<float*>(values), needed, work);
    return eigenvalues(LAPACKE_dsyevd, h, mode, fill, n, static_cast<double*>(a), lda, static_cast<double*>(values), needed, work);
}
}

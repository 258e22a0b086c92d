#include "status.hpp"

#include <string>

namespace ntk::cuda {
namespace {

[[noreturn]] void fail(bool out_of_memory, const char* call, const std::string& reason) {
    throw Error(out_of_memory ? ErrorCode::out_of_memory : ErrorCode::device_failure, std::string(call) + " failed: " + reason);
}

}  // namespace

void check(cudaError_t status, const char* call) {
    if (status == cudaSuccess) return;
    (void)cudaGetLastError();  // a call that looks at the last error must not report this one again
    if (status == cudaErrorStreamCaptureUnsupported)
        throw Error(ErrorCode::invalid_argument, std::string(call) + ": work that waits for the device cannot be recorded");
    fail(status == cudaErrorMemoryAllocation, call, std::string(cudaGetErrorString(status)) + " (" + cudaGetErrorName(status) + ")");
}

void check(cublasStatus_t status, const char* call) {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    (void)cudaGetLastError();
    fail(status == CUBLAS_STATUS_ALLOC_FAILED, call, cublasGetStatusString(status));
}

void check(cusolverStatus_t status, const char* call) {
    if (status == CUSOLVER_STATUS_SUCCESS) return;
    (void)cudaGetLastError();
    fail(status == CUSOLVER_STATUS_ALLOC_FAILED, call, "cuSOLVER status " + std::to_string(static_cast<int>(status)));
}

}  // namespace ntk::cuda

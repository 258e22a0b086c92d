#pragma once

// Every status of CUDA, cuBLAS and cuSOLVER goes through check(): a failure becomes ntk::Error with the name of the call.

#include <ntkcuda/error.hpp>

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cusolverDn.h>

namespace ntk::cuda {

void check(cudaError_t status, const char* call);
void check(cublasStatus_t status, const char* call);
void check(cusolverStatus_t status, const char* call);

}  // namespace ntk::cuda

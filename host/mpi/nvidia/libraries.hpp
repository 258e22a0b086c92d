#pragma once

// What is called of NCCL and cuSOLVERMp. They are loaded where ranks join their GPUs, and not before: cuSOLVERMp is linked with the driver,
// and a program linked with it would not start where there is none.

#include <cusolverMp.h>
#include <nccl.h>

#include <ntkcuda/error.hpp>

#include <string>

#if CUSOLVERMP_VERSION < 700
#error "cuSOLVERMp 0.7 or later is needed, which takes communicators of NCCL"
#endif

/// FUNCTION(name) for each of them.
#define NTKCUDA_NVIDIA_FUNCTIONS(FUNCTION) \
    FUNCTION(ncclGetVersion)               \
    FUNCTION(ncclGetUniqueId)              \
    FUNCTION(ncclCommInitRank)             \
    FUNCTION(ncclCommDestroy)              \
    FUNCTION(ncclCommAbort)                \
    FUNCTION(ncclGetErrorString)           \
    FUNCTION(ncclGetLastError)             \
    FUNCTION(ncclGroupStart)               \
    FUNCTION(ncclGroupEnd)                 \
    FUNCTION(ncclSend)                     \
    FUNCTION(ncclRecv)                     \
    FUNCTION(cusolverMpCreate)             \
    FUNCTION(cusolverMpDestroy)            \
    FUNCTION(cusolverMpGetVersion)         \
    FUNCTION(cusolverMpCreateDeviceGrid)   \
    FUNCTION(cusolverMpDestroyGrid)        \
    FUNCTION(cusolverMpCreateMatrixDesc)   \
    FUNCTION(cusolverMpDestroyMatrixDesc)  \
    FUNCTION(cusolverMpPotrf_bufferSize)   \
    FUNCTION(cusolverMpPotrf)              \
    FUNCTION(cusolverMpPotrs_bufferSize)   \
    FUNCTION(cusolverMpPotrs)

namespace ntk::nvidia {

struct Libraries {
#define NTKCUDA_POINTER(name) decltype(&::name) name = nullptr;
    NTKCUDA_NVIDIA_FUNCTIONS(NTKCUDA_POINTER)
#undef NTKCUDA_POINTER
};

/// Loads them at the first call (load_libraries.cpp; the tests' emulated device links its own, tests/emulation/ranks). Throws
/// Error(device_unavailable) in the loader's words where they or what they need are not there.
[[nodiscard]] const Libraries& libraries();

/// A failure becomes ntk::Error with the name of the call, and with NCCL's own words. Those of cuSOLVERMp go through cuda::check.
inline void check(const Libraries& nvidia, ncclResult_t status, const char* call, ncclComm_t group = nullptr) {
    if (status == ncclSuccess) return;
    const char* const more = nvidia.ncclGetLastError(group);
    throw Error(ErrorCode::device_failure,
                std::string(call) + " failed: " + nvidia.ncclGetErrorString(status) + (more && *more ? std::string("; ") + more : ""));
}

}  // namespace ntk::nvidia

#pragma once

/// NCCL as the emulated device has it (tests/emulation/ranks/nccl.cpp): what host/mpi/nvidia calls, with the library's signatures, against
/// whose own header the same files are compiled where it is found.

#include <cuda_runtime.h>

#include <cstddef>

extern "C" {

enum ncclResult_t {
    ncclSuccess = 0,
    ncclUnhandledCudaError = 1,
    ncclSystemError = 2,
    ncclInternalError = 3,
    ncclInvalidArgument = 4,
    ncclInvalidUsage = 5,
};
enum ncclDataType_t { ncclFloat = 7, ncclDouble = 8 };

typedef struct ncclComm* ncclComm_t;
typedef struct {
    char internal[128];
} ncclUniqueId;

ncclResult_t ncclGetVersion(int* version);
ncclResult_t ncclGetUniqueId(ncclUniqueId* id);
ncclResult_t ncclCommInitRank(ncclComm_t* group, int ranks, ncclUniqueId id, int rank);
ncclResult_t ncclCommDestroy(ncclComm_t group);
ncclResult_t ncclCommAbort(ncclComm_t group);
const char* ncclGetErrorString(ncclResult_t result);
const char* ncclGetLastError(ncclComm_t group);
ncclResult_t ncclGroupStart();
ncclResult_t ncclGroupEnd();
ncclResult_t ncclSend(const void* from, size_t count, ncclDataType_t type, int peer, ncclComm_t group, cudaStream_t stream);
ncclResult_t ncclRecv(void* to, size_t count, ncclDataType_t type, int peer, ncclComm_t group, cudaStream_t stream);
}

#pragma once

/// cuSOLVERMp as the emulated device has it (tests/emulation/ranks/cusolver_mp.cpp); see nccl.h beside this.

#include <cusolverDn.h>
#include <nccl.h>

#define CUSOLVERMP_VERSION 900

extern "C" {

typedef enum { CUSOLVERMP_GRID_MAPPING_ROW_MAJOR = 1, CUSOLVERMP_GRID_MAPPING_COL_MAJOR = 0 } cusolverMpGridMapping_t;
typedef struct cusolverMpGrid* cusolverMpGrid_t;
typedef struct cusolverMpMatrixDescriptor* cusolverMpMatrixDescriptor_t;
typedef struct cusolverMpHandle* cusolverMpHandle_t;

cusolverStatus_t cusolverMpCreate(cusolverMpHandle_t* handle, int device, cudaStream_t stream);
cusolverStatus_t cusolverMpDestroy(cusolverMpHandle_t handle);
cusolverStatus_t cusolverMpGetVersion(cusolverMpHandle_t handle, int* version);
cusolverStatus_t cusolverMpCreateDeviceGrid(cusolverMpHandle_t handle, cusolverMpGrid_t* grid, const ncclComm_t group, int32_t rows,
                                            int32_t cols, const cusolverMpGridMapping_t mapping);
cusolverStatus_t cusolverMpDestroyGrid(cusolverMpGrid_t grid);
cusolverStatus_t cusolverMpCreateMatrixDesc(cusolverMpMatrixDescriptor_t* description, cusolverMpGrid_t grid, cudaDataType type,
                                            int64_t rows, int64_t cols, int64_t row_side, int64_t col_side, uint32_t first_row,
                                            uint32_t first_col, int64_t leading);
cusolverStatus_t cusolverMpDestroyMatrixDesc(cusolverMpMatrixDescriptor_t description);
cusolverStatus_t cusolverMpPotrf_bufferSize(cusolverMpHandle_t handle, cublasFillMode_t fill, int64_t n, const void* a, int64_t ia,
                                            int64_t ja, cusolverMpMatrixDescriptor_t description, cudaDataType_t type, size_t* device,
                                            size_t* host);
cusolverStatus_t cusolverMpPotrf(cusolverMpHandle_t handle, cublasFillMode_t fill, int64_t n, void* a, int64_t ia, int64_t ja,
                                 cusolverMpMatrixDescriptor_t description, cudaDataType_t type, void* device, size_t device_bytes,
                                 void* host, size_t host_bytes, int* info);
cusolverStatus_t cusolverMpPotrs_bufferSize(cusolverMpHandle_t handle, cublasFillMode_t fill, int64_t n, int64_t sides, const void* a,
                                            int64_t ia, int64_t ja, cusolverMpMatrixDescriptor_t description, const void* b, int64_t ib,
                                            int64_t jb, cusolverMpMatrixDescriptor_t sides_description, cudaDataType_t type, size_t* device,
                                            size_t* host);
cusolverStatus_t cusolverMpPotrs(cusolverMpHandle_t handle, cublasFillMode_t fill, int64_t n, int64_t sides, const void* a, int64_t ia,
                                 int64_t ja, cusolverMpMatrixDescriptor_t description, void* b, int64_t ib, int64_t jb,
                                 cusolverMpMatrixDescriptor_t sides_description, cudaDataType_t type, void* device, size_t device_bytes,
                                 void* host, size_t host_bytes, int* info);
}

#pragma once

/// \file formulas/macros.hpp
/// Scalar formulas are written once and compiled for the host and, by nvcc, for the device.

#ifdef __CUDACC__
#define NTK_HD __host__ __device__ __forceinline__
#else
#define NTK_HD inline __attribute__((always_inline))
#endif

#pragma once

/// \file formulas/macros.hpp
/// Scalar formulas are written once and compiled for the host and, by nvcc, for the device.

#ifdef __CUDACC__
#define NTK_HD __host__ __device__ __forceinline__
#define NTK_UNROLL _Pragma("unroll")
#else
#define NTK_HD inline __attribute__((always_inline))
/// Before a loop of constant length inside a formula: loops over samples only vectorise around straight code.
#define NTK_UNROLL _Pragma("GCC unroll 64")
#endif

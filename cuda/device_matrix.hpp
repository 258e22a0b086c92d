#pragma once

// What kernels see of a matrix, and the loops over its entries.

#include "launch.hpp"

namespace ntk::cuda {

/// A MatrixView with element access on the device.
template <class T>
struct DeviceMatrix {
    T* data;
    Index rows, cols, stride;

    template <class Other>
    DeviceMatrix(MatrixView<Other> view)  // NOLINT(google-explicit-constructor)
        : data(view.data()), rows(view.rows()), cols(view.cols()), stride(view.stride()) {}

    __device__ T& operator()(Index i, Index j) const { return data[i * stride + j]; }
};

/// f(i, j) for every entry, shared out over the grid of entries_shape.
template <class F>
__device__ void for_each_entry(Index rows, Index cols, F f) {
    for (Index i = blockIdx.y * Index{blockDim.y} + threadIdx.y; i < rows; i += Index{gridDim.y} * blockDim.y)
        for (Index j = blockIdx.x * Index{blockDim.x} + threadIdx.x; j < cols; j += Index{gridDim.x} * blockDim.x) f(i, j);
}

/// f(item, lane) with all lanes of one warp on the same item; the grid is that of warps_shape.
template <class F>
__device__ void for_each_warp_item(Index count, F f) {
    for (Index item = blockIdx.x * Index{blockDim.y} + threadIdx.y; item < count; item += Index{gridDim.x} * blockDim.y)
        f(item, static_cast<int>(threadIdx.x));
}

/// The sum over the lanes of a warp, in every lane, always added in the same order.
inline __device__ double warp_sum(double value) {
    for (int distance = warp_threads / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(~0U, value, distance);
    return value;
}

}  // namespace ntk::cuda

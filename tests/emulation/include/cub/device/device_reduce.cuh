#pragma once

// The CUB calls that the backend uses; names and arguments are CUB's.

#include <cuda_runtime.h>

namespace cub {

struct DeviceReduce {
    template <class In, class Out, class Operator, class T>
    static cudaError_t Reduce(void* work, std::size_t& bytes, In in, Out out, std::int64_t count, Operator join, T initial, cudaStream_t stream) {
        if (emulated::fails("cub::DeviceReduce::Reduce")) return cudaErrorUnknown;
        if (!work) return bytes = 1, cudaSuccess;
        if (!emulated::on_device(work, bytes)) emulated::fault("CUB's work space is not device memory", work);
        emulated::enqueue(stream, [=] {
            emulated::touch(in, count * sizeof *in, false);
            emulated::touch(out, sizeof *out, true);
            T total = initial;
            for (std::int64_t i = 0; i < count; ++i) total = join(total, in[i]);
            *out = total;
        });
        return cudaSuccess;
    }
};

}  // namespace cub

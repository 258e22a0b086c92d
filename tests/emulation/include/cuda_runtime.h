#pragma once

// Stands in front of the toolkit's <cuda_runtime.h> when the host compiler reads .cu files. Declarations of the API are the toolkit's
// own, so that every call is type-checked and one that is not emulated does not link; kernels run on the CPU.

#define __CUDA_RUNTIME_H__
#include <cuda_runtime_api.h>
#include <vector_functions.h>

#include <algorithm>
#include <tuple>

#include <emulated/device_functions.hpp>

// The C++ half of the API.

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...), Arguments&&... arguments) {
    const std::tuple<std::remove_cv_t<Parameters>...> values(static_cast<Parameters>(arguments)...);
    std::apply([](const auto&... value) { (emulated::check_argument(value), ...); }, values);
    return emulated::launch(*config, reinterpret_cast<const void*>(kernel), [kernel, values] { std::apply(kernel, values); });
}

template <class... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute attribute, int value) {
    return cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), attribute, value);
}

template <class T>
cudaError_t cudaMallocAsync(T** p, std::size_t bytes, cudaStream_t stream) {
    return cudaMallocAsync(reinterpret_cast<void**>(p), bytes, stream);
}

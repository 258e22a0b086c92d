#include "cuda_backend.hpp"
#include "fused_gram_sum.hpp"

#include "host/backend/cuda_entry.hpp"

#include <cstdlib>
#include <string>

namespace ntk::cuda {
namespace {

/// The oldest architecture that the build has code for.
constexpr int least_compute_capability = 8;

std::string version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

template <class Property>
std::string library_version(Property property) {
    int major = 0, minor = 0, patch = 0;
    property(MAJOR_VERSION, &major);
    property(MINOR_VERSION, &minor);
    property(PATCH_LEVEL, &patch);
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

DeviceInfo device_info(int device, const cudaDeviceProp& properties) {
    check(cudaSetDevice(device), "cudaSetDevice");
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    return {DeviceKind::cuda, device, properties.name, total, free, properties.multiProcessorCount};
}

/// NTKCUDA_FUSED_GRAM=1 asks for the fused Gram kernel until it has been measured on such a device.
Tiling tiling_of(int device) {
    const char* const setting = std::getenv("NTKCUDA_FUSED_GRAM");
    const std::string fused = setting ? setting : "";
    if (!fused.empty() && fused != "0" && fused != "1")
        throw Error(ErrorCode::invalid_argument, "NTKCUDA_FUSED_GRAM is '" + fused + "': expected 1 (on) or 0 (off)");
    if (fused == "1" && !has_fused_gram(device))
        throw Error(ErrorCode::device_unavailable,
                    "NTKCUDA_FUSED_GRAM=1: the fused Gram kernel is for compute capability 9.0, which cuda:" + std::to_string(device) +
                        " does not have; unset the variable or take another device");
    return {.fused_gram = fused == "1"};
}

}  // namespace

bool built() { return true; }

std::vector<DeviceInfo> devices() {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) {  // no driver, one that is too old, or no device
        (void)cudaGetLastError();
        return {};
    }
    std::vector<DeviceInfo> usable;
    for (int device = 0; device < count; ++device) {
        cudaDeviceProp properties;
        check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
        if (properties.major >= least_compute_capability) usable.push_back(device_info(device, properties));
    }
    return usable;
}

std::string versions() {
    int runtime = 0, driver = 0;
    check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
    if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
    return "CUDA runtime " + version_text(runtime) + ", driver " + (driver ? version_text(driver) : "none") + ", cuBLAS " +
           library_version(cublasGetProperty) + ", cuSOLVER " + library_version(cusolverGetProperty);
}

template <class Real>
std::shared_ptr<Backend<Real>> make_backend(int index, int) {
    return std::make_shared<CudaBackend<Real>>(index, tiling_of(index));
}
template std::shared_ptr<Backend<float>> make_backend(int, int);
template std::shared_ptr<Backend<double>> make_backend(int, int);

}  // namespace ntk::cuda

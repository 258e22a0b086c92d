// The CUDA side of a build without the toolkit: no devices.

#include "cuda_entry.hpp"

namespace ntk::cuda {

bool built() { return false; }
std::vector<DeviceInfo> devices() { return {}; }
std::string versions() { return {}; }

template <class Real>
std::shared_ptr<Backend<Real>> make_backend(int, int) {
    throw Error(ErrorCode::device_unavailable, "this build has no CUDA backend");
}
template std::shared_ptr<Backend<float>> make_backend(int, int);
template std::shared_ptr<Backend<double>> make_backend(int, int);

}  // namespace ntk::cuda

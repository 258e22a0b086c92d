#include "cuda_entry.hpp"
#include "host_backend.hpp"

#include <ntkcuda/device.hpp>

#include <charconv>

namespace ntk {
namespace {

std::string known_cuda_devices(const std::vector<DeviceInfo>& found) {
    if (!cuda::built()) return "this build has no CUDA backend (configure it where the CUDA toolkit is installed); use --device cpu";
    if (found.empty()) return "no CUDA device or no driver was found on this machine; use --device cpu";
    std::string list = "this machine has";
    for (const auto& d : found) list += " " + d.id() + " (" + d.name + ")";
    return list;
}

/// The index in "cuda" or "cuda:i"; -1 if the text is neither.
int cuda_index(const std::string& device) {
    if (device == "cuda") return 0;
    if (!device.starts_with("cuda:")) return -1;
    int index = -1;
    const char* end = device.data() + device.size();
    const auto [stop, error] = std::from_chars(device.data() + 5, end, index);
    return error == std::errc{} && stop == end && index >= 0 ? index : -1;
}

}  // namespace

std::string DeviceInfo::id() const { return kind == DeviceKind::cpu ? "cpu" : "cuda:" + std::to_string(index); }

std::vector<DeviceInfo> devices() {
    std::vector<DeviceInfo> all{HostBackend<double>(0).info()};
    for (auto& d : cuda::devices()) all.push_back(d);
    return all;
}

template <class Real>
std::shared_ptr<Backend<Real>> make_backend(const std::string& device, int threads) {
    if (threads < 0) throw Error(ErrorCode::invalid_argument, "threads must be 0 (all) or more, not " + std::to_string(threads));
    if (device == "cpu") return std::make_shared<HostBackend<Real>>(threads);
    const std::vector<DeviceInfo> found = cuda::devices();
    if (device == "auto") return found.empty() ? std::make_shared<HostBackend<Real>>(threads) : cuda::make_backend<Real>(0, threads);
    const int index = cuda_index(device);
    if (index < 0) throw Error(ErrorCode::invalid_argument, "unknown device '" + device + "': expected auto, cpu, cuda or cuda:i");
    if (index >= static_cast<int>(found.size())) throw Error(ErrorCode::device_unavailable, "no device '" + device + "': " + known_cuda_devices(found));
    return cuda::make_backend<Real>(index, threads);
}

template std::shared_ptr<Backend<float>> make_backend(const std::string&, int);
template std::shared_ptr<Backend<double>> make_backend(const std::string&, int);

}  // namespace ntk

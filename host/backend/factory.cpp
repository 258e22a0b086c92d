#include "cuda_entry.hpp"
#include "host_backend.hpp"

#include <ntkcuda/device.hpp>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <string_view>

namespace ntk {
namespace {

std::string known_cuda_devices(const std::vector<DeviceInfo>& found) {
    if (!cuda::built()) return "this build has no CUDA backend (configure it where the CUDA toolkit is installed); use --device cpu";
    if (found.empty()) return "no CUDA device or no driver was found on this machine; use --device cpu";
    std::string list = "this machine has";
    for (const auto& d : found) list += " " + d.id() + " (" + d.name + ")";
    return list;
}

/// A number without sign; -1 if the text is none.
int device_index(std::string_view text) {
    int index = -1;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    return error == std::errc{} && stop == text.data() + text.size() && index >= 0 ? index : -1;
}

/// The index in "cuda" or "cuda:i"; -1 if the text is neither.
int cuda_index(const std::string& device) {
    if (device == "cuda") return 0;
    return device.starts_with("cuda:") ? device_index(std::string_view(device).substr(5)) : -1;
}

bool names_several(const std::string& device) { return device == "cuda:all" || device.find(',') != std::string::npos; }

/// "cuda:0,2" as "cuda:0" and "cuda:2".
std::vector<std::string> listed(const std::string& devices) {
    const auto refuse = [&] {
        throw Error(ErrorCode::invalid_argument,
                    "unknown devices '" + devices + "': expected cuda:all, or different ones such as cuda:0,1");
    };
    if (!devices.starts_with("cuda:")) refuse();
    std::vector<std::string> ids;
    std::istringstream text(devices.substr(5) + ',');
    for (std::string part; std::getline(text, part, ',');) {
        if (device_index(part) < 0) refuse();
        ids.push_back("cuda:" + std::to_string(device_index(part)));
        if (std::find(ids.begin(), ids.end() - 1, ids.back()) != ids.end() - 1) refuse();
    }
    return ids;
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
    if (names_several(device))
        throw Error(ErrorCode::invalid_argument,
                    "'" + device + "' names several devices, which compare and ensemble share their networks out to; here it must be one");
    if (device == "cpu") return std::make_shared<HostBackend<Real>>(threads);
    const std::vector<DeviceInfo> found = cuda::devices();
    if (device == "auto")
        return found.empty() ? std::make_shared<HostBackend<Real>>(threads) : cuda::make_backend<Real>(found.front().index, threads);
    const int index = cuda_index(device);
    if (index < 0) throw Error(ErrorCode::invalid_argument, "unknown device '" + device + "': expected auto, cpu, cuda or cuda:i");
    if (std::none_of(found.begin(), found.end(), [&](const DeviceInfo& d) { return d.index == index; }))
        throw Error(ErrorCode::device_unavailable, "no device '" + device + "': " + known_cuda_devices(found));
    return cuda::make_backend<Real>(index, threads);
}

template <class Real>
std::vector<std::shared_ptr<Backend<Real>>> make_backends(const std::string& devices, int threads) {
    if (!names_several(devices)) return {make_backend<Real>(devices, threads)};
    std::vector<std::string> ids;
    if (devices == "cuda:all") {
        const std::vector<DeviceInfo> found = cuda::devices();
        if (found.empty()) throw Error(ErrorCode::device_unavailable, "no device '" + devices + "': " + known_cuda_devices(found));
        for (const DeviceInfo& device : found) ids.push_back(device.id());
    } else {
        ids = listed(devices);
    }
    std::vector<std::shared_ptr<Backend<Real>>> backends;
    for (const std::string& id : ids) backends.push_back(make_backend<Real>(id, threads));
    return backends;
}

template std::vector<std::shared_ptr<Backend<float>>> make_backends(const std::string&, int);
template std::vector<std::shared_ptr<Backend<double>>> make_backends(const std::string&, int);
template std::shared_ptr<Backend<float>> make_backend(const std::string&, int);
template std::shared_ptr<Backend<double>> make_backend(const std::string&, int);

}  // namespace ntk

#pragma once

/// \file device.hpp
/// Which devices this machine has, and a backend for one of them.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ntk {

template <class Real>
class Backend;

/// What runs a backend.
enum class DeviceKind { cpu, cuda };

/// One device of this machine.
struct DeviceInfo {
    DeviceKind kind = DeviceKind::cpu;
    int index = 0;                   ///< of the CUDA device; 0 for the CPU
    std::string name;                ///< processor or GPU model
    std::uint64_t memory_total = 0;  ///< bytes
    std::uint64_t memory_free = 0;   ///< bytes available now
    int threads = 0;                 ///< CPU: threads used; CUDA: multiprocessors
    /// Most bytes held at once so far: CPU: by this process; CUDA: by the matrices and work space on the device, 0 from devices().
    std::uint64_t memory_peak = 0;

    /// "cpu" or "cuda:0": the form `make_backend` takes.
    [[nodiscard]] std::string id() const;
};

/// The CPU first, then every usable CUDA device. A build without CUDA, or a machine without a driver, has only the CPU.
[[nodiscard]] std::vector<DeviceInfo> devices();

/// A backend on `device`: "auto" (the first CUDA device if there is one, else the CPU), "cpu", "cuda" or "cuda:i".
/// `threads` bounds the CPU threads (0: all). Real is float or double.
/// Throws Error(invalid_argument) for an unknown name and Error(device_unavailable) for a device that is not there.
template <class Real>
[[nodiscard]] std::shared_ptr<Backend<Real>> make_backend(const std::string& device = "auto", int threads = 0);

/// A backend on each of `devices`: "cuda:all" (every CUDA device), a list "cuda:0,2" of different ones, or one device as make_backend
/// takes it. For work that several devices share (workers.hpp). Throws what make_backend throws.
template <class Real>
[[nodiscard]] std::vector<std::shared_ptr<Backend<Real>>> make_backends(const std::string& devices = "auto", int threads = 0);

}  // namespace ntk

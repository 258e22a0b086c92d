#pragma once

// What calls of cuSOLVER and cuSOLVERMp have beside their matrices: work space on both sides, and a status.

#include "context.hpp"

#include <vector>

namespace ntk::cuda {

template <class Real>
constexpr cudaDataType data_type = std::is_same_v<Real, float> ? CUDA_R_32F : CUDA_R_64F;

class SolverWork {
public:
    SolverWork(Context& context, std::size_t on_device, std::size_t on_host);
    /// Waits, since the call may still use the host's side when something after it fails.
    ~SolverWork();
    SolverWork(const SolverWork&) = delete;
    SolverWork& operator=(const SolverWork&) = delete;

    /// Where the call leaves its status, on the device.
    int* info() { return info_.as<int>(); }
    /// For calls that set the status in some cases only.
    void clear_info();
    /// Waits; negative: an argument was wrong. The work space may then serve another call.
    int fetch_info(const char* call);

    const std::size_t device_bytes;
    const Buffer device;
    std::vector<char> host;

private:
    Context& context_;
    Buffer info_;
    bool waited_ = false;
};

}  // namespace ntk::cuda

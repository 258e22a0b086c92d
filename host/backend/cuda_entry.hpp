#pragma once

// What the factory asks of the CUDA side; defined by cuda/ or, in a build without the toolkit, by cuda_absent.cpp.

#include <ntkcuda/backend.hpp>

#include <memory>
#include <vector>

namespace ntk::cuda {

/// Whether this build has the CUDA backend at all.
[[nodiscard]] bool built();
/// Usable devices; empty without a driver.
[[nodiscard]] std::vector<DeviceInfo> devices();
/// CUDA runtime, driver and library versions as text; empty when not built.
[[nodiscard]] std::string versions();
/// `index` must be in devices(). `threads` is for the host-side work.
template <class Real>
[[nodiscard]] std::shared_ptr<Backend<Real>> make_backend(int index, int threads);

}  // namespace ntk::cuda

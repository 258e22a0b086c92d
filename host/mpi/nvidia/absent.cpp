// A build without NCCL and cuSOLVERMp: no ranks join their GPUs.

#include <ntkcuda/mpi.hpp>

namespace ntk {

template <class Real>
std::unique_ptr<DeviceGroup<Real>> DeviceGroup<Real>::join(MpiRanks&, const std::shared_ptr<Backend<Real>>&, std::string& why_not) {
    why_not = "this program was built without NCCL and cuSOLVERMp";
    return nullptr;
}

template std::unique_ptr<DeviceGroup<float>> DeviceGroup<float>::join(MpiRanks&, const std::shared_ptr<Backend<float>>&, std::string&);
template std::unique_ptr<DeviceGroup<double>> DeviceGroup<double>::join(MpiRanks&, const std::shared_ptr<Backend<double>>&, std::string&);

}  // namespace ntk

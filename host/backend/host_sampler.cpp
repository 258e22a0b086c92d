#include "host/kernel_sampler.hpp"
#include "host_backend.hpp"

namespace ntk {

template <class Real>
std::unique_ptr<KernelSampler<Real>> HostSampler<Real>::kernel_sampler(const KernelSamplerOptions& options, ConstMatrixView<Real> x) {
    if (options.sampler == Sampler::conditional)
        throw Error(ErrorCode::invalid_argument, "the conditional sampler is not there yet on the CPU: use the weights sampler");
    return make_layerwise_sampler<Real>(this->shared_from_this(), options, x);
}

template class HostSampler<float>;
template class HostSampler<double>;

}  // namespace ntk

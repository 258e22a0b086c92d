// Kernels of many random networks.

#include "cuda_backend.hpp"

#include "host/kernel_sampler.hpp"

namespace ntk::cuda {

template <class Real>
std::unique_ptr<KernelSampler<Real>> CudaSampler<Real>::kernel_sampler(const KernelSamplerOptions& options, ConstMatrixView<Real> x) {
    if (options.sampler == Sampler::conditional)
        throw Error(ErrorCode::invalid_argument, "the conditional sampler runs on the CPU alone: use --device cpu, or the weights sampler");
    return make_layerwise_sampler<Real>(this->shared_from_this(), options, x);
}

template class CudaSampler<float>;
template class CudaSampler<double>;

}  // namespace ntk::cuda

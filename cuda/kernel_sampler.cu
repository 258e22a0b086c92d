// Which sampler draws the kernels of an architecture.

#include "batched_sampler.hpp"
#include "cuda_backend.hpp"
#include "fused_sampler.hpp"

namespace ntk::cuda {

template <class Real>
std::unique_ptr<KernelSampler<Real>> CudaSampler<Real>::kernel_sampler(const KernelSamplerOptions& options, ConstMatrixView<Real> x) {
    options.architecture.validate();
    Context& context = this->context();
    // Some networks for each multiprocessor.
    const Index networks = 8 * this->info().threads;
    const BatchLimits limits{this->tiling().sampler_bytes, networks};
    if (options.sampler == Sampler::conditional)
        return make_batched_sampler<double, Real>(context, this->shared_from_this(), options, x, limits);
    if (fused_bytes<Real>(options, x.rows()) <= this->tiling().fused_network_bytes)
        return make_fused_sampler<Real>(context, this->shared_from_this(), options, x, networks);
    return make_batched_sampler<Real, Real>(context, this->shared_from_this(), options, x, limits);
}

template class CudaSampler<float>;
template class CudaSampler<double>;

}  // namespace ntk::cuda

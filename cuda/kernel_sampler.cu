// Which sampler draws the kernels of an architecture.

#include "batched_sampler.hpp"
#include "cuda_backend.hpp"

namespace ntk::cuda {

template <class Real>
std::unique_ptr<KernelSampler<Real>> CudaSampler<Real>::kernel_sampler(const KernelSamplerOptions& options, ConstMatrixView<Real> x) {
    // Some networks for each multiprocessor.
    const BatchLimits limits{this->tiling().sampler_bytes, 8 * this->info().threads};
    if (options.sampler == Sampler::conditional)
        return make_batched_sampler<double, Real>(this->context(), this->shared_from_this(), options, x, limits);
    return make_batched_sampler<Real, Real>(this->context(), this->shared_from_this(), options, x, limits);
}

template class CudaSampler<float>;
template class CudaSampler<double>;

}  // namespace ntk::cuda

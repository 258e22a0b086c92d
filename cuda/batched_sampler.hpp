#pragma once

// Kernel samplers that take a batch of networks through each layer together.

#include "context.hpp"

#include "host/kernel_sampler.hpp"

namespace ntk::cuda {

/// What a batch may take; its size depends on that and on the network alone, since the bits of cuBLAS may depend on it.
struct BatchLimits {
    Index bytes;
    Index networks;
    Index entries = Index{1} << 21;  ///< of all rows together
};

/// Either sampler of `options`; all arithmetic in T.
template <class T, class Real>
std::unique_ptr<KernelSampler<Real>> make_batched_sampler(Context& context, std::shared_ptr<Backend<Real>> backend,
                                                          const KernelSamplerOptions& options, ConstMatrixView<Real> x,
                                                          const BatchLimits& limits);

}  // namespace ntk::cuda

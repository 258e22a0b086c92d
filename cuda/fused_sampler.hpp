#pragma once

// The weights sampler for small networks: a block of threads a network, everything in one kernel.

#include "context.hpp"

#include "host/kernel_sampler.hpp"

namespace ntk::cuda {

/// Bytes that a block of threads works in.
template <class Real>
[[nodiscard]] Index fused_bytes(const KernelSamplerOptions& options, Index samples);

/// All arithmetic in Real, except the activation function (float64). `blocks` bounds those that are in work at a time.
template <class Real>
std::unique_ptr<KernelSampler<Real>> make_fused_sampler(Context& context, std::shared_ptr<Backend<Real>> backend,
                                                        const KernelSamplerOptions& options, ConstMatrixView<Real> x, Index blocks);

}  // namespace ntk::cuda

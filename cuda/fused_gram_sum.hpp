#pragma once

// Layer Grams by the fused kernel (fused_gram.hpp).

#include "context.hpp"

#include <ntkcuda/backend.hpp>

namespace ntk::cuda {

/// Whether the device runs the fused kernel: compute capability 9.0 alone, as its instructions are part of no other.
[[nodiscard]] bool has_fused_gram(int device);

/// Keeps the rounded operands of the layers, up to `bytes`, and adds them to theta together. Layers with several rows of deltas for each
/// sample go to `library`, whose theta is the same.
template <class Real>
std::unique_ptr<LayerGramSum<Real>> make_fused_gram_sum(std::shared_ptr<Backend<Real>> backend, Context& context, Index bytes,
                                                        MatrixView<Real> theta, Triangle triangle,
                                                        std::unique_ptr<LayerGramSum<Real>> library);

}  // namespace ntk::cuda

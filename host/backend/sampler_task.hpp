#pragma once

// What the samplers of the CPU share: the shape of the networks and what all of them have in common.

#include <ntkcuda/kernel_sampler.hpp>
#include <ntkcuda/random.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace ntk {

/// `count`, or up to 3 more: normals come in blocks of 4.
[[nodiscard]] inline Index whole_normal_blocks(Index count) { return (count + 3) / 4 * 4; }

/// `Real` is what the numbers are computed in.
template <class Real>
struct SamplerTask {
    SamplerTask(const KernelSamplerOptions& given, const KernelLayout& shape, const HostMatrix<double>& inputs)
        : options(given), layout(shape), samples(inputs.rows()), x(inputs.cast<Real>()) {}

    KernelSamplerOptions options;
    KernelLayout layout;
    Index samples;
    HostMatrix<Real> x;  ///< n x d

    [[nodiscard]] const Architecture& architecture() const { return options.architecture; }
    [[nodiscard]] Index depth() const { return architecture().depth(); }
    [[nodiscard]] Index outputs() const { return architecture().outputs; }
    [[nodiscard]] Index width(Index layer) const { return architecture().width(layer); }
    /// n O
    [[nodiscard]] Index delta_rows() const { return samples * outputs(); }
    /// Rows of the Gram matrix of delta: n O, or n where it is summed over outputs.
    [[nodiscard]] Index delta_gram_rows() const { return options.block == Block::full ? delta_rows() : samples; }
    [[nodiscard]] Index widest_hidden() const {
        Index widest = 0;
        for (const Index width : architecture().hidden) widest = std::max(widest, width);
        return widest;
    }
    /// sigma_w / sqrt(n_{l-1}), which multiplies the normals of layer l.
    [[nodiscard]] double weight_factor(Index layer) const {
        return architecture().weight_std / std::sqrt(static_cast<double>(width(layer - 1)));
    }
    [[nodiscard]] bool has_bias() const { return architecture().biases != Biases::none && architecture().bias_std > 0; }
    /// Whether the weights of a layer are drawn. Those of the last are, as the start of the backward pass.
    [[nodiscard]] bool draws_weights(Index layer) const {
        return options.sampler == Sampler::weights || layer == depth() || width(layer - 1) <= samples;
    }
    /// The entry of the bias in every row of A (kernel_sampler.hpp), 0 without.
    [[nodiscard]] double bias_entry(Index layer) const { return has_bias() ? architecture().bias_std / weight_factor(layer) : 0; }
    /// x x^T, lower triangle.
    [[nodiscard]] HostMatrix<Real> input_gram() const {
        HostMatrix<Real> gram(samples, samples);
        for (Index i = 0; i < samples; ++i)
            for (Index j = 0; j <= i; ++j)
                for (Index k = 0; k < x.cols(); ++k) gram(i, j) += x(i, k) * x(j, k);
        return gram;
    }
    [[nodiscard]] NormalStream stream(std::uint32_t network, std::uint32_t which) const { return {options.seed, network, which}; }
};

}  // namespace ntk

#pragma once

// Kernels of a group of networks, one in each lane of the vectors, by either sampler.

#include "normal_blocks.hpp"
#include "sampler_task.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace ntk {

/// Scratch memory of one thread: arrays of numbers of `lanes` networks (lanes.hpp).
template <class Real>
struct LaneWorkspace {
    LaneWorkspace(const SamplerTask<Real>& task, int lanes);
    /// Bytes of it.
    [[nodiscard]] static std::size_t bytes(const SamplerTask<Real>& task, int lanes);

    struct Layer {
        Real* activation;     ///< a^l (n x n_l), l < L
        Real* slope;          ///< phi'(z^l), 0 < l < L
        Real* gram;           ///< a^l a^l^T (n x n, lower triangle), l < L
        float* normals;       ///< l > 0, of the weights (n_l x n_{l-1}), or G (n x n_l) where they are not drawn
        float* bias_normals;  ///< of the bias, where weights are drawn
        Real* factor;         ///< C (n x n, zeros above the diagonal), where weights are not drawn
        Real* inverse_pivot;  ///< 1 / C(i, i); 0 for a row that depends on those before
    };
    std::vector<Layer> layer;  ///< 0 .. L
    Real *delta, *next;        ///< n O x n_l
    Real* delta_gram;          ///< delta_gram_rows() squared, or n O for Block::diag
    Real* kernels;             ///< layout.columns(): the result
    // The backward pass of the conditional sampler:
    Real *delta_factor, *delta_inverse_pivot;  ///< D (n O x n O)
    Real *mean, *noise;                        ///< n O x n
    float *noise_normals, *noise_bias;         ///< M (n O x n_{l-1}) and its column of the bias

private:
    struct Free {
        void operator()(std::byte* p) const;
    };
    class Arena;
    LaneWorkspace() = default;
    void place(Arena& arena, const SamplerTask<Real>& task);

    std::unique_ptr<std::byte, Free> memory_;
};

/// The numbers of networks network .. network + lanes - 1, into workspace.kernels.
template <class Real>
struct LaneSampler {
    int lanes;
    void (*run)(const SamplerTask<Real>& task, std::uint32_t network, LaneWorkspace<Real>& workspace);
};

/// Implementations that run on this machine, the fastest last. The same bits from each.
template <class Real>
[[nodiscard]] const std::vector<LaneSampler<Real>>& lane_sampler_variants();

extern template struct LaneWorkspace<float>;
extern template struct LaneWorkspace<double>;

}  // namespace ntk

#pragma once

// Kernels of a group of networks, one in each lane of the vectors, by either sampler: for networks that together stay in the cache.

#include "sampler_pass.hpp"

#include <vector>

namespace ntk {

/// Scratch memory of one thread: arrays of numbers of `lanes` networks (lanes.hpp).
template <class Real>
class LaneWorkspace {
public:
    LaneWorkspace(const SamplerTask<Real>& task, int lanes);
    [[nodiscard]] static Index bytes(const SamplerTask<Real>& task, int lanes);

    struct Layer {
        Real* activation = nullptr;     ///< a^l (n x n_l), l < L
        Real* slope = nullptr;          ///< phi'(z^l), 0 < l < L
        float* normals = nullptr;       ///< l > 0: of the weights (n_l x n_{l-1}), or G (n x n_l) where they are not drawn
        float* bias_normals = nullptr;  ///< of the bias, where weights are drawn
    };
    std::vector<Layer> layer;                ///< 0 .. L
    Real *delta = nullptr, *next = nullptr;  ///< n O x n_l
    float* noise_normals = nullptr;          ///< M (n O x n_{l-1}) of the conditional sampler
    PassArrays<Real> small;

private:
    LaneWorkspace() = default;
    void place(Arena& arena, const SamplerTask<Real>& task);

    ArenaMemory memory_;
};

/// The numbers of networks network .. network + lanes - 1, into workspace.small.kernels.
template <class Real>
struct LaneSampler {
    int lanes;
    void (*run)(const SamplerTask<Real>& task, std::uint32_t network, LaneWorkspace<Real>& workspace);
};

/// Implementations that run on this machine, the fastest last. The same bits from each.
template <class Real>
[[nodiscard]] const std::vector<LaneSampler<Real>>& lane_sampler_variants();

extern template class LaneWorkspace<float>;
extern template class LaneWorkspace<double>;

}  // namespace ntk

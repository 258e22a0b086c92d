#pragma once

// The conditional sampler for wide networks, one network at a time: the vectors lie along the units of a layer. In float64.

#include "sampler_pass.hpp"

#include <vector>

namespace ntk {

/// Rows of units are padded to a multiple of it, and sums over units are so many partial sums, on every processor.
inline constexpr int unit_lanes = 8;

/// Scratch memory of one thread. Rows of units have zeros up to a multiple of unit_lanes.
class UnitWorkspace {
public:
    explicit UnitWorkspace(const SamplerTask<double>& task);
    [[nodiscard]] static Index bytes(const SamplerTask<double>& task);

    struct Layer {
        double* activation = nullptr;  ///< a^l (n x n_l), 0 < l < L
        double* slope = nullptr;       ///< phi'(z^l)
        double* normals = nullptr;     ///< of the weights, transposed (n_{l-1} x n_l), or G (n x n_l) where they are not drawn
    };
    std::vector<Layer> layer;                  ///< 0 .. L
    double *delta = nullptr, *next = nullptr;  ///< n O x n_l
    double* noise = nullptr;                   ///< M (n O x n_{l-1}); at the output layer its weights (O x n_{L-1})
    double* sums = nullptr;                    ///< vectors of partial sums of a product of rows
    double* bias = nullptr;                    ///< normals of a bias
    PassArrays<double> small;

private:
    UnitWorkspace() = default;
    void place(Arena& arena, const SamplerTask<double>& task);

    ArenaMemory memory_;
};

/// The numbers of one network into workspace.small.kernels.
using UnitSampler = void (*)(const SamplerTask<double>& task, std::uint32_t network, UnitWorkspace& workspace);

/// Implementations that run on this machine, the fastest last. The same bits from each.
[[nodiscard]] const std::vector<UnitSampler>& unit_sampler_variants();

}  // namespace ntk

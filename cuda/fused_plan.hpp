#pragma once

// Where a network that one block of threads samples (fused_sampler.cu) has its matrices: all in one piece of memory, in units of Real.

#include "kernel_row.hpp"

#include <ntkcuda/random.hpp>

#include <vector>

namespace ntk::cuda {

/// Rows of an odd number of elements: threads that read one column of 32 rows of shared memory meet no bank twice.
constexpr int odd_stride(int cols) { return cols | 1; }

/// One matrix of normals, times `scale`.
struct FusedDraw {
    std::uint32_t stream;
    int first_block;  ///< Philox blocks of the draws before
    int elements, cols;
    int at;
    double scale;
};

struct FusedLayer {
    int inputs, units;
    int weight, bias;       ///< W^l (n_l x n_{l-1}) and b^l; bias -1: none
    int activation, slope;  ///< a^l and phi'(z^l), n x n_l, of a hidden layer
    LayerTerm term;
};

/// The same for all networks.
struct FusedPlan {
    std::uint64_t seed;
    Activation activation;
    Block block;
    int samples, outputs, depth;
    int delta, next_delta;  ///< n O rows of the widest layer
    int gram;               ///< lower triangle of the products of one a^l
    int draws, draw_blocks;
    int elements;  ///< of all
    LayerTerm nngp;
    int tangent_entries, nngp_entries;
    bool terms;  ///< those of the layers, too
};

struct FusedNetwork {
    FusedPlan plan;
    std::vector<FusedDraw> draws;
    std::vector<FusedLayer> layers;  ///< l - 1
};

/// Elements of a network as planned; counted before anything is an int.
[[nodiscard]] Index fused_elements(const KernelSamplerOptions& options, Index samples);
/// fused_elements must be an int.
[[nodiscard]] FusedNetwork plan_fused_network(const KernelSamplerOptions& options, const KernelLayout& layout, Index samples);

}  // namespace ntk::cuda

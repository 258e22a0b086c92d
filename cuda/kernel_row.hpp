#pragma once

// The entries of a kernel in the row of a network (KernelLayout), for all samplers.

#include "launch.hpp"

#include <ntkcuda/kernel_sampler.hpp>

namespace ntk::cuda {

struct MatrixEntry {
    Index row, col;
};

/// Entry e of a lower triangle row by row.
inline __device__ MatrixEntry lower_entry(Index e) {
    Index row = static_cast<Index>((sqrt(8 * static_cast<double>(e) + 1) - 1) / 2);
    while (row * (row + 1) / 2 > e) --row;
    while ((row + 1) * (row + 2) / 2 <= e) ++row;
    return {row, e - row * (row + 1) / 2};
}

/// Which rows of the activations and of delta an entry of Theta is of.
struct TangentEntry {
    MatrixEntry samples, deltas;
};

/// full: deltas are the rows (x, o); trace: the rows x of delta read as n x (O w); diag: twice the same row (x, o).
inline __device__ TangentEntry tangent_entry(Block block, Index outputs, Index e) {
    if (block == Block::diag) return {{e / outputs, e / outputs}, {e, e}};
    const MatrixEntry entry = lower_entry(e);
    if (block == Block::trace) return {entry, entry};
    return {{entry.row / outputs, entry.col / outputs}, entry};
}

/// Of the output layer, whose delta is the identity: <delta, delta'>, with trace its mean over outputs.
inline __device__ bool equal_outputs(Block block, Index outputs, const MatrixEntry& deltas) {
    return block != Block::full || deltas.row % outputs == deltas.col % outputs;
}

/// One term of Theta: (scale <a, a'> + shift) <delta, delta'>, with trace also divided by the outputs.
struct LayerTerm {
    double scale, shift;
};

inline LayerTerm layer_term(const KernelSamplerOptions& options, Index layer) {
    const Architecture& architecture = options.architecture;
    const bool mean = options.block == Block::trace && layer < architecture.depth();
    const double factor = mean ? 1 / static_cast<double>(architecture.outputs) : 1;
    return {architecture.weight_gradient_variance(layer) * factor, architecture.bias_gradient_variance() * factor};
}

/// The NNGP likewise: scale <a, a'> + shift.
inline LayerTerm nngp_term(const Architecture& architecture) {
    const double width = static_cast<double>(architecture.width(architecture.depth() - 1));
    return {architecture.weight_std * architecture.weight_std / width, architecture.bias_std * architecture.bias_std};
}

}  // namespace ntk::cuda

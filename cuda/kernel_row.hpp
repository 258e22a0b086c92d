#pragma once

// The entries of a kernel in the row of a network (KernelLayout), for all samplers.

#include "launch.hpp"

#include <ntkcuda/kernel_sampler.hpp>

namespace ntk::cuda {

/// Int: 32 bits, whose divisions are several times faster, where a network is small.
template <class Int>
struct MatrixEntry {
    Int row, col;
};

/// Entry e of a lower triangle row by row.
template <class Int>
__device__ MatrixEntry<Int> lower_entry(Int e) {
    Int row = static_cast<Int>((sqrt(8 * static_cast<double>(e) + 1) - 1) / 2);
    while (row * (row + 1) / 2 > e) --row;
    while ((row + 1) * (row + 2) / 2 <= e) ++row;
    return {row, e - row * (row + 1) / 2};
}

/// Which rows of the activations and of delta an entry of Theta is of.
template <class Int>
struct TangentEntry {
    MatrixEntry<Int> samples, deltas;
};

/// full: deltas are the rows (x, o); trace: the rows x of delta read as n x (O w); diag: twice the same row (x, o).
template <class Int>
__device__ TangentEntry<Int> tangent_entry(Block block, Int outputs, Int e) {
    if (block == Block::diag) return {{e / outputs, e / outputs}, {e, e}};
    const MatrixEntry<Int> entry = lower_entry(e);
    if (block == Block::trace) return {entry, entry};
    return {{entry.row / outputs, entry.col / outputs}, entry};
}

/// Of the output layer, whose delta is the identity: <delta, delta'>, with trace its mean over outputs.
template <class Int>
__device__ bool equal_outputs(Block block, Int outputs, const MatrixEntry<Int>& deltas) {
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

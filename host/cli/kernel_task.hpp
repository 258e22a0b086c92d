#pragma once

// One kernel that `kernel` is asked for, and what is said of it.

#include "kernel_memory.hpp"
#include "kernel_spectrum_files.hpp"

#include <ntkcuda/backend.hpp>

namespace ntk::cli {

template <class Real>
struct KernelTask {
    Run& run;
    const Samples& samples;  ///< with tests: the cross kernel
    const Architecture& architecture;
    const std::optional<Weights>& weights;
    const KernelArguments& kernel;
    std::uint64_t seed;
    bool per_layer, normalized;
    const SpectrumArguments& spectrum;
    std::shared_ptr<Backend<Real>> backend;

    [[nodiscard]] bool cross() const { return samples.test.has_value(); }
    [[nodiscard]] const Dataset& row_samples() const { return cross() ? *samples.test : samples.train; }
    [[nodiscard]] Block block() const { return parse_block(kernel.block); }
    [[nodiscard]] Index rows() const { return row_samples().samples() * rows_per_sample(block(), architecture); }
    [[nodiscard]] Index cols() const {
        return block() == Block::diag ? architecture.outputs : samples.train.samples() * rows_per_sample(block(), architecture);
    }
    [[nodiscard]] KernelSource<Real> source() const { return {backend, kernel, architecture, seed, weights}; }
};

/// What is said of the kernel as a whole, put together from its parts.
struct KernelFacts {
    double frobenius = 0, max_abs = 0;
    Json blocks;  ///< how it was cut where it did not fit into memory

    void add(const Norms& norms);
};

/// Throws Error(invalid_argument) where the largest entry is so small that the squares of the inputs have lost digits.
template <class Real>
void require_in_range(const KernelFacts& facts, const HostMatrix<double>& x, const std::string& source);

/// Divides a kernel by the roots of the diagonals at its rows and columns, x1 and x2. Their i-th samples are row_sample(i) and
/// col_sample(i) of all. Throws Error(invalid_argument) naming the row of a diagonal entry that is not positive.
template <class Real>
void normalize_kernel(const KernelSource<Real>& source, const Matrix<Real>& x1, const Matrix<Real>& x2,
                      const std::function<Index(Index)>& row_sample, const std::function<Index(Index)>& col_sample,
                      MatrixView<Real> kernel);

/// What making it takes.
template <class Real>
[[nodiscard]] KernelMemory kernel_memory(const KernelTask<Real>& task);
/// FILE.layers.npy.
template <class Real>
[[nodiscard]] std::string layers_file(const KernelTask<Real>& task);

}  // namespace ntk::cli

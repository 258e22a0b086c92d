#pragma once

// What kernels take of the memory that --memory allows, before any is taken.

#include "kernel_source.hpp"

#include <ntkcuda/kernel_blocks.hpp>

namespace ntk::cli {

/// All numbers are bytes at once, on the device; on the CPU the samples and given weights in host memory count too. What they leave out is
/// the same for every run: the program itself, its libraries and their threads.
class KernelMemory {
public:
    /// `targets`: columns that each sample has beside its features.
    template <class Real>
    KernelMemory(const Backend<Real>& backend, const KernelArguments& kernel, const Architecture& architecture, bool given_weights,
                 Index targets);

    /// The samples and the network: there all the time.
    [[nodiscard]] double fixed(Index samples) const;
    /// Samples and given weights in the memory of the host, which are part of fixed() where that is the device.
    [[nodiscard]] double host(Index samples) const;
    /// The kernel of n1 samples with n2 others, or with themselves (n2 = 0).
    [[nodiscard]] double result(Index n1, Index n2) const;
    /// Making it, the result, the samples on the device and every pass included; fixed() is not.
    [[nodiscard]] double making(Index n1, Index n2) const;

    /// What making it takes more where `own1` and `own2` of the samples are passed through the network here and the others' activations and
    /// signals come from other ranks, a layer at a time; negative where that is less.
    [[nodiscard]] double exchanging(Index n1, Index n2, Index own1, Index own2) const;

    /// The terms of the layers are asked for, too.
    void count_layer_terms() { layer_terms_ = true; }
    /// With --memory, a block of the Jacobian takes no more than a sixteenth of that. A plan is for the device of its rates.
    void fit_to(const Run& run);
    [[nodiscard]] Index jacobian_block() const { return jacobian_block_; }
    [[nodiscard]] bool on_cpu() const { return on_cpu_; }
    [[nodiscard]] bool given_weights() const { return given_weights_; }
    [[nodiscard]] bool layer_terms() const { return layer_terms_; }
    [[nodiscard]] double real_bytes() const { return static_cast<double>(real_); }
    [[nodiscard]] Block block() const { return block_; }
    [[nodiscard]] Index rows_per_sample() const { return cli::rows_per_sample(block_, architecture_); }

private:
    [[nodiscard]] double weights() const;
    [[nodiscard]] double passes(double n1, double n2) const;
    [[nodiscard]] double deltas(double n1, double n2) const;
    [[nodiscard]] double jacobian_blocks(Index n1, Index n2) const;

    KernelName name_;
    Block block_;
    bool by_jacobian_, half_;
    Architecture architecture_;
    bool given_weights_, on_cpu_, layer_terms_ = false;
    Index targets_, real_, jacobian_block_ = EmpiricalOptions{}.jacobian_block_bytes;
    std::function<std::uint64_t(Index, Index, Index)> workspace_;
};

/// How a kernel goes into memory.
struct KernelPlan {
    KernelBlocks blocks;
    double bytes = 0, whole_bytes = 0;  ///< for these blocks, and for the kernel at once
    [[nodiscard]] bool whole() const { return blocks.count() <= 1; }
};

/// At once if that fits into what the run may use, else by the largest blocks that do. Throws Error(out_of_memory) with the number needed
/// when not even blocks of 64 samples do.
[[nodiscard]] KernelPlan plan_kernel(Run& run, const KernelMemory& memory, Index n1, Index n2);

}  // namespace ntk::cli

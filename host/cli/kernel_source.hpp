#pragma once

// The kernel that --kernel names, computed where it is needed: symmetric, cross or diagonal.

#include "run.hpp"

#include <ntkcuda/feature_space.hpp>
#include <ntkcuda/infinite_width.hpp>
#include <ntkcuda/kernel_operator.hpp>
#include <ntkcuda/propagate.hpp>

namespace ntk::cli {

void add_kernel_options(CLI::App& command, KernelArguments& kernel, const std::string& default_kernel);

/// What the entries of a kernel of n rows resolve (KernelSystem): half_gram_resolution, or 0 where they are as fine as their type.
[[nodiscard]] double kernel_resolution(const KernelArguments& arguments, Index n);

/// Throws Error(invalid_argument) for a limit that grows with widths which the command line leaves to their default.
void require_widths(KernelName name, const NetworkArguments& network, const Architecture& architecture);

/// Throws Error(invalid_argument) for a method, a block, --precision fast or --weights that the kernel does not go with.
void require_kernel(const KernelArguments& arguments, const Architecture& architecture, bool weights);

/// The parts of a limiting kernel, for products with it.
template <class Real>
[[nodiscard]] KernelTiles<Real> limit_tiles(const std::shared_ptr<Backend<Real>>& backend, const Architecture& architecture,
                                            InfiniteKernel kernel);

template <class Real>
class KernelSource {
public:
    /// Draws the network, or takes the given weights, for the empirical kernels.
    KernelSource(const std::shared_ptr<Backend<Real>>& backend, const KernelArguments& arguments, const Architecture& architecture,
                 std::uint64_t seed, const std::optional<Weights>& weights);

    /// Called with every term of an empirical NTK from here on.
    void on_layer(std::function<void(Index, const HostMatrix<double>&)> visit) { options_.per_layer = std::move(visit); }

    /// Told from here on of every layer of an empirical NTK, or of parts of a limiting kernel.
    void on_progress(ntk::Progress<Index, Index> progress) { progress_ = std::move(progress); }

    /// Bytes that a block of the Jacobian may take (--method jacobian).
    void limit_jacobian_block(std::int64_t bytes) { options_.jacobian_block_bytes = bytes; }

    /// n x n, (n O) x (n O) or n x O by the block.
    [[nodiscard]] Matrix<Real> symmetric(const Matrix<Real>& x) const;
    /// Rows x1, columns x2; not for Block::diag.
    [[nodiscard]] Matrix<Real> cross(const Matrix<Real>& x1, const Matrix<Real>& x2) const;
    /// The parts of `cross` that `pieces` name, as `symmetric` has them, at their places in `out`; what the rest of it holds has no
    /// meaning. A finite network's passes are shared by the groups.
    void cross_into(MatrixView<Real> out, const Matrix<Real>& x1, const Matrix<Real>& x2, std::span<const KernelPiece> pieces,
                    const PassGroups& groups = {}) const;
    /// The diagonal that `symmetric` would have: (n r) x 1.
    [[nodiscard]] Matrix<Real> diagonal(const Matrix<Real>& x) const;
    /// Products with the symmetric kernel of x, which must outlive them, as this must; for so many columns, the rows spread over `ranks`.
    [[nodiscard]] std::unique_ptr<KernelOperator<Real>> products(const Matrix<Real>& x, Index columns, double memory, Ranks& ranks) const;
    /// Only for empirical kernels; this must outlive it.
    [[nodiscard]] FeatureMap<Real> features() const;
    /// f_0(x), n x O; only for empirical kernels.
    [[nodiscard]] Matrix<Real> initial_function(const Matrix<Real>& x) const;

private:
    [[nodiscard]] InfiniteKernel infinite() const { return name_ == KernelName::ntk ? InfiniteKernel::ntk : InfiniteKernel::nngp; }
    /// A column of n values, the same for every output, as n x O or (n O) x 1 by the block.
    [[nodiscard]] Matrix<Real> for_every_output(const Matrix<Real>& column, Block block) const;

    std::shared_ptr<Backend<Real>> backend_;
    KernelName name_;
    Architecture architecture_;
    EmpiricalOptions options_;
    ntk::Progress<Index, Index> progress_;
    std::optional<Network<Real>> network_;
};

}  // namespace ntk::cli

#pragma once

/// \file kernel_operator.hpp
/// Kernels as products K V, for systems whose n x n matrix is too large: without the matrix, O(n P) a product, for the kernels of a finite
/// network, and by tiles that are computed again in each product for any other.
///
///     finite width:   Theta V = J (J^T V): per layer G_l = s_l sum_x V(x) delta^l(x)^T a^{l-1}(x), then sum_l delta^l(x)^T G_l a^{l-1}(x)
///
/// Samples are spread over ranks: each has the rows of its own samples of every vector, and what it has not is summed over the ranks.

#include <ntkcuda/backend.hpp>
#include <ntkcuda/gram.hpp>
#include <ntkcuda/ranks.hpp>

#include <functional>
#include <memory>
#include <vector>

namespace ntk {

/// Samples [first, first + count) of all, those of one rank.
struct SampleShare {
    Index first = 0, count = 0;
};

/// Equal shares in the order of the ranks, up to one sample.
[[nodiscard]] SampleShare share_of(Index samples, const Ranks& ranks);

/// A symmetric positive semidefinite kernel of n samples, r rows each (r = O for Block::full, else 1). Every rank calls every function.
template <class Real>
class KernelOperator {
public:
    /// `samples` (n x d, in memory of the backend, all of them on every rank) and `ranks` must outlive this.
    KernelOperator(std::shared_ptr<Backend<Real>> backend, ConstMatrixView<Real> samples, Index rows_per_sample, Ranks& ranks);
    KernelOperator(const KernelOperator&) = delete;
    KernelOperator& operator=(const KernelOperator&) = delete;
    virtual ~KernelOperator() = default;

    [[nodiscard]] const std::shared_ptr<Backend<Real>>& backend() const { return backend_; }
    [[nodiscard]] Ranks& ranks() const { return ranks_; }
    [[nodiscard]] Index samples() const { return samples_.rows(); }
    [[nodiscard]] Index rows_per_sample() const { return rows_per_sample_; }
    /// The samples whose rows this rank has.
    [[nodiscard]] SampleShare share() const { return share_; }
    /// The rows of this rank: share().count r.
    [[nodiscard]] Index rows() const { return share_.count * rows_per_sample_; }
    /// Those of all ranks: n r.
    [[nodiscard]] Index all_rows() const { return samples() * rows_per_sample_; }

    /// K V: `v` and `out` are rows() x m and do not overlap.
    virtual void apply(ConstMatrixView<Real> v, MatrixView<Real> out) = 0;
    /// k(x, X) V for other samples x: (x.rows() r) x m, the same on every rank; the kernel between them is not formed as a whole.
    [[nodiscard]] virtual Matrix<Real> cross(ConstMatrixView<Real> x, ConstMatrixView<Real> v) = 0;
    /// The diagonal, rows() x 1.
    [[nodiscard]] virtual Matrix<Real> diagonal() = 0;
    /// The columns of these samples (numbers of all n), rows() x (samples.size() r).
    [[nodiscard]] virtual Matrix<Real> columns(const std::vector<Index>& samples) = 0;

protected:
    [[nodiscard]] ConstMatrixView<Real> all_samples() const { return samples_; }
    [[nodiscard]] ConstMatrixView<Real> own_samples() const { return samples_.row_range(share_.first, share_.count); }
    [[nodiscard]] Matrix<Real> gathered(const std::vector<Index>& samples) const;
    /// Throws Error(shape_mismatch) unless v has rows() rows.
    void require_rows(ConstMatrixView<Real> v) const;

private:
    std::shared_ptr<Backend<Real>> backend_;
    ConstMatrixView<Real> samples_;
    Index rows_per_sample_;
    Ranks& ranks_;
    SampleShare share_;
};

/// What an operator may take.
struct OperatorOptions {
    Block block = Block::trace;  ///< full or trace; tangent_operator alone
    /// Bytes on the device for batches or tiles: the largest batch that does not make products slower, and with what is left the passes, or
    /// tiles, are kept instead of computed again in each product. At least one batch of minimal_batch samples is taken.
    double memory = 0x1p30;
    Index most_batch = 4096;  ///< samples of a batch, of a side of a tile
};

/// Samples of the smallest batch, or tile, that an operator works with where there are as many.
constexpr Index minimal_batch = 64;

/// How a product of an operator goes into memory, and what it costs.
struct OperatorPlan {
    Index batch = 0;              ///< samples at a time
    Index kept = 0;               ///< batches, or tiles, that are kept
    double bytes = 0;             ///< on the device, gradients included; the vectors themselves are not
    double product_flops = 0;     ///< of apply(), m columns
    double setup_flops = 0;       ///< once, for what is kept
    double gradient_numbers = 0;  ///< summed over the ranks in each product
};

/// The plan of tangent_operator for n samples and products of m columns on one of `ranks` ranks. With p = sum_l n_l n_{l-1}:
///     trace: 4 n O p flops a column, and 4 n (1 + O) p more for samples that are not kept; (1 + O) sum n_l numbers a kept sample;
///     full:  8 n p flops a column, and 4 n p more for samples that are not kept; 2 sum n_l numbers a kept sample;
///     m P (full) or m O P (trace) numbers of gradients.
template <class Real>
[[nodiscard]] OperatorPlan plan_tangent_operator(const Architecture& architecture, Index samples, Index columns,
                                                 const OperatorOptions& options, int ranks = 1);
/// The same for nngp_operator, whose one layer is the last one.
template <class Real>
[[nodiscard]] OperatorPlan plan_nngp_operator(const Architecture& architecture, Index samples, Index columns,
                                              const OperatorOptions& options, int ranks = 1);

/// The empirical NTK of `network`, which must outlive it, equal to empirical_ntk times V to rounding. Block::trace weights every
/// delta and contracts it with a; Block::full with O > 1 goes back and forth with the weighted delta of each column alone, whatever O.
/// `columns`: of the products, for which gradients and work space are planned; with more at once it takes that much more.
/// Throws Error(shape_mismatch) if the samples do not fit the network, Error(invalid_argument) for Block::diag.
template <class Real>
[[nodiscard]] std::unique_ptr<KernelOperator<Real>> tangent_operator(const Network<Real>& network, InputView<Real> samples, Index columns,
                                                                     const OperatorOptions& options = {}, Ranks& ranks = one_rank());

/// The empirical NNGP of `network`, which must outlive it: 4 n n_{L-1} flops a column.
template <class Real>
[[nodiscard]] std::unique_ptr<KernelOperator<Real>> nngp_operator(const Network<Real>& network, InputView<Real> samples, Index columns,
                                                                  const OperatorOptions& options = {}, Ranks& ranks = one_rank());

/// A kernel as functions that make parts of it.
template <class Real>
struct KernelTiles {
    std::function<Matrix<Real>(ConstMatrixView<Real> x1, ConstMatrixView<Real> x2)> cross;  ///< (n1 r) x (n2 r)
    std::function<Matrix<Real>(ConstMatrixView<Real> x)> symmetric;                         ///< (n r) x (n r), both triangles
    std::function<Matrix<Real>(ConstMatrixView<Real> x)> diagonal;                          ///< (n r) x 1
    Index rows_per_sample = 1;
    /// Bytes that making such a part takes beside its result.
    std::function<double(Index n1, Index n2)> workspace = [](Index, Index) { return 0.0; };
};

/// Any kernel, by the tiles on and below the diagonal, each used for both sides of it: half the work of the whole kernel a product, and 2
/// n^2 flops a column. The tiles are dealt out to the ranks.
template <class Real>
[[nodiscard]] std::unique_ptr<KernelOperator<Real>> tiled_operator(std::shared_ptr<Backend<Real>> backend, InputView<Real> samples,
                                                                   KernelTiles<Real> tiles, const OperatorOptions& options = {},
                                                                   Ranks& ranks = one_rank());
/// Its plan; flops are those beside the tiles.
template <class Real>
[[nodiscard]] OperatorPlan plan_tiled_operator(const KernelTiles<Real>& tiles, Index samples, Index columns, const OperatorOptions& options,
                                               int ranks = 1);

}  // namespace ntk

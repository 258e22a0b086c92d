#pragma once

// What DistributedKernelSystem asks of the library that factorises: ScaLAPACK on the hosts, or cuSOLVERMp on the GPUs (nvidia/).

#include <ntkcuda/mpi.hpp>

#include <memory>
#include <vector>

namespace ntk {

/// Up to here a refused system is gathered, so that one rank says of it what KernelSystem says.
inline constexpr Index gathered_up_to = 4000;

/// A symmetric matrix K of which each rank has its part, and then its Cholesky factor. All functions are collective, and what they return
/// is the same on every rank.
template <class Real>
class DistributedFactor {
public:
    DistributedFactor(MpiRanks& ranks, const DistributedLayout& layout) : ranks_(ranks), layout_(layout) {}
    virtual ~DistributedFactor() = default;
    DistributedFactor(const DistributedFactor&) = delete;
    DistributedFactor& operator=(const DistributedFactor&) = delete;

    [[nodiscard]] MpiRanks& ranks() const { return ranks_; }
    [[nodiscard]] const DistributedLayout& layout() const { return layout_; }
    [[nodiscard]] Index n() const { return layout_.rows.size; }

    /// Of K, or of its factor.
    [[nodiscard]] virtual std::vector<double> diagonal() const = 0;
    /// Of the absolute values of K.
    [[nodiscard]] virtual std::vector<double> column_sums() const = 0;
    virtual void add_to_diagonal(double value) = 0;
    /// 0, or the 1-based order of the first minor that is not positive.
    [[nodiscard]] virtual int factorise() = 0;
    /// The entries of K above its diagonal, also after factorise(); n <= gathered_up_to.
    [[nodiscard]] virtual HostMatrix<Real> upper_triangle() const = 0;
    /// K^{-1} y for y (n x targets).
    [[nodiscard]] virtual HostMatrix<Real> solve(const HostMatrix<Real>& y) const = 0;
    /// k^T K^{-1} k (tests x 1) for each row k of a cross kernel, of which this is the rank's part on the host, or on its device.
    [[nodiscard]] virtual HostMatrix<Real> explained(const DistributedLayout& cross_layout, HostMatrix<Real> cross) const = 0;
    [[nodiscard]] virtual HostMatrix<Real> explained(const DistributedLayout& cross_layout, const Matrix<Real>& cross) const = 0;

protected:
    [[nodiscard]] int rank() const { return ranks_.rank(); }
    /// visit(global row, global column, entry) for this rank's part of a matrix of that layout.
    template <class Part, class Visit>
    void for_each_entry(const DistributedLayout& layout, Part& part, const Visit& visit) const {
        std::vector<Index> cols(static_cast<std::size_t>(part.cols()));  // a column's divisions once, not for every entry
        for (Index j = 0; j < part.cols(); ++j) cols[static_cast<std::size_t>(j)] = layout.global_col(rank(), j);
        for (Index i = 0; i < part.rows(); ++i) {
            const Index row = layout.global_row(rank(), i);
            for (Index j = 0; j < part.cols(); ++j) visit(row, cols[static_cast<std::size_t>(j)], part(i, j));
        }
    }
    /// What `part` has of the entries above the diagonal, of all ranks.
    [[nodiscard]] HostMatrix<Real> gather_upper(const HostMatrix<Real>& part) const {
        HostMatrix<Real> whole(n(), n());
        for_each_entry(layout_, part, [&](Index row, Index col, const Real& entry) {
            if (row < col) whole(row, col) = entry;
        });
        sum(whole);
        return whole;
    }
    void sum(HostMatrix<Real>& values) const { ranks_.sum(std::span(values.data(), static_cast<std::size_t>(values.size()))); }

private:
    MpiRanks& ranks_;
    DistributedLayout layout_;
};

/// In memory of the host. Throws Error(out_of_memory) where a part has 2^31 entries or more.
template <class Real>
[[nodiscard]] std::unique_ptr<DistributedFactor<Real>> scalapack_factor(MpiRanks& ranks, const DistributedLayout& layout,
                                                                        HostMatrix<Real> part);

}  // namespace ntk

#pragma once

#include "group.hpp"

#include "host/mpi/distributed_factor.hpp"

namespace ntk::nvidia {

/// By cuSOLVERMp, on the GPUs. Of the two triangles of K, which both lie on the devices, the factor takes what is the lower one in columns:
/// ours above the diagonal.
template <class Real>
class DeviceFactor final : public DistributedFactor<Real> {
public:
    DeviceFactor(const Group<Real>& group, const DistributedLayout& of_kernel, Matrix<Real> part);

    [[nodiscard]] std::vector<double> diagonal() const override;
    [[nodiscard]] std::vector<double> column_sums() const override;
    void add_to_diagonal(double value) override;
    [[nodiscard]] int factorise() override;
    [[nodiscard]] HostMatrix<Real> upper_triangle() const override { return this->gather_upper(kernel_); }
    [[nodiscard]] HostMatrix<Real> solve(const HostMatrix<Real>& y) const override;
    [[nodiscard]] HostMatrix<Real> explained(const DistributedLayout& cross_layout, HostMatrix<Real> cross) const override;
    [[nodiscard]] HostMatrix<Real> explained(const DistributedLayout& cross_layout, const Matrix<Real>& cross) const override;

private:
    using DistributedFactor<Real>::n;
    using DistributedFactor<Real>::layout;
    using DistributedFactor<Real>::rank;

    /// Where the entries are; an address also where this rank has none.
    template <class Entry>
    [[nodiscard]] Entry* address(MatrixView<Entry> part) const {
        return part.empty() ? nothing_.as<Entry>() : part.data();
    }
    /// How so many right-hand sides, at most a block of them, lie as rows: all on the ranks of the grid's first row.
    [[nodiscard]] DistributedLayout sides_layout(Index count) const {
        return {layout().grid, {count, layout().rows.side, layout().grid.rows}, layout().cols};
    }
    /// The rows of b, which lie so, become K^{-1} b.
    void solve_rows(Index count, Matrix<Real>& b) const;
    /// Rows first .. first + count of the part of `cross` of those ranks that are in row `from` of the grid, on those of its first row.
    [[nodiscard]] Matrix<Real> rows_on_first(const Matrix<Real>& cross, int from, Index first, Index count) const;

    const Group<Real>& group_;
    Matrix<Real> part_;
    cuda::Buffer nothing_;
    Description description_;
    HostMatrix<Real> kernel_;  ///< this rank's part before factorise(), for a refusal
};

}  // namespace ntk::nvidia

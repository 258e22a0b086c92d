#pragma once

// One rank's part of a kernel: its rows and columns of samples, and the entries between them.

#include "host/cli/kernel_source.hpp"

#include <ntkcuda/mpi.hpp>
#include <ntkcuda/plan.hpp>

namespace ntk::cli {

/// The rows of x that a part of the axis has.
[[nodiscard]] HostMatrix<double> samples_of(const HostMatrix<double>& x, const CyclicAxis& axis, int part);

/// The ranks of this one's row and of its column of the grid, where they exchange passes.
class GridGroups {
public:
    GridGroups(const MpiRanks& ranks, const RankGrid& grid, Passes passes) {
        if (passes == Passes::compute) return;
        row_ = ranks.split(grid.row_of(ranks.rank()));
        col_ = ranks.split(grid.col_of(ranks.rank()));
    }
    [[nodiscard]] PassGroups groups() const { return row_ ? PassGroups{*row_, *col_} : PassGroups{}; }

private:
    std::unique_ptr<MpiRanks> row_, col_;
};

/// The samples of a rank on their device, and its part of the kernel between them.
template <class Real>
class KernelPart {
public:
    /// `layout` counts samples. Rows are those of x1, columns those of x2.
    KernelPart(const std::shared_ptr<Backend<Real>>& backend, const DistributedLayout& layout, int rank, const HostMatrix<double>& x1,
               const HostMatrix<double>& x2, Index rows_per_sample);

    /// Of a symmetric kernel the blocks on and below the diagonal. The entries come to the host.
    void compute(const KernelSource<Real>& source, const PassGroups& groups);
    /// The same; the entries stay on the device.
    [[nodiscard]] Matrix<Real> compute_on_device(const KernelSource<Real>& source, const PassGroups& groups);
    void normalize(const KernelSource<Real>& source);
    /// The entries that compute_on_device() gave.
    void normalize(const KernelSource<Real>& source, MatrixView<Real> on_device) const;
    /// Them, on the host from here on.
    void fetch(const Matrix<Real>& on_device) { entries_ = download(on_device); }

    [[nodiscard]] HostMatrix<Real>& entries() { return entries_; }
    [[nodiscard]] bool empty() const { return rows_ == 0 || cols_ == 0; }

private:
    /// work(view): on the CPU on the entries where they are, else on a copy on the device, which comes back.
    template <class Work>
    void on_device(bool fresh, const Work& work);

    std::shared_ptr<Backend<Real>> backend_;
    DistributedLayout layout_;
    int rank_;
    Index rows_, cols_;
    HostMatrix<Real> entries_;
    Matrix<Real> x1_, x2_;
};

/// Throws what the plain program throws for a sample whose limiting kernel leaves its range, under its number among all of x.
template <class Real>
void require_all_in_range(const KernelSource<Real>& source, const std::shared_ptr<Backend<Real>>& backend, const HostMatrix<double>& x);

}  // namespace ntk::cli

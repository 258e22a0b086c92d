#pragma once

/// \file kernel_blocks.hpp
/// Kernels larger than the memory of the device: computed by blocks of samples, each on its way to the host while the next is computed.

#include <ntkcuda/backend.hpp>

#include <functional>

namespace ntk {

/// Samples [row, row + rows) against samples [col, col + cols).
struct SampleBlock {
    Index row = 0, rows = 0, col = 0, cols = 0;
    /// Of a symmetric kernel: one side with itself.
    [[nodiscard]] bool on_diagonal() const { return row == col; }
};

/// How a kernel of rows x cols samples is cut: into blocks of up to side x side samples, row by row.
struct KernelBlocks {
    Index rows = 0, cols = 0, side = 0;
    /// Rows and columns are the same samples: blocks on and below the diagonal are computed, those above are transposes.
    bool symmetric = false;

    /// How many blocks are computed. Throws Error(invalid_argument) for a side < 1.
    [[nodiscard]] Index count() const;
};

/// Part of a cross kernel. `own`: its rows and columns are the same samples, and of them the lower triangle is meant.
struct KernelPiece : SampleBlock {
    bool own = false;
};

/// One block of the kernel: (block.rows r1) x (block.cols r2) entries, with the same r1 and r2 for every block.
template <class Real>
using ComputeBlock = std::function<Matrix<Real>(const SampleBlock& block)>;

/// Entries of the kernel from (row, col) on, in memory of the host until the call returns.
template <class Real>
using VisitEntries = std::function<void(Index row, Index col, ConstMatrixView<Real> entries)>;

/// Shows the transpose of `entries`, which are those from (row, col) on of a symmetric kernel, to `visit`, by up to 16 MiB at a time.
template <class Real>
void visit_transpose(Index row, Index col, InputView<Real> entries, const VisitEntries<Real>& visit);

/// Shows every entry of the kernel once to `visit`, in rectangles of an order and size that are the device's. On a CUDA device `compute` is
/// asked for the next block before the entries of the last one are visited, so that they come to the host, and are used there, while the
/// device computes.
///
/// Memory: one block (CPU) or two (CUDA), what `compute` needs, and up to 16 MiB on the host for transposes; two strips of pinned memory
/// (CUDA). Work: that of the whole kernel, and whatever `compute` does once a sample of its block: for a kernel from forward and backward
/// passes of networks of width w, 2 n^2 / side passes of O(w^2) a layer instead of n, beside products of O(w) an entry: 2 w / side times
/// the work of the products. So choose the side as large as memory allows.
///
/// Exceptions of `compute` and `visit` come out; nothing is visited after one. Throws Error(invalid_argument) for a side < 1.
template <class Real>
void for_each_kernel_block(Backend<Real>& backend, const KernelBlocks& blocks, const ComputeBlock<Real>& compute,
                           const VisitEntries<Real>& visit);

}  // namespace ntk

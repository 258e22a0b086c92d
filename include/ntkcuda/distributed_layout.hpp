#pragma once

/// \file distributed_layout.hpp
/// How a kernel lies on several ranks: the two-dimensional block-cyclic layout of ScaLAPACK (Blackford et al. 1997), counted in samples.
/// Nothing here needs MPI.
///
///     block (I, J) of side x side samples is on the rank in row I mod r and column J mod c of the r x c grid

#include <ntkcuda/kernel_blocks.hpp>

#include <vector>

namespace ntk {

/// A product whose rows and columns are cut at multiples of this has the same bits as without a cut: OpenBLAS sums every entry alike. (Of
/// cuBLAS nothing is known.)
inline constexpr Index uncut_rows = 48;

/// Ranks as a grid, row by row.
struct RankGrid {
    int rows = 1, cols = 1;
    [[nodiscard]] int row_of(int rank) const { return rank / cols; }
    [[nodiscard]] int col_of(int rank) const { return rank % cols; }
    [[nodiscard]] int rank(int row, int col) const { return row * cols + col; }
};

/// The grid of so many ranks that is nearest to a square, with no more rows than columns.
[[nodiscard]] RankGrid rank_grid(int ranks);

/// Indices 0 .. size - 1 in blocks of `side` that are dealt to `parts` in turn.
struct CyclicAxis {
    Index size = 0, side = 1;
    int parts = 1;

    /// How many a part has.
    [[nodiscard]] Index count(int part) const;
    /// Which one is its `local`-th.
    [[nodiscard]] Index global(int part, Index local) const { return (local / side * parts + part) * side + local % side; }
    /// The axis of the rows of a matrix with so many rows an index.
    [[nodiscard]] CyclicAxis repeated(Index times) const { return {size * times, side * times, parts}; }
};

/// A matrix on a grid. Of a symmetric one both axes are the same samples in blocks of one side.
struct DistributedLayout {
    RankGrid grid;
    CyclicAxis rows, cols;
    bool symmetric = false;

    [[nodiscard]] Index local_rows(int rank) const { return rows.count(grid.row_of(rank)); }
    [[nodiscard]] Index local_cols(int rank) const { return cols.count(grid.col_of(rank)); }
    [[nodiscard]] Index global_row(int rank, Index local) const { return rows.global(grid.row_of(rank), local); }
    [[nodiscard]] Index global_col(int rank, Index local) const { return cols.global(grid.col_of(rank), local); }
    /// The entries, where a row or column is `row_times` or `col_times` of them.
    [[nodiscard]] DistributedLayout repeated(Index row_times, Index col_times) const {
        return {grid, rows.repeated(row_times), cols.repeated(col_times), symmetric};
    }
};

/// The layout of the kernel of n1 samples (rows) with n2 others (columns), or with themselves (n2 = 0), `rows_per_sample` rows and columns
/// each. Blocks are small enough for every rank to have some of each size of work, and near what ScaLAPACK takes best (up to 240 rows).
[[nodiscard]] DistributedLayout kernel_layout(int ranks, Index n1, Index n2, Index rows_per_sample);
/// Rows dealt to the ranks, columns whole.
[[nodiscard]] DistributedLayout row_layout(int ranks, Index rows, Index cols);

/// Samples that a group of ranks has in common, one contiguous share for each of them to pass through the network. Shares are multiples of
/// 48 samples, the last one left over, where OpenBLAS sums every entry in float64 as it does without a cut; of few samples the first ranks
/// have all.
[[nodiscard]] CyclicAxis pass_shares(Index samples, int ranks);

/// What a rank computes of its part: all of a cross kernel; of a symmetric one the blocks on and below the diagonal.
[[nodiscard]] std::vector<KernelPiece> kernel_pieces(const DistributedLayout& samples, int rank);

/// What ScaLAPACK's eigendecomposition of a symmetric matrix (PxSYEVD) needs on a rank to work in, beside the matrix and its eigenvectors:
/// some twice as many numbers as the rank has entries of the matrix.
struct EigenWorkspace {
    double numbers = 0, integers = 0;
};
[[nodiscard]] EigenWorkspace eigen_workspace(const DistributedLayout& layout, int rank);
/// Bytes of that and of the eigenvectors, of numbers of `real` bytes, on the first rank, which has the most.
[[nodiscard]] double eigen_bytes(const DistributedLayout& layout, std::size_t real);

/// What distributing costs a rank at most.
struct DistributedCost {
    bool shared = false;         ///< there are several ranks, and each has entries: passes can be shared (PassGroups)
    double passes = 0;           ///< samples that go through the network, each rank computing all that it needs
    double own_passes = 0;       ///< with its share of them alone (pass_shares)
    double gathered = 0;         ///< samples that then come from the others
    double entries = 0;          ///< of its part of the kernel, which is all that it keeps
    double computed = 0;         ///< entries that it computes
    double mirrored_bytes = 0;   ///< blocks that come from below the diagonal, received once (kernel and predict)
    double factorise_bytes = 0;  ///< received during PxPOTRF: panels of n^2 / 2 (1 / r + 1 / c) numbers
    /// Received by PxSYEVD: n^2 (1 / r + 1 / c) numbers each of columns and of panels on the way to a tridiagonal matrix, of products with
    /// the eigenvectors of its parts, and of panels on the way back.
    double eigen_link_bytes = 0;
    double solve_bytes = 0;      ///< received by all solves and sums: about 2 n a right-hand side, six of them for the condition
    double workspace_bytes = 0;  ///< beside its part: a block row that is mirrored, panels
};
/// Of the kernel of these samples, `rows_per_sample` rows each, of numbers of `real` bytes, and of solving a symmetric one for `targets`
/// columns.
[[nodiscard]] DistributedCost distributed_cost(const DistributedLayout& samples, Index rows_per_sample, Index targets, std::size_t real);

}  // namespace ntk

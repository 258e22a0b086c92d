#pragma once

// Which blocks below the diagonal of a symmetric matrix a rank sends to others and receives from them, and where they lie in its part.
//
//     block (I, J), J < I, is on rank (I mod r, J mod c); its transpose, block (J, I), on rank (J mod r, I mod c)

#include <ntkcuda/distributed_layout.hpp>

#include <algorithm>
#include <vector>

namespace ntk {

/// The blocks of a part on the diagonal of the matrix.
[[nodiscard]] inline std::vector<KernelPiece> diagonal_pieces(const DistributedLayout& layout, int rank) {
    std::vector<KernelPiece> pieces = kernel_pieces(layout, rank);
    std::erase_if(pieces, [](const KernelPiece& piece) { return !piece.own; });
    return pieces;
}
template <class Real>
[[nodiscard]] MatrixView<Real> block_of(MatrixView<Real> part, const SampleBlock& block) {
    return part.row_range(block.row, block.rows).col_range(block.col, block.cols);
}

/// visit(index, entry) for what a part has of the diagonal of the matrix.
template <class Part, class Visit>
void for_each_diagonal_entry(const DistributedLayout& layout, int rank, Part& part, const Visit& visit) {
    for (const KernelPiece& piece : diagonal_pieces(layout, rank))
        for (Index i = 0; i < piece.rows; ++i) visit(layout.global_row(rank, piece.row + i), part(piece.row + i, piece.col + i));
}

class MirroredBlocks {
public:
    MirroredBlocks(const DistributedLayout& layout, int rank)
        : grid_(layout.grid), axis_(layout.rows), row_(grid_.row_of(rank)), col_(grid_.col_of(rank)) {}

    /// Block rows.
    [[nodiscard]] Index count() const { return (axis_.size + axis_.side - 1) / axis_.side; }
    /// Rows of block row I.
    [[nodiscard]] Index rows_of(Index i) const { return std::min(axis_.side, axis_.size - i * axis_.side); }

    /// visit(rank, the J of the blocks) for every rank that gets transposes of blocks (I, J) from this one,
    template <class Visit>
    void for_each_receiver(Index i, const Visit& visit) const {
        if (row_ != i % grid_.rows) return;
        for (int row = 0; row < grid_.rows; ++row)
            if (auto blocks = between(i, row, col_); !blocks.empty()) visit(rank(row, i), std::move(blocks));
    }
    /// and for every rank that this one gets them from.
    template <class Visit>
    void for_each_sender(Index i, const Visit& visit) const {
        if (col_ != i % grid_.cols) return;
        for (int col = 0; col < grid_.cols; ++col)
            if (auto blocks = between(i, row_, col); !blocks.empty()) visit(rank(i, col), std::move(blocks));
    }

    /// Block (I, J) in the part of the rank that sends its transpose, and that transpose in the part of the one that gets it.
    template <class Real>
    [[nodiscard]] MatrixView<Real> source(MatrixView<Real> part, Index i, Index j) const {
        return block_of(part, {i / grid_.rows * axis_.side, rows_of(i), j / grid_.cols * axis_.side, axis_.side});
    }
    template <class Real>
    [[nodiscard]] MatrixView<Real> target(MatrixView<Real> part, Index i, Index j) const {
        return block_of(part, {j / grid_.rows * axis_.side, axis_.side, i / grid_.cols * axis_.side, rows_of(i)});
    }

private:
    [[nodiscard]] int rank(Index block_row, Index block_col) const {
        return grid_.rank(static_cast<int>(block_row % grid_.rows), static_cast<int>(block_col % grid_.cols));
    }
    /// The J < I with J mod r = row and J mod c = col.
    [[nodiscard]] std::vector<Index> between(Index i, int row, int col) const {
        std::vector<Index> blocks;
        for (Index j = col; j < i; j += grid_.cols)
            if (j % grid_.rows == row) blocks.push_back(j);
        return blocks;
    }

    RankGrid grid_;
    CyclicAxis axis_;
    int row_, col_;
};

}  // namespace ntk

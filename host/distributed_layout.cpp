#include <ntkcuda/distributed_layout.hpp>

#include <algorithm>

namespace ntk {
namespace {

/// Rows of a block: as many as ScaLAPACK takes well, and fewer where each row or column of the grid would have less than `least_blocks`.
constexpr Index most_rows = 240, least_blocks = 8;
/// Rows of samples that are computed at a time against all columns before them: a large piece runs at the rate of a large product.
constexpr Index rows_together = 768;

Index block_side(Index samples, Index rows_per_sample, int parts) {
    Index side = std::max<Index>(1, std::min(samples / (least_blocks * parts), most_rows / rows_per_sample));
    if (side >= uncut_rows) side = side / uncut_rows * uncut_rows;
    return side;
}

}  // namespace

RankGrid rank_grid(int ranks) {
    if (ranks < 1) throw Error(ErrorCode::invalid_argument, "a grid has at least one rank, not " + std::to_string(ranks));
    RankGrid grid{1, ranks};
    for (int rows = 2; rows * rows <= ranks; ++rows)
        if (ranks % rows == 0) grid = {rows, ranks / rows};
    return grid;
}

Index CyclicAxis::count(int part) const {
    const Index whole = size / side, rounds = whole / parts, left = whole % parts;
    return rounds * side + (part < left ? side : part == left ? size % side : 0);
}

DistributedLayout kernel_layout(int ranks, Index n1, Index n2, Index rows_per_sample) {
    const RankGrid grid = rank_grid(ranks);
    const bool symmetric = n2 == 0;
    const Index col_side = block_side(symmetric ? n1 : n2, rows_per_sample, grid.cols);
    const Index row_side = symmetric ? col_side : block_side(n1, rows_per_sample, grid.rows);
    return {grid, {n1, row_side, grid.rows}, {symmetric ? n1 : n2, col_side, grid.cols}, symmetric};
}

DistributedLayout row_layout(int ranks, Index rows, Index cols) {
    return {{ranks, 1}, {rows, block_side(rows, 1, ranks), ranks}, {cols, std::max<Index>(1, cols), 1}, false};
}

std::vector<KernelPiece> kernel_pieces(const DistributedLayout& samples, int rank) {
    const Index rows = samples.local_rows(rank), cols = samples.local_cols(rank);
    if (!samples.symmetric) return {{{0, rows, 0, cols}, false}};
    const RankGrid& grid = samples.grid;
    const Index side = samples.rows.side, row = grid.row_of(rank), col = grid.col_of(rank);
    const auto global = [&](Index first) { return first / side * grid.rows + row; };  // the block at a row
    const auto before = [&](Index block) { return block > col ? (block - col + grid.cols - 1) / grid.cols * side : 0; };  // its columns
    const Index together = std::max<Index>(1, rows_together / side) * side;
    std::vector<KernelPiece> pieces;
    for (Index start = 0; start < rows; start += together) {
        const Index common = before(global(start)), end = std::min(start + together, rows);
        if (common > 0) pieces.push_back({{start, end - start, 0, common}, false});
        for (Index first = start; first < end; first += side) {
            const Index own = before(global(first)), count = std::min(side, rows - first);
            if (own > common) pieces.push_back({{first, count, common, own - common}, false});
            if (global(first) % grid.cols == col) pieces.push_back({{first, count, own, count}, true});
        }
    }
    return pieces;
}

DistributedCost distributed_cost(int ranks, Index n, Index rows_per_sample, Index targets, std::size_t real) {
    const DistributedLayout samples = kernel_layout(ranks, n, 0, rows_per_sample),
                            layout = samples.repeated(rows_per_sample, rows_per_sample);
    const auto number = static_cast<double>(real), size = static_cast<double>(layout.rows.size);
    const auto most_local_rows = static_cast<double>(layout.local_rows(0)), most_local_cols = static_cast<double>(layout.local_cols(0));
    DistributedCost cost;
    cost.passes = static_cast<double>(samples.local_rows(0) + samples.local_cols(0));
    cost.entries = most_local_rows * most_local_cols;
    for (int rank = 0; rank < ranks; ++rank) {
        double computed = 0;
        for (const KernelPiece& piece : kernel_pieces(samples, rank))
            computed += static_cast<double>(piece.rows) * static_cast<double>(piece.own ? piece.rows + 1 : 2 * piece.cols) / 2;
        cost.computed = std::max(cost.computed, computed * static_cast<double>(rows_per_sample * rows_per_sample));
    }
    cost.workspace_bytes = 2 * static_cast<double>(layout.rows.side) * (most_local_rows + most_local_cols) * number;
    if (ranks == 1) return cost;
    cost.mirrored_bytes = cost.entries / 2 * number;
    cost.factorise_bytes = size * (most_local_rows + most_local_cols) / 2 * number;
    cost.solve_bytes = 2 * size * static_cast<double>(targets + 6) * number;
    return cost;
}

}  // namespace ntk

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

CyclicAxis pass_shares(Index samples, int ranks) {
    const Index blocks = (samples + ranks * uncut_rows - 1) / (ranks * uncut_rows);
    return {samples, std::max<Index>(1, blocks) * uncut_rows, ranks};
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

// Not what PxSYEVD says when asked, which is too little for a rank without rows of the matrix (PxLAED1), and for sorting (PxLASRT) and
// transforming back (PxORMTR). In its words rows are our columns.
EigenWorkspace eigen_workspace(const DistributedLayout& layout, int rank) {
    const auto n = static_cast<double>(layout.rows.size), side = static_cast<double>(layout.rows.side);
    const auto rows = static_cast<double>(std::max<Index>(1, layout.local_cols(rank))), cols = static_cast<double>(layout.local_rows(rank));
    const double divide = 6 * n + 1 + 2 * rows * cols, sort = std::max(n, rows * (side + cols)), back = side * (rows + cols + 3 * side);
    const double reduce = 2 * n + std::max(n, side * (rows + 3));
    return {2 * n + std::max({divide, sort, back, reduce}), 7 * n + 2 * side + 8 * layout.grid.cols + 2};
}

double eigen_bytes(const DistributedLayout& layout, std::size_t real) {
    const EigenWorkspace workspace = eigen_workspace(layout, 0);
    const double vectors = static_cast<double>(layout.local_rows(0)) * static_cast<double>(layout.local_cols(0));
    return (vectors + workspace.numbers) * static_cast<double>(real) + workspace.integers * sizeof(int);
}

DistributedCost distributed_cost(const DistributedLayout& samples, Index rows_per_sample, Index targets, std::size_t real) {
    const DistributedLayout layout = samples.repeated(rows_per_sample, rows_per_sample);
    const RankGrid& grid = samples.grid;
    const int ranks = grid.rows * grid.cols, last = ranks - 1;
    const auto number = static_cast<double>(real), size = static_cast<double>(layout.rows.size);
    const auto most_local_rows = static_cast<double>(layout.local_rows(0)), most_local_cols = static_cast<double>(layout.local_cols(0));
    const Index rows = samples.local_rows(0), cols = samples.local_cols(0);
    const CyclicAxis row_shares = pass_shares(rows, grid.cols), col_shares = pass_shares(cols, grid.rows);
    DistributedCost cost;
    cost.shared = ranks > 1 && samples.local_rows(last) > 0 && samples.local_cols(last) > 0;
    cost.passes = static_cast<double>(rows + cols);
    cost.own_passes = static_cast<double>(row_shares.count(0) + col_shares.count(0));
    cost.gathered = static_cast<double>(rows - row_shares.count(grid.cols - 1) + cols - col_shares.count(grid.rows - 1));
    cost.entries = most_local_rows * most_local_cols;
    for (int rank = 0; rank < ranks; ++rank) {
        double computed = 0;
        for (const KernelPiece& piece : kernel_pieces(samples, rank))
            computed += static_cast<double>(piece.rows) * static_cast<double>(piece.own ? piece.rows + 1 : 2 * piece.cols) / 2;
        cost.computed = std::max(cost.computed, computed * static_cast<double>(rows_per_sample * rows_per_sample));
    }
    if (!samples.symmetric) return cost;
    cost.workspace_bytes = 2 * static_cast<double>(layout.rows.side) * (most_local_rows + most_local_cols) * number;
    if (ranks == 1) return cost;
    cost.mirrored_bytes = cost.entries / 2 * number;
    cost.factorise_bytes = size * (most_local_rows + most_local_cols) / 2 * number;
    cost.eigen_link_bytes = 8 * cost.factorise_bytes;
    cost.solve_bytes = 2 * size * static_cast<double>(targets + 6) * number;
    return cost;
}

}  // namespace ntk

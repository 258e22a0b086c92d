#pragma once

// Fixed partitions of a result among threads. They are functions of the shape alone, so bits do not depend on the number of threads.

#include <ntkcuda/backend.hpp>

#include <algorithm>
#include <vector>

namespace ntk {

/// One block of a result: rows [row, row + rows) and columns [col, col + cols).
struct Tile {
    Index row, rows, col, cols;
};

/// Sides of the tiles that a result is cut into.
struct TileShape {
    Index rows, cols;
};

/// The tiles of a GEMM with a rows x cols result. 384 x 768 runs within a few percent of the rate of an undivided GEMM and two such
/// tiles stay in cache; squares of 384 and less where that would leave too few tiles to share.
[[nodiscard]] inline TileShape tile_shape(Index rows, Index cols) {
    const auto count = [=](Index row_side, Index col_side) {
        return ((rows + row_side - 1) / row_side) * ((cols + col_side - 1) / col_side);
    };
    Index side = 384;
    if (count(side, 2 * side) >= 32) return {side, 2 * side};
    while (side > 96 && count(side, side) < 16) side /= 2;
    return {side, side};
}

/// The tiles of a rows x cols result.
[[nodiscard]] inline std::vector<Tile> all_tiles(Index rows, Index cols, TileShape shape) {
    std::vector<Tile> tiles;
    for (Index i = 0; i < rows; i += shape.rows)
        for (Index j = 0; j < cols; j += shape.cols)
            tiles.push_back({i, std::min(shape.rows, rows - i), j, std::min(shape.cols, cols - j)});
    return tiles;
}

/// The tiles on and below the diagonal of an n x n result. Those on the diagonal are square; they are the cheaper ones and come last.
[[nodiscard]] inline std::vector<Tile> lower_tiles(Index n, TileShape shape) {
    std::vector<Tile> tiles;
    for (Index i = 0; i < n; i += shape.rows)
        for (Index j = 0; j < i; j += shape.cols) tiles.push_back({i, std::min(shape.rows, n - i), j, std::min(shape.cols, i - j)});
    for (Index i = 0; i < n; i += shape.rows) tiles.push_back({i, std::min(shape.rows, n - i), i, std::min(shape.rows, n - i)});
    return tiles;
}

/// How many of `threads` work on tiles: one where waking the others costs more than they give (2^20 products take tens of microseconds).
[[nodiscard]] inline int tile_threads(int threads, std::size_t tiles, Index products) {
    return products < (Index{1} << 20) ? 1 : static_cast<int>(std::min(static_cast<std::size_t>(threads), tiles));
}

/// The tiles of a result of which one triangle or all is computed.
[[nodiscard]] inline std::vector<Tile> triangle_tiles(Index rows, Index cols, TileShape shape, Triangle triangle) {
    return triangle == Triangle::lower ? lower_tiles(rows, shape) : all_tiles(rows, cols, shape);
}

/// Elements that one thread takes at a time in elementwise work.
inline constexpr Index elementwise_chunk = 16384;
/// Work on this many elements or fewer runs in the caller alone: waking threads would take as long.
inline constexpr Index elementwise_alone = 4 * elementwise_chunk;

/// Calls f(i, first, last) for pieces [first, last) of row i that together cover a rows x cols matrix, in parallel.
/// f must not throw.
template <class F>
void for_each_row_piece(int threads, Index rows, Index cols, const F& f) {
    if (rows == 0 || cols == 0) return;
    const Index col_side = std::min(cols, elementwise_chunk), row_side = std::max<Index>(1, elementwise_chunk / cols);
    const Index across = (cols + col_side - 1) / col_side, down = (rows + row_side - 1) / row_side;
#pragma omp parallel for num_threads(threads) schedule(static) if (rows * cols > elementwise_alone)
    for (Index t = 0; t < across * down; ++t) {
        const Index row = t / across * row_side, first = t % across * col_side;
        for (Index i = row; i < std::min(rows, row + row_side); ++i) f(i, first, std::min(cols, first + col_side));
    }
}

/// Row i of a view; only backends may do this.
template <class Real>
[[nodiscard]] Real* row_of(MatrixView<Real> x, Index i) {
    return x.data() + i * x.stride();
}

}  // namespace ntk

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

/// Side of the tiles of a rows x cols result: 384 runs at the full GEMM rate with both Gram tiles in cache; smaller where that would
/// leave fewer than 16 tiles to share.
[[nodiscard]] inline Index tile_side(Index rows, Index cols) {
    Index side = 384;
    while (side > 96 && ((rows + side - 1) / side) * ((cols + side - 1) / side) < 16) side /= 2;
    return side;
}

/// The tiles of a rows x cols result with sides `row_side` and `col_side`.
[[nodiscard]] inline std::vector<Tile> all_tiles(Index rows, Index cols, Index row_side, Index col_side) {
    std::vector<Tile> tiles;
    for (Index i = 0; i < rows; i += row_side)
        for (Index j = 0; j < cols; j += col_side) tiles.push_back({i, std::min(row_side, rows - i), j, std::min(col_side, cols - j)});
    return tiles;
}

/// The tiles on and below the diagonal of an n x n result; those on the diagonal, which are the cheaper ones, last.
[[nodiscard]] inline std::vector<Tile> lower_tiles(Index n, Index side) {
    std::vector<Tile> tiles;
    for (Index i = 0; i < n; i += side)
        for (Index j = 0; j < i; j += side) tiles.push_back({i, std::min(side, n - i), j, side});
    for (Index i = 0; i < n; i += side) tiles.push_back({i, std::min(side, n - i), i, std::min(side, n - i)});
    return tiles;
}

/// The same tiles of a square result for a triangle, or all of it.
[[nodiscard]] inline std::vector<Tile> triangle_tiles(Index rows, Index cols, Index side, Triangle triangle) {
    return triangle == Triangle::lower ? lower_tiles(rows, side) : all_tiles(rows, cols, side, side);
}

/// Elements that one thread takes at a time in elementwise work; less than this runs in the caller alone.
inline constexpr Index elementwise_chunk = 16384;

/// Calls f(i, first, last) for pieces [first, last) of row i that together cover a rows x cols matrix, in parallel.
/// f must not throw.
template <class F>
void for_each_row_piece(int threads, Index rows, Index cols, const F& f) {
    if (rows == 0 || cols == 0) return;
    const Index col_side = std::min(cols, elementwise_chunk), row_side = std::max<Index>(1, elementwise_chunk / cols);
    const Index across = (cols + col_side - 1) / col_side, down = (rows + row_side - 1) / row_side;
#pragma omp parallel for num_threads(threads) schedule(static) if (across * down > 1)
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

#pragma once

// The order in which blocks of threads take the tiles of a matrix.

#include <ntkcuda/formulas/macros.hpp>

namespace ntk::cuda {

struct TilePosition {
    int row, col;
};

/// Down the columns of bands of tile rows, since tiles that are computed at the same time read the same operands: a wave of W tiles of a
/// band of height h reads h + W / h operands from memory and the rest from the L2 cache. With `lower` only tiles with row >= col.
struct TileWalk {
    static constexpr int band_height = 12;  ///< about the root of the 132 tiles that an H100 works on

    int rows, cols;
    bool lower;

    [[nodiscard]] NTK_HD int count() const { return lower ? rows * (rows + 1) / 2 : rows * cols; }

    /// The tile at `step` in [0, count()).
    [[nodiscard]] NTK_HD TilePosition at(int step) const {
        int first = 0;
        for (;; first += band_height) {
            const int height = band(first), tiles = height * whole_columns(first) + (lower ? height * (height + 1) / 2 : 0);
            if (step < tiles) break;
            step -= tiles;
        }
        int height = band(first);
        const int whole = height * whole_columns(first);
        if (step < whole) return {first + step % height, step / height};
        // The triangle at the end of the band: its columns start at the diagonal.
        step -= whole;
        int col = first;
        for (; step >= height; ++col, --height) step -= height;
        return {col + step, col};
    }

private:
    [[nodiscard]] NTK_HD int band(int first) const { return rows - first < band_height ? rows - first : band_height; }
    [[nodiscard]] NTK_HD int whole_columns(int first) const { return lower ? first : cols; }
};

}  // namespace ntk::cuda

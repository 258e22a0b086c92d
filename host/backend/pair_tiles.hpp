#pragma once

// The loop over the tiles of pairs of inputs, shared by everything that is a function of two inputs.

#include "scaled_rows.hpp"
#include "serial_blas.hpp"
#include "tiles.hpp"

#include <omp.h>

namespace ntk {

/// The tiles that pairs of samples are cut into.
[[nodiscard]] inline std::vector<Tile> product_tiles(Index rows, Index cols, Triangle triangle) {
    const Index side = tile_shape(rows, cols).rows;
    return triangle_tiles(rows, cols, {side, side}, triangle);
}

/// Visits the pairs of rows of x1 and x2 by tiles, in parallel: make_run(side) gives the work of one thread for tiles of up to side x
/// side pairs, run(index, tile, left, right, lower, products) takes the products of the scaled rows (left.count x right.count), its own to
/// write on. `index` counts product_tiles(); `lower`: both sides are the same samples and only j <= i is used.
template <class Real, class MakeRun>
void for_each_product_tile(int all_threads, const ScaledRows& rows, ConstMatrixView<Real> x1, const ScaledRows& cols,
                           ConstMatrixView<Real> x2, Triangle triangle, const MakeRun& make_run) {
    if (x1.rows() == 0 || x2.rows() == 0) return;
    const Index inputs = x1.cols();
    blas_int(inputs);
    const Index side = tile_shape(x1.rows(), x2.rows()).rows;
    const std::vector<Tile> tiles = product_tiles(x1.rows(), x2.rows(), triangle);
    const int threads = static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(all_threads), tiles.size()));
    struct Scratch {
        decltype(make_run(side)) run;
        std::vector<double> row_values, col_values, products;
    };
    std::vector<Scratch> scratch;  // before the parallel region, from which no exception can leave
    for (int t = 0; t < threads; ++t) {
        const std::vector<double> values(static_cast<std::size_t>(side * inputs));
        scratch.push_back({make_run(side), values, values, std::vector<double>(static_cast<std::size_t>(side * side))});
    }
    const SerialBlas serial;
#pragma omp parallel num_threads(threads)
    {
        Scratch& own = scratch[static_cast<std::size_t>(omp_get_thread_num())];
        double* products = own.products.data();
#pragma omp for schedule(dynamic)
        for (std::size_t k = 0; k < tiles.size(); ++k) {
            const Tile& t = tiles[k];
            const LimitSamples left = rows.pack(x1, t.row, t.rows, own.row_values.data());
            const LimitSamples right = cols.pack(x2, t.col, t.cols, own.col_values.data());
            blas_gemm(false, true, t.rows, t.cols, inputs, 1, left.values, inputs, right.values, inputs, 0, products, t.cols);
            own.run(k, t, left, right, triangle == Triangle::lower && t.row == t.col, products);
        }
    }
}

/// Entries of a tile (t.rows x t.cols) into their place; with `lower` those with j <= i.
template <class Real>
void store_tile(const Tile& t, bool lower, const double* entries, MatrixView<Real> out) {
    for (Index i = 0; i < t.rows; ++i) {
        Real* to = row_of(out, t.row + i) + t.col;
        for (Index j = 0; j < (lower ? i + 1 : t.cols); ++j) to[j] = static_cast<Real>(entries[i * t.cols + j]);
    }
}

/// out = a function of the pairs of rows of x1 and x2, in float64: run(left, right, lower, entries) of make_run(side) turns products, as
/// above, into the values.
template <class Real, class MakeRun>
void for_each_pair_tile(int threads, ConstMatrixView<Real> x1, ConstMatrixView<Real> x2, Triangle triangle, MatrixView<Real> out,
                        const MakeRun& make_run) {
    if (out.empty()) return;
    const ScaledRows rows(x1, threads), cols(x2, threads);
    for_each_product_tile(threads, rows, x1, cols, x2, triangle, [&](Index side) {
        return [run = make_run(side), out](std::size_t, const Tile& t, const LimitSamples& left, const LimitSamples& right, bool lower,
                                           double* entries) mutable {
            run(left, right, lower, entries);
            store_tile(t, lower, entries, out);
        };
    });
}

}  // namespace ntk

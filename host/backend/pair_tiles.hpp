#pragma once

// The loop over the tiles of pairs of inputs, shared by everything that is a function of two inputs.

#include "scaled_rows.hpp"
#include "serial_blas.hpp"
#include "tiles.hpp"

#include <omp.h>

namespace ntk {

/// out = a function of the pairs of rows of x1 and x2, in float64. make_run(side) gives the work of one thread for tiles of up to
/// side x side pairs: run(left, right, lower, entries) turns the products of the scaled rows (left.count x right.count) into the
/// values; `lower`: both sides are the same samples and only j <= i is used.
template <class Real, class MakeRun>
void for_each_pair_tile(int all_threads, ConstMatrixView<Real> x1, ConstMatrixView<Real> x2, Triangle triangle, MatrixView<Real> out,
                        const MakeRun& make_run) {
    if (out.empty()) return;
    const Index inputs = x1.cols();
    blas_int(inputs);
    const ScaledRows rows(x1, all_threads), cols(x2, all_threads);
    const Index side = tile_shape(out.rows(), out.cols()).rows;
    const std::vector<Tile> tiles = triangle_tiles(out.rows(), out.cols(), {side, side}, triangle);
    const int threads = static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(all_threads), tiles.size()));
    struct Scratch {
        decltype(make_run(side)) run;
        std::vector<double> row_values, col_values, entries;
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
        double* entries = own.entries.data();
#pragma omp for schedule(dynamic)
        for (const Tile& t : tiles) {
            const LimitSamples left = rows.pack(x1, t.row, t.rows, own.row_values.data());
            const LimitSamples right = cols.pack(x2, t.col, t.cols, own.col_values.data());
            blas_gemm(false, true, t.rows, t.cols, inputs, 1, left.values, inputs, right.values, inputs, 0, entries, t.cols);
            const bool lower = triangle == Triangle::lower && t.row == t.col;
            own.run(left, right, lower, entries);
            for (Index i = 0; i < t.rows; ++i) {
                Real* to = row_of(out, t.row + i) + t.col;
                for (Index j = 0; j < (lower ? i + 1 : t.cols); ++j) to[j] = static_cast<Real>(entries[i * t.cols + j]);
            }
        }
    }
}

}  // namespace ntk

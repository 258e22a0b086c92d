#include "host_backend.hpp"
#include "moment_table.hpp"
#include "tiles.hpp"

#include <array>

namespace ntk {
namespace {

using formulas::PivotSums;
using formulas::PowerSums;

constexpr Index block_cols = 64;  // their sums stay in the first-level cache

/// sums[strip of the tile * cols + j] for one tile; rows are read along, so that the loops over columns vectorise.
template <class Real>
void look_at_tile(ConstMatrixView<Real> x, const Tile& tile, PowerSums* sums) {
    std::array<double, block_cols> pivot{}, first{}, second{}, third{}, fourth{}, smallest{}, largest{}, not_a_number{};
    for (Index i = tile.row; i < tile.row + tile.rows; ++i) {
        const Real* row = row_of(x, i) + tile.col;
        for (Index j = 0; j < tile.cols; ++j) pivot[j] += static_cast<double>(row[j]);
    }
    const Real* top = row_of(x, tile.row) + tile.col;
    for (Index j = 0; j < tile.cols; ++j) {
        pivot[j] /= static_cast<double>(tile.rows);
        smallest[j] = largest[j] = static_cast<double>(top[j]);
    }
    for (Index i = tile.row; i < tile.row + tile.rows; ++i) {
        const Real* row = row_of(x, i) + tile.col;
        for (Index j = 0; j < tile.cols; ++j) {
            PivotSums s{first[j], second[j], third[j], fourth[j], smallest[j], largest[j], not_a_number[j]};
            s.add(pivot[j], static_cast<double>(row[j]));
            first[j] = s.first, second[j] = s.second, third[j] = s.third, fourth[j] = s.fourth;
            smallest[j] = s.smallest, largest[j] = s.largest, not_a_number[j] = s.not_a_number;
        }
    }
    for (Index j = 0; j < tile.cols; ++j)
        sums[j] =
            formulas::about_mean(tile.rows, pivot[j], {first[j], second[j], third[j], fourth[j], smallest[j], largest[j], not_a_number[j]});
}

}  // namespace

template <class Real>
HostMatrix<double> HostSummary<Real>::column_moments(ConstMatrixView<Real> x) {
    require_rows_for_moments(x.rows());
    const Index strip = formulas::moment_strip(x.rows(), x.cols());
    const std::vector<Tile> tiles = all_tiles(x.rows(), x.cols(), {strip, block_cols});
    const Index strips = (x.rows() + strip - 1) / strip;
    std::vector<PowerSums> sums(static_cast<std::size_t>(strips * x.cols()));
#pragma omp parallel num_threads(this->threads()) if (x.size() > elementwise_alone / 4)
    {
#pragma omp for schedule(static)
        for (std::size_t t = 0; t < tiles.size(); ++t)
            look_at_tile(x, tiles[t], sums.data() + tiles[t].row / strip * x.cols() + tiles[t].col);
#pragma omp for schedule(static)
        for (Index j = 0; j < x.cols(); ++j)
            for (Index s = 1; s < strips; ++s) sums[j].join(sums[s * x.cols() + j]);
    }
    return moment_table(sums.data(), x.cols());
}

template HostMatrix<double> HostSummary<float>::column_moments(ConstMatrixView<float>);
template HostMatrix<double> HostSummary<double>::column_moments(ConstMatrixView<double>);

}  // namespace ntk

#include "entry_summary.hpp"
#include "host_backend.hpp"
#include "tiles.hpp"

namespace ntk {

template <class Real>
EntrySummary HostSummary<Real>::summarize(ConstMatrixView<Real> x, Entries entries, double shift) {
    constexpr Index side = 256;
    const std::vector<Tile> tiles = all_tiles(x.rows(), x.cols(), {side, side});
    std::vector<formulas::EntryFacts> parts(tiles.size());
#pragma omp parallel for num_threads(this->threads()) schedule(static) if (x.size() > elementwise_alone)
    for (std::size_t t = 0; t < tiles.size(); ++t) {
        const Tile& tile = tiles[t];
        formulas::EntryFacts facts;
        for (Index i = tile.row; i < tile.row + tile.rows; ++i) {
            const Index end = tile.col + tile.cols;
            for (Index j = tile.col; j < (entries == Entries::off_diagonal ? std::min(end, i) : end); ++j)
                facts.join(formulas::EntryFacts::of(static_cast<double>(row_of(x, i)[j]) - shift, i, j));
        }
        parts[t] = facts;
    }
    formulas::EntryFacts all;
    for (const formulas::EntryFacts& part : parts) all.join(part);
    return entry_summary(all);
}

template class HostSummary<float>;
template class HostSummary<double>;

}  // namespace ntk

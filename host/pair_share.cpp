#include "pair_share.hpp"

#include <ntkcuda/distributed_layout.hpp>

#include <algorithm>
#include <cmath>

namespace ntk {
namespace {

/// A multiple of uncut_rows near `share` of `size`, or all.
Index cut(double share, Index size) {
    if (share >= 1) return size;
    const double blocks = std::round(share * static_cast<double>(size) / static_cast<double>(uncut_rows));
    return std::min(size, static_cast<Index>(blocks) * uncut_rows);
}

}  // namespace

PairShare pair_share(Index samples, Index tests, int ranks, int rank) {
    const auto share = [&](int of) { return static_cast<double>(of) / ranks; };
    PairShare result;
    result.first = cut(std::sqrt(share(rank)), samples);
    result.rows = cut(std::sqrt(share(rank + 1)), samples) - result.first;
    result.first_test = cut(share(rank), tests);
    result.tests = cut(share(rank + 1), tests) - result.first_test;
    return result;
}

}  // namespace ntk

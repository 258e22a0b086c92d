#include "jacobian_share.hpp"

#include <algorithm>

namespace ntk::cli {

JacobianShare jacobian_share(const Architecture& architecture, Index samples, int ranks, int rank) {
    const Index side = std::max<Index>(1, (samples + ranks - 1) / ranks), cols = architecture.parameters();
    const DistributedLayout rows{{ranks, 1}, {samples, side, ranks}, {cols, std::max<Index>(1, cols), 1}, false};
    JacobianShare share{rows.repeated(architecture.outputs, 1), std::min(samples, rank * side), rows.local_rows(rank)};
    if (share.samples == 0) return share;
    const Index end = share.first + share.samples;
    share.first_pass = share.first / uncut_rows * uncut_rows;
    share.passes = std::min(samples, (end + uncut_rows - 1) / uncut_rows * uncut_rows) - share.first_pass;
    return share;
}

double jacobian_bytes(const KernelMemory& memory, const Architecture& architecture, Index samples, int ranks) {
    double most = 0;
    for (int rank = 0; rank < ranks; ++rank) {
        const JacobianShare share = jacobian_share(architecture, samples, ranks, rank);
        const double entries = static_cast<double>(share.layout.local_rows(rank)) * static_cast<double>(share.layout.cols.size);
        most = std::max(most, memory.making(share.passes, 0) + entries * memory.real_bytes());
    }
    return memory.fixed(samples) + most;
}

}  // namespace ntk::cli

#pragma once

// How the rows of a Jacobian are dealt to ranks.

#include "kernel_memory.hpp"

#include <ntkcuda/distributed_layout.hpp>

namespace ntk::cli {

/// What one rank does: the rows of consecutive samples.
struct JacobianShare {
    DistributedLayout layout;      ///< of the whole Jacobian, a block of rows for each rank
    Index first = 0, samples = 0;  ///< whose rows it computes
    /// What it takes through the network: these samples, and those around them up to where products may be cut (uncut_rows), so that the
    /// rows have the same bits on any number of ranks.
    Index first_pass = 0, passes = 0;
};
[[nodiscard]] JacobianShare jacobian_share(const Architecture& architecture, Index samples, int ranks, int rank);

/// Bytes that each rank needs at most; `memory` is that of the diagonal of the network's kernel, whose passes are the same.
[[nodiscard]] double jacobian_bytes(const KernelMemory& memory, const Architecture& architecture, Index samples, int ranks);

}  // namespace ntk::cli

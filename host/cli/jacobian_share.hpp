#pragma once

// How the rows of a Jacobian are dealt to ranks, and how one process makes them piece by piece.

#include "kernel_memory.hpp"

#include <ntkcuda/distributed_layout.hpp>

namespace ntk::cli {

/// The rows of consecutive samples.
struct JacobianPiece {
    Index first = 0, samples = 0;
    /// What goes through the network for them: these samples, and those around them up to where products may be cut (uncut_rows), so that
    /// the rows have the same bits in pieces of any size.
    Index first_pass = 0, passes = 0;
};
/// Samples [first, first + count), those that there are, of `samples`.
[[nodiscard]] JacobianPiece jacobian_piece(Index samples, Index first, Index count);

/// What one of several ranks computes, and a block of rows for each rank as the layout of the whole.
struct JacobianShare {
    DistributedLayout layout;
    JacobianPiece piece;
};
[[nodiscard]] JacobianShare jacobian_share(const Architecture& architecture, Index samples, int ranks, int rank);

/// How many samples a process makes the rows of at once, and the bytes that this takes at most. `memory` is that of the diagonal of the
/// network's kernel, whose passes are the same.
struct JacobianPlan {
    Index samples = 0;
    double bytes = 0;
};
/// Of one rank 64 MiB of rows, or fewer where no more bytes are available (then as few as one sample may still be too much); each of
/// several ranks makes its share at once.
[[nodiscard]] JacobianPlan plan_jacobian(const KernelMemory& memory, const Architecture& architecture, Index samples, int ranks,
                                         double available);

}  // namespace ntk::cli

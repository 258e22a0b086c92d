#pragma once

// What every solver of a kernel on several ranks asks of the parts that it is given.

#include "host/closed_form_checks.hpp"

#include <ntkcuda/distributed_layout.hpp>

namespace ntk {

/// The part of rank `rank` of a symmetric kernel. Throws Error(shape_mismatch).
inline void require_symmetric_part(const DistributedLayout& layout, int rank, Index rows, Index cols) {
    require_shape("this rank's part of the kernel", rows, cols, layout.local_rows(rank), layout.local_cols(rank));
    if (!layout.symmetric || layout.rows.size == 0)
        throw Error(ErrorCode::shape_mismatch, "closed form: the kernel needs the layout of a symmetric one with at least one sample");
}

/// `what` has so many numbers on each of `ranks` ranks. Throws Error(out_of_memory) for 2^31 or more.
inline void require_countable(double numbers, const std::string& what, int ranks) {
    constexpr double most = 0x1p31;
    if (numbers < most) return;
    throw Error(ErrorCode::out_of_memory, fmt::format("{} on each of {} ranks: ScaLAPACK counts to 2^31; use at least {:.0f} ranks", what,
                                                      ranks, std::ceil(numbers / most * ranks) + 1));
}

}  // namespace ntk

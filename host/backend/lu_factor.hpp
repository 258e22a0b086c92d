#pragma once

#include <ntkcuda/backend.hpp>

#include <string>

namespace ntk {

/// The check of every backend before it divides by the pivots.
inline void refuse_zero_pivot(const LuFactor& lu) {
    if (lu.zero_pivot != 0)
        throw Error(ErrorCode::invalid_argument, "the matrix is singular: pivot " + std::to_string(lu.zero_pivot) +
                                                     " of its LU factors is exactly zero, so there is nothing to solve");
}

}  // namespace ntk

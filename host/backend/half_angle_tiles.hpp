#pragma once

// tan(theta / 2) of one tile of pairs, compiled for several instruction sets (the same bits from each).

#include "limit_samples.hpp"

#include <vector>

namespace ntk {

/// entries (rows.count x cols.count) come in as the products of the scaled rows and become the tangents. `lower`: both sides are the
/// same samples and only j <= i is computed.
using HalfAngleTile = void (*)(const LimitSamples& rows, const LimitSamples& cols, bool lower, double* entries);

/// Implementations that run on this machine, the fastest last.
[[nodiscard]] const std::vector<HalfAngleTile>& half_angle_tile_variants();

}  // namespace ntk

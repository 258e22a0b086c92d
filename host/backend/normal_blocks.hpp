#pragma once

// The hot loop of the portable normals, compiled for several instruction sets.

#include <ntkcuda/random.hpp>

#include <vector>

namespace ntk {

/// Writes the normals of Philox blocks [first, first + count) of a stream: 4 count floats. Over `lanes` networks: those of the networks
/// stream.network + lane, element e of one at out[e * lanes + lane].
using FillNormalBlocks = void (*)(NormalStream stream, std::uint64_t first, Index count, float* out);

/// Every variant that this processor runs, the widest last. All give the same bits. For 1, 2, 4, 8 or 16 lanes.
[[nodiscard]] const std::vector<FillNormalBlocks>& normal_block_variants(int lanes = 1);

/// The widest of them.
inline void fill_normal_blocks(NormalStream stream, std::uint64_t first, Index count, float* out) {
    normal_block_variants().back()(stream, first, count, out);
}

}  // namespace ntk

#include "half_angle_tiles.hpp"

#include "instruction_sets.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ntk {
namespace {

using namespace formulas;

/// Pairs of one row that are looked at together.
constexpr Index block = 64;

/// Tangents of `count` pairs of row i, from column `col` on.
NTK_INLINE void half_angle_block(const LimitSamples& rows, Index i, const LimitSamples& cols, Index col, Index count, double* entries) {
    double products[block];
    std::copy(entries, entries + count, products);
    const double norm = rows.norm[i];
    double largest = 0;
#pragma omp simd reduction(max : largest)
    for (Index b = 0; b < count; ++b) {
        const double cosine = products[b] / (norm * cols.norm[col + b]);
        const double tangent = half_angle_tangent(input_pair(cosine, 0));
        entries[b] = rows.squared_norm[i] * cols.squared_norm[col + b] == 0 ? std::numeric_limits<double>::quiet_NaN() : tangent;
        largest = std::max(largest, std::fabs(cosine));
    }
    for (Index b = 0; b < count && largest > near_line; ++b)
        if (std::fabs(products[b] / (norm * cols.norm[col + b])) > near_line)
            entries[b] = half_angle_tangent(near_line_pair_of(rows, i, cols, col + b, products[b]));
}

NTK_INLINE void any_tile(const LimitSamples& rows, const LimitSamples& cols, bool lower, double* entries) {
    for (Index i = 0; i < rows.count; ++i) {
        const Index used = lower ? i : cols.count;
        double* row = entries + i * cols.count;
        for (Index col = 0; col < used; col += block) half_angle_block(rows, i, cols, col, std::min(block, used - col), row + col);
        if (lower) row[i] = own_half_angle_tangent(rows.squared_norm[i]);
    }
}

void tile_baseline(const LimitSamples& rows, const LimitSamples& cols, bool lower, double* entries) {
    any_tile(rows, cols, lower, entries);
}
NTK_AVX2 void tile_avx2(const LimitSamples& rows, const LimitSamples& cols, bool lower, double* entries) {
    any_tile(rows, cols, lower, entries);
}
NTK_AVX512 void tile_avx512(const LimitSamples& rows, const LimitSamples& cols, bool lower, double* entries) {
    any_tile(rows, cols, lower, entries);
}

}  // namespace

const std::vector<HalfAngleTile>& half_angle_tile_variants() {
    static const std::vector<HalfAngleTile> variants = runnable_variants<HalfAngleTile>(tile_baseline, tile_avx2, tile_avx512);
    return variants;
}

}  // namespace ntk

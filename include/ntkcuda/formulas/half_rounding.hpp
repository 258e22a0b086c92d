#pragma once

/// \file formulas/half_rounding.hpp
/// Rows in FP16: each entry divided by a power of two of its row and rounded to nearest, ties to even. Additions and exact products alone:
/// the same values from every compiler (without contraction) and at every vector width.

#include <ntkcuda/formulas/normals.hpp>

namespace ntk::formulas {

/// The exponent of the power of two that a row is divided by: floor(log2 largest) of its largest |entry|; 0 for a row of zeros and
/// for one that is not finite.
NTK_HD int half_row_exponent(double largest) {
    if (largest == 0 || bits_of(largest) >= 0x7ff0000000000000ULL) return 0;
    int exponent;
    (void)frexp(largest, &exponent);
    return exponent - 1;
}

/// 2^exponent of a normal number.
NTK_HD double power_of_two(int exponent) { return double_of(static_cast<std::uint64_t>(exponent + 1023) << 52); }

/// x rounded to the eleven bits of FP16, its subnormal numbers included: adding 3 2^(51 - 10) times the power of two at or below |x| leaves
/// just these bits. Infinite numbers become NaN.
NTK_HD double round_to_half(double x) {
    constexpr std::uint64_t exponent_bits = 0x7ff0000000000000ULL, least_normal = 0x3f10000000000000ULL;  // 2^-14
    const std::uint64_t power = bits_of(x) & exponent_bits;
    const double shift = double_of(power > least_normal ? power : least_normal) * 0x1.8p42;
    return (x + shift) - shift;
}

/// round_to_half(x / 2^exponent), in two steps since 2^-exponent alone can overflow.
NTK_HD double half_entry(double x, int exponent) {
    const int part = exponent / 2;
    return round_to_half(x * power_of_two(-part) * power_of_two(part - exponent));
}

}  // namespace ntk::formulas

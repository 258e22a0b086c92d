#pragma once

/// \file formulas/normals.hpp
/// Four standard normals from one Philox block. Only + - * / sqrt in float64 and integer arithmetic, each correctly rounded, without
/// contraction (-ffp-contract=off, -fmad=false): the same bits under every compiler, on every processor and at every vector width.
/// Branch-free, so that a loop over blocks vectorises. Philox: Salmon et al. 2011, by Random123.

#include <ntkcuda/formulas/macros.hpp>

#include <Random123/philox.h>

#include <cmath>
#include <cstdint>
#include <cstring>

namespace ntk::formulas {

struct Normals4 {
    float value[4];
};

NTK_HD std::uint64_t bits_of(double x) {
    std::uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
NTK_HD double double_of(std::uint64_t u) {
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/// log(x) for a normal x > 0, to about 1e-16 absolute or relative, whichever is larger: x = 2^k m, m in [sqrt(1/2), sqrt(2)), and the
/// series of log m = 2 artanh((m - 1) / (m + 1)).
NTK_HD double portable_log(double x) {
    constexpr std::uint64_t sqrt_half = 0x3fe6a09e667f3bcdULL, one = 0x3ff0000000000000ULL, mantissa = 0x000fffffffffffffULL;
    const std::uint64_t shifted = bits_of(x) + (one - sqrt_half);
    // The biased exponent as a double: placed into the low bits of 2^52, which needs no integer conversion.
    const double k = double_of((shifted >> 52) | 0x4330000000000000ULL) - (4503599627370496.0 + 1023.0);
    const double m = double_of((shifted & mantissa) + sqrt_half);
    const double s = (m - 1.0) / (m + 1.0), z = s * s;
    double p = 1.0 / 21;
    p = p * z + 1.0 / 19;
    p = p * z + 1.0 / 17;
    p = p * z + 1.0 / 15;
    p = p * z + 1.0 / 13;
    p = p * z + 1.0 / 11;
    p = p * z + 1.0 / 9;
    p = p * z + 1.0 / 7;
    p = p * z + 1.0 / 5;
    p = p * z + 1.0 / 3;
    return k * 0.69314718055994531 + (2.0 * s + 2.0 * s * z * p);
}

/// A 32-bit word as a double, plus one half (exact).
NTK_HD double centred(std::uint32_t word) { return static_cast<double>(static_cast<std::int32_t>(word ^ 0x80000000U)) + 2147483648.5; }

/// Sine and cosine of 2 pi (word + 1/2) / 2^32: the nearest multiple of pi / 2, in integers, and the Taylor series of the rest.
NTK_HD void portable_sincos(std::uint32_t word, double& sine, double& cosine) {
    const std::uint32_t quarter = (word + 0x20000000U) >> 30;
    const std::int32_t rest = static_cast<std::int32_t>(word - (quarter << 30));
    const double x = (static_cast<double>(rest) + 0.5) * (1.0 / 1073741824.0) * 1.5707963267948966, z = x * x;
    double s = -1.0 / 1307674368000.0;
    s = s * z + 1.0 / 6227020800.0;
    s = s * z - 1.0 / 39916800.0;
    s = s * z + 1.0 / 362880.0;
    s = s * z - 1.0 / 5040.0;
    s = s * z + 1.0 / 120.0;
    s = s * z - 1.0 / 6.0;
    s = s * z * x + x;
    double c = 1.0 / 20922789888000.0;
    c = c * z - 1.0 / 87178291200.0;
    c = c * z + 1.0 / 479001600.0;
    c = c * z - 1.0 / 3628800.0;
    c = c * z + 1.0 / 40320.0;
    c = c * z - 1.0 / 720.0;
    c = c * z + 1.0 / 24.0;
    c = c * z - 0.5;
    c = c * z + 1.0;
    // Exchanged at odd multiples; signs by quadrant. With bits, since selections on a 32-bit condition do not vectorise.
    const std::uint64_t exchange = 0 - static_cast<std::uint64_t>(quarter & 1U), differ = (bits_of(s) ^ bits_of(c)) & exchange;
    sine = double_of((bits_of(s) ^ differ) ^ (static_cast<std::uint64_t>(quarter >> 1) << 63));
    cosine = double_of((bits_of(c) ^ differ) ^ (static_cast<std::uint64_t>((quarter ^ (quarter >> 1)) & 1U) << 63));
}

struct NormalPair {
    float first, second;
};

/// Box-Muller: one radius and one angle make two normals, rounded to float.
NTK_HD NormalPair portable_box_muller(std::uint32_t radius_word, std::uint32_t angle_word) {
    const double radius = sqrt(-2.0 * portable_log(centred(radius_word) * (1.0 / 4294967296.0)));
    double sine, cosine;
    portable_sincos(angle_word, sine, cosine);
    return {static_cast<float>(radius * sine), static_cast<float>(radius * cosine)};
}

/// The words of one block of a stream (random.hpp).
NTK_HD r123::Philox4x32::ctr_type philox_block(std::uint64_t seed, std::uint32_t network, std::uint32_t stream, std::uint64_t block) {
    const r123::Philox4x32::ctr_type counter = {
        {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), stream, network}};
    const r123::Philox4x32::key_type key = {{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}};
    return r123::Philox4x32()(counter, key);
}

/// Its normals: elements 4 block .. 4 block + 3 of the stream.
NTK_HD Normals4 normals_of_block(std::uint64_t seed, std::uint32_t network, std::uint32_t stream, std::uint64_t block) {
    const r123::Philox4x32::ctr_type word = philox_block(seed, network, stream, block);
    const NormalPair a = portable_box_muller(word.v[0], word.v[1]), b = portable_box_muller(word.v[2], word.v[3]);
    return {{a.first, a.second, b.first, b.second}};
}

}  // namespace ntk::formulas

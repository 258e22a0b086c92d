#pragma once

/// \file formulas/input_pair.hpp
/// Where the recursion of a pair starts: the angle between two inputs, precise where it is close to 0 or pi, and their norms.

#include <ntkcuda/formulas/macros.hpp>

#include <cmath>
#include <limits>

namespace ntk::formulas {

/// The angle between two inputs and the relative difference of their squared norms.
struct InputPair {
    double rho, below_one, above_minus_one;  ///< cosine, 1 - cosine, 1 + cosine
    double difference;                       ///< (|x|^2 - |y|^2) / (|x|^2 + |y|^2); 0 if both are zero
};

/// From a cosine known to rounding: precise where it is away from +-1.
NTK_HD InputPair input_pair(double cosine, double difference) { return {cosine, 1 - cosine, 1 + cosine, difference}; }

/// From sin^2 of the angle, and whether it is obtuse: precise near +-1.
NTK_HD InputPair input_pair_near_line(double squared_sine, bool obtuse, double difference) {
    const double versine = squared_sine / (1 + sqrt(1 - squared_sine));
    return obtuse ? InputPair{versine - 1, 2 - versine, versine, difference} : InputPair{1 - versine, versine, 2 - versine, difference};
}

/// tan of half the angle: 0 for equal directions, infinity for opposite ones.
NTK_HD double half_angle_tangent(const InputPair& pair) { return sqrt(pair.below_one / pair.above_minus_one); }

/// The same of a row with itself: exactly 0, or NaN where it has no direction. `squared_norm` is of the row scaled to 1.
NTK_HD double own_half_angle_tangent(double squared_norm) {
    return squared_norm > 0 ? 0 * squared_norm : std::numeric_limits<double>::quiet_NaN();
}

/// Eight running sums: independent additions, in an order fixed by the length alone.
struct LaneSums {
    double lane[8] = {};
    NTK_HD double total() const { return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7])); }
};

/// Calls term(j, lane) for j < d.
template <class Term>
NTK_HD void for_each_lane(long d, const Term& term) {
    long j = 0;
    for (; j + 8 <= d; j += 8)
        for (int lane = 0; lane < 8; ++lane) term(j + lane, lane);
    for (int lane = 0; j + lane < d; ++lane) term(j + lane, lane);
}

/// Above this |cosine| the angle is computed from the residual.
inline constexpr double near_line = 0.9;

/// The angle of two nearly parallel or opposite rows x and y of length d, from the residual x - t y: each of its elements is one fused
/// operation, so it keeps its digits however small it is. A residual that is parallel to y to within its rounding means equal
/// directions. `product`, `xx`, `yy` are <x, y>, |x|^2, |y|^2, which must not over- or underflow; the input y is 2^shift times this y
/// on the scale of x.
NTK_HD InputPair near_line_pair(const double* x, const double* y, long d, double product, double xx, double yy, int shift) {
    const double first = product / yy;
    LaneSums along;
    for_each_lane(d, [&](long j, int lane) { along.lane[lane] += fma(-first, y[j], x[j]) * y[j]; });
    const double t = first + along.total() / yy;
    // Squared norms differ by a sum over the rows brought to one scale; beyond 2^32 there is nothing to cancel.
    const double scale = ldexp(1.0, shift < -32 ? -32 : shift > 32 ? 32 : shift);
    LaneSums residual, rest, difference;
    for_each_lane(d, [&](long j, int lane) {
        const double from = x[j], to = y[j], z = fma(-t, to, from);
        residual.lane[lane] += z * z;
        rest.lane[lane] += z * to;
        difference.lane[lane] += (from - scale * to) * (from + scale * to);
    });
    const double zz = residual.total(), zy = rest.total(), across = zz - zy * zy / yy;
    return input_pair_near_line(across > 1e-14 * zz ? across / xx : 0, product < 0, difference.total() / (xx + scale * scale * yy));
}

}  // namespace ntk::formulas

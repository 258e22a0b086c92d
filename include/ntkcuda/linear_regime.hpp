#pragma once

/// \file linear_regime.hpp
/// The recursion where it has become linear: kernels that tend to the matrix of ones, after 1 - rho has fallen below all digits of 1.
///
/// From the layer (*) where it begins, every pair of samples follows the same two scalars (formulas of sphere_recursion.hpp to first
/// order):
///     1 - rho = correlation (1 - rho*),        1 - K = alpha (1 - K*) + beta (1 - rho*)^power
/// The scalars have a binary exponent of their own, so no depth is too deep. beta outgrows alpha: the limiting shape of 1 - K over the
/// pairs is that of (1 - rho*)^power.

#include <ntkcuda/sphere_recursion.hpp>

#include <cstdint>

namespace ntk {

/// A number >= 0 of any size: mantissa * 2^exponent, the mantissa 0 or in [1/2, 1).
struct ScaledNumber {
    long double mantissa = 0;
    std::int64_t exponent = 0;

    ScaledNumber() = default;
    ScaledNumber(long double value, std::int64_t shift = 0);  // NOLINT(google-explicit-constructor): any number has this form

    /// The square root.
    [[nodiscard]] ScaledNumber root() const;
    /// value / 2^shift, 0 where that underflows.
    [[nodiscard]] long double over(std::int64_t shift) const;
};
/// Product and sum, rounded to 64 bits of fraction.
[[nodiscard]] ScaledNumber operator*(const ScaledNumber& a, const ScaledNumber& b);
[[nodiscard]] ScaledNumber operator+(const ScaledNumber& a, const ScaledNumber& b);
/// Whether a < b.
[[nodiscard]] bool operator<(const ScaledNumber& a, const ScaledNumber& b);

/// The two scalars alpha and beta, and 1 - rho, layer by layer.
class LinearRegime {
public:
    /// Below this 1 - rho the first neglected correction, its root where the activation has a kink, is below the rounding of long double.
    static constexpr long double begins_below = 1e-42L;

    /// `power`: DualAtOne::power of the family.
    LinearRegime(InfiniteKernel kernel, double power) : kernel_(kernel), power_(power) {}

    /// One layer on.
    void advance(const SphereLayer& layer);
    /// 1 - K of a pair (NTK), or 1 - rho (NNGP), from what it was where the regime began.
    [[nodiscard]] ScaledNumber below_one(long double correlation_below_one, long double tangent_below_one) const;
    /// What 1 - K of a pair is proportional to in the limit of depth: (1 - rho*)^power (NTK) or 1 - rho* (NNGP).
    [[nodiscard]] long double limiting_shape(long double correlation_below_one) const;
    /// Whether a pair's 1 - K has that shape to all digits.
    [[nodiscard]] bool reached_limit(long double correlation_below_one, long double tangent_below_one) const;

private:
    InfiniteKernel kernel_;
    double power_;
    ScaledNumber alpha_{1}, beta_{0}, correlation_{1};
};

}  // namespace ntk

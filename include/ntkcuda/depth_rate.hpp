#pragma once

/// \file depth_rate.hpp
/// How a distance to a limit falls with depth L: as theory says and as measured.

#include <ntkcuda/matrix.hpp>

#include <optional>
#include <span>
#include <string>

namespace ntk {

/// The leading behaviour of a distance as L -> infinity:
///     exponential    coefficient L^prefactor value^L
///     algebraic      coefficient (ln L)^prefactor / L^value
///     logarithmic    coefficient / (ln L)^value
struct DepthRate {
    enum class Kind { exponential, algebraic, logarithmic };
    Kind kind = Kind::exponential;
    double value = 0;
    int prefactor = 0;
    std::optional<double> coefficient;  ///< where it is the same for all data and known
};

/// As in "9.8696 ln L / L^2" or "C L 0.5^L" (C: a constant that depends on the data).
[[nodiscard]] std::string to_string(const DepthRate& rate);

/// A rate measured from distances. `residual`: root mean square of the error of the fitted logarithm.
struct FittedRate {
    DepthRate rate;
    double residual = 0;
    Index first_depth = 0, last_depth = 0;  ///< the range used
};

/// Least squares of ln(distance) over the last decade of depths, each depth one point. With `form`, its kind and prefactor; without it,
/// exponential or algebraic without prefactor, whichever leaves the smaller residual. Distances that are not positive (already
/// underflowed, or of the other sign) are left out; empty with fewer than three points. depths: > 1 and increasing.
/// Throws Error(invalid_argument) for lengths that differ.
[[nodiscard]] std::optional<FittedRate> fit_rate(std::span<const Index> depths, std::span<const long double> distances,
                                                 const std::optional<DepthRate>& form = {});

}  // namespace ntk

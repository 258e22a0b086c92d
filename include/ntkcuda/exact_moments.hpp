#pragma once

/// \file exact_moments.hpp
/// Exact mean and second moments, at any finite widths, of the diagonal blocks Theta_{o o'}(x, x) of the tangent kernel of a random ReLU
/// network without bias in the ntk parametrization. With t = sigma_w^2 |x|^2 / n_0 and A = sigma_w^2 / 2
///
///     E Theta_oo(x, x) = L t A^{L-1}                    at every width: the diagonal of the infinite-width limit
///
/// and, divided by the square of this mean, the second moments are functions of the hidden widths alone. In units where t = A = 1 start
/// with a = b = E = 1, c = F = 0; for each hidden layer of width n, simultaneously,
///
///     a' = a (1 + 5/n)
///     b' = a (1 + 5/n) + b (1 + 1/n) + 4 c/n
///     c' = 2 b/n + c (1 + 3/n)
///     E' = a (1 + 5/n) + 2 (b (1 + 1/n) + 4 c/n) + E (1 + 1/n) + 4 F/n
///     F' = 2 E/n + F (1 + 3/n)
///
/// where at the end E = E[Theta_oo Theta_o'o'] and F = E[Theta_oo'^2] for different outputs o, o', and E[Theta_oo^2] = E + 2 F.
/// The first order in 1/n is that of Hanin & Nica 2019 (1909.05989), who show that what counts is depth over width.

#include <ntkcuda/network.hpp>

namespace ntk {

/// Second moments at one sample x, all relative to (E Theta_oo)^2.
struct DiagonalMoments {
    double covariance = 0;  ///< Cov(Theta_oo, Theta_o'o'), o != o'
    double mixed = 0;       ///< E Theta_oo'^2, o != o' (its mean is 0)

    /// Var of the block trace (1/O) sum_o Theta_oo of a network with O outputs; of Theta_oo itself with one.
    [[nodiscard]] double variance(Index outputs = 1) const { return covariance + 2 * mixed / static_cast<double>(outputs); }
};

/// Whether the formulas hold: ReLU, Parametrization::ntk, bias_std 0 (then it does not matter whether biases exist).
[[nodiscard]] bool has_exact_moments(const Architecture& architecture);

/// E Theta_oo(x, x) for |x|^2 = squared_norm. Throws Error(invalid_argument) where has_exact_moments() is false, and where the mean is
/// outside the range of a double (with sigma_w^2 != 2 it grows or falls exponentially with depth).
[[nodiscard]] double diagonal_mean(const Architecture& architecture, double squared_norm);

/// The second moments, each a sum of positive terms, so to about depth x 1e-16 relative also where they are tiny. They do not depend on
/// sigma_w or x. O(L). Infinite where they pass the largest double, about (L-1)/n > 140.
/// Throws Error(invalid_argument) where has_exact_moments() is false.
[[nodiscard]] DiagonalMoments diagonal_moments(const Architecture& architecture);

/// lambda = sum over hidden layers of 1/n_l, (L-1)/n with equal widths: what decides how far a network is from its infinite-width limit.
[[nodiscard]] double depth_over_width(const Architecture& architecture);

/// The same moments in the limit of large widths at lambda = depth_over_width(). With one output
///
///     1 + variance = e^{5 lambda} [1/3 + 2/(9 lambda) - (1 - e^{-6 lambda})/(27 lambda^2)]
///     mixed = e^{-lambda} [e^{6 lambda} (6 lambda^2 + 2 lambda - 1) + 1 + 4 lambda] / (54 lambda^2)
///
/// (11/3 lambda and 2/3 lambda to first order), free of cancellation. Infinite like diagonal_moments().
/// Throws Error(invalid_argument) unless lambda is finite and positive or 0.
[[nodiscard]] DiagonalMoments depth_width_moments(double lambda);

/// Above this (L-1)/n the moments are dominated by rare networks, so that a Monte Carlo estimate, and its standard error too, comes out
/// too small far more often than too large.
inline constexpr double heavy_tail_lambda = 0.3;

}  // namespace ntk

#pragma once

/// \file dual_activation.hpp
/// Dual activations between samples of equal norm, in extended precision (theory: Daniely et al. 2016, 1602.05897).
///
/// Of samples with one variance q and correlation rho, a layer makes
///     kappa(rho) = E[phi(u) phi(v)] / E[phi(u)^2],        slope(rho) = E[phi'(u) phi'(v)] / E[phi'(u)^2],
/// (u, v) Gaussian with variances q and covariance q rho. Everything about a kernel on the sphere, at any depth, follows from these
/// two functions of one variable. They are evaluated on tracked differences, 1 - rho and 1 + rho, in `long double` (64 bits of
/// fraction on x86), because a million layers of rounding at 1e-16 would cost the digits that formulas/dual.hpp keeps over a thousand.

#include <ntkcuda/activation.hpp>

#include <string>
#include <vector>

namespace ntk {

/// The correlation of two samples with its two differences, each with full relative precision.
struct SphereCorrelation {
    long double rho, below_one, above_minus_one;  ///< rho, 1 - rho, 1 + rho
};

/// What one layer makes of it.
struct SphereImage {
    SphereCorrelation value;             ///< kappa
    long double slope, slope_below_one;  ///< slope(rho) and 1 - slope(rho)
};

/// How the dual leaves rho = 1: with e = 1 - rho -> 0,
///     1 - slope = bend e^power + o(e^power),     1 - kappa = derivative (e - bend e^(power + 1)/(power + 1) + ...).
struct DualAtOne {
    long double derivative;  ///< kappa'(1)
    long double bend;        ///< 0: the dual is linear
    double power;            ///< 1/2 for an activation with a kink, 1 for a smooth one
};

/// The dual at one variance: constants of the layer computed once.
class DualLayer {
public:
    [[nodiscard]] SphereImage image(const SphereCorrelation& c) const;
    [[nodiscard]] const DualAtOne& at_one() const { return at_one_; }

private:
    friend class DualActivation;
    enum class Kind { rectifier, erf, hermite } kind_ = Kind::rectifier;
    long double bend_ = 0;                                    // rectifier: c of formulas/dual.hpp
    long double sine_ = 0, cosine_ = 0, angle_ = 0;           // erf: s = 2q/(1 + 2q), sqrt(1 - s^2), asin s
    const std::vector<long double>* coefficients_ = nullptr;  // hermite
    DualAtOne at_one_{};

    [[nodiscard]] SphereImage rectifier_image(const SphereCorrelation& c) const;
    [[nodiscard]] SphereImage erf_image(const SphereCorrelation& c) const;
    [[nodiscard]] SphereImage hermite_image(const SphereCorrelation& c) const;
};

/// The dual of an activation of the engine, or one given by its Hermite coefficients.
class DualActivation {
public:
    DualActivation(const Activation& activation);  // NOLINT(google-explicit-constructor): an activation has one dual
    /// E[phi(u) phi(v)] = q sum_k c_k rho^k: the dual of the scale-equivariant extension of an activation whose normalised Hermite
    /// coefficients on N(0, 1) have the squares c_k. Throws Error(invalid_argument) unless all c_k are finite and >= 0 and some c_k with
    /// k >= 1 is positive.
    [[nodiscard]] static DualActivation hermite(std::vector<double> squared_coefficients);

    /// The name that parse_dual_activation() takes.
    [[nodiscard]] std::string name() const;
    /// Whether E[phi(u)^2] is proportional to q, so that kappa and slope do not depend on q.
    [[nodiscard]] bool homogeneous() const { return activation_.kind != Activation::Kind::erf || !coefficients_.empty(); }
    /// Of an activation of the engine, that activation; null for a dual given by coefficients.
    [[nodiscard]] const Activation* activation() const { return coefficients_.empty() ? &activation_ : nullptr; }
    [[nodiscard]] long double second_moment(long double q) const;        ///< E[phi(u)^2]
    [[nodiscard]] long double slope_second_moment(long double q) const;  ///< E[phi'(u)^2]
    /// The dual at variance q > 0; refers to this object.
    [[nodiscard]] DualLayer at(long double q) const&;
    DualLayer at(long double q) const&& = delete;

private:
    DualActivation() = default;
    Activation activation_;
    std::vector<long double> coefficients_;            // c_k; empty for an activation of the engine
    long double coefficient_sum_ = 0, slope_sum_ = 0;  // sum c_k, sum k c_k
};

/// A name of parse_activation(), or "hermite:c0,c1,..." (DualActivation::hermite). Throws Error(invalid_argument).
[[nodiscard]] DualActivation parse_dual_activation(const std::string& name);

}  // namespace ntk

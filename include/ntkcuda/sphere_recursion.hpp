#pragma once

/// \file sphere_recursion.hpp
/// The infinite-width recursion for samples of one norm, normalised, in extended precision: one scalar state for all samples, one for
/// each angle, at any depth without overflow, underflow or drift.
///
/// With q and Theta of a sample with itself, and the shares of the parts of the next layer's values (each set sums to 1)
///     q'     = sigma_w^2 E[phi^2] + sigma_b^2                                 weight, bias
///     Theta' = sigma_w^2 E[phi^2] + t + sigma_w^2 E[phi'^2] Theta             tangent_weight, tangent_bias, tangent_carry
/// (ntk parametrization; t = sigma_b^2 for trained biases, else 0), a pair follows
///     rho' = weight kappa(rho) + bias,        K' = tangent_weight kappa(rho) + tangent_bias + tangent_carry slope(rho) K
/// and 1 - rho, 1 - K follow sums of positive terms of the same shares.

#include <ntkcuda/dual_activation.hpp>
#include <ntkcuda/infinite_width.hpp>

namespace ntk {

/// What decides a kernel on the sphere at every depth.
struct KernelFamily {
    DualActivation dual{Activation{}};
    double weight_std = std::numbers::sqrt2;  ///< sigma_w > 0
    double bias_std = 0;                      ///< sigma_b >= 0
    bool trained_biases = true;               ///< whether biases (if sigma_b > 0) count in the tangent kernel
    InfiniteKernel kernel = InfiniteKernel::ntk;

    /// Throws Error(invalid_argument) naming the field that is out of its domain.
    void validate() const;
};

/// One layer, as all pairs of samples of one norm see it.
struct SphereLayer {
    long double weight = 0, bias = 0;
    long double tangent_weight = 0, tangent_bias = 0, tangent_carry = 0;
    DualLayer dual;  ///< of the variance below; unset at the first layer
};

/// A sample of mean square |x|^2 / d = m, layer by layer.
class SphereSample {
public:
    /// Before the first layer. Keeps a reference to `family`. Throws Error(invalid_argument) unless m is finite, and positive where
    /// sigma_b = 0.
    SphereSample(const KernelFamily& family, double mean_square);
    SphereSample(KernelFamily&&, double) = delete;

    /// The next layer. O(1).
    [[nodiscard]] SphereLayer next();
    /// Layers so far.
    [[nodiscard]] Index depth() const { return depth_; }

private:
    const KernelFamily& family_;
    long double mean_square_;
    Index depth_ = 0;
    long double q_ = 0;           // variance, for duals that depend on it
    long double bias_ratio_ = 0;  // sigma_b^2 / q, which stays finite where q grows or shrinks without bound
    long double q_over_theta_ = 0;
};

/// A pair of samples at one layer.
struct SpherePair {
    SphereCorrelation correlation;           ///< of the NNGP
    long double tangent, tangent_below_one;  ///< K = Theta(x, y) / Theta(x, x) and 1 - K
};

/// The pair at the first layer, from the cosine between its inputs.
[[nodiscard]] SpherePair first_pair(const SphereLayer& layer, const SphereCorrelation& inputs);
/// The pair one layer on.
[[nodiscard]] SpherePair next_pair(const SphereLayer& layer, const SpherePair& pair);
/// The cosine between inputs at an angle theta, from tan(theta/2) in [0, infinity].
[[nodiscard]] SphereCorrelation cosine_of(long double half_angle_tangent);

}  // namespace ntk

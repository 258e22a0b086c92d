#pragma once

/// \file formulas/normalized_sample.hpp
/// A sample with itself, layer by layer, to any depth: the shares of limit_recursion.hpp from a state that neither overflows nor
/// underflows nor drifts where q and Theta themselves do (ntk parametrization).
///
/// With A = sigma_w^2 E[phi^2] / q and the shares of the variance and what a layer passes on,
///     weight = A q / q',     bias = sigma_b^2 / q',     carry = sigma_w^2 E[phi'^2] q / q',
/// the ratio v = q / Theta follows
///     Theta' / q' = weight + t bias + carry / v,        t = 1 for trained biases, else 0.
/// The state of a sample is `variance`, which for a rectifier is sigma_b^2 / q (it is scale-free) and otherwise q, and `tangent_inverse`,
/// which is v; v is infinite where Theta = 0 (a zero row with fixed biases, at the first layer).
/// Double-double throughout: a fixed point is known far beyond double, so the factors of a pair are the right ones to all digits of
/// their sums of two doubles, whatever the depth.

#include <ntkcuda/formulas/limit_recursion.hpp>

namespace ntk::formulas {

/// What all layers share.
struct NormalizedConstants {
    DoubleDouble weight_variance;  ///< sigma_w^2
    DoubleDouble bias_variance;    ///< sigma_b^2
    bool trained_biases;           ///< whether they count in Theta
};

/// The shares of the parts of q', and the carry.
struct VarianceShares {
    DoubleDouble weight, bias, carry;
};

/// q_1 = sigma_w^2 |x|^2/d + sigma_b^2 > 0. `scale_free`: the state is sigma_b^2 / q.
NTK_HD VarianceShares first_variance(const NormalizedConstants& constants, bool scale_free, double mean_square, DoubleDouble& variance) {
    const DoubleDouble weight = constants.weight_variance * DoubleDouble{mean_square, 0}, q = weight + constants.bias_variance;
    const bool biased = constants.bias_variance.hi > 0;
    const VarianceShares share{select(biased, weight / q, {1, 0}), select(biased, constants.bias_variance / q, {}), {}};
    variance = scale_free ? share.bias : q;
    return share;
}

NTK_HD VarianceShares next_variance(const NormalizedConstants& constants, const RectifierDual& dual, DoubleDouble& variance,
                                    RectifierDual::Factors&) {
    const DoubleDouble growth = constants.weight_variance * dual.half_square, sum = growth + variance;
    const VarianceShares share{growth / sum, variance / sum, growth / sum};
    variance = share.bias;
    return share;
}

NTK_HD VarianceShares next_variance(const NormalizedConstants& constants, const PreciseErfDual& dual, DoubleDouble& variance,
                                    PreciseErfDual::Factors& factors) {
    // Below this variance the dual is linear to all digits, and without biases nothing else depends on it: it is held there.
    constexpr double least = 1e-250;
    const SelfImage image = dual.self_image(variance, factors);
    const DoubleDouble weight = constants.weight_variance * image.value, next = weight + constants.bias_variance;
    const VarianceShares share{weight / next, constants.bias_variance / next, constants.weight_variance * image.slope * (variance / next)};
    variance = select(next.hi < least, {least, 0}, next);
    return share;
}

/// The factors of a layer; v = q / Theta becomes that of the layer.
NTK_HD PreciseLayerFactors combine_shares(const NormalizedConstants& constants, DoubleDouble weight, DoubleDouble all_bias,
                                          DoubleDouble passed, DoubleDouble& tangent_inverse) {
    const DoubleDouble bias = select(constants.trained_biases, all_bias, {}), own = weight + bias;
    // A sample without a tangent kernel below takes nothing over from there.
    const bool nothing_below = tangent_inverse.hi == INFINITY;
    const DoubleDouble below = select(nothing_below, {1, 0}, tangent_inverse), carry = select(nothing_below, {}, passed);
    const DoubleDouble sum = below * own + carry, inverse = below / sum;
    const bool kernel = sum.hi > 0;
    tangent_inverse = select(kernel, inverse, {INFINITY, 0});
    const DoubleDouble covariance_weight = root(weight), tangent_carry = select(kernel, root(carry / sum), {});
    PreciseLayerFactors f;
    f.covariance_weight = covariance_weight.hi;
    f.covariance_weight_low = covariance_weight.lo;
    f.covariance_bias = sqrt(all_bias.hi);
    f.tangent_weight = kernel ? sqrt(weight.hi * inverse.hi) : 0;
    f.tangent_bias = kernel ? sqrt(bias.hi * inverse.hi) : 0;
    f.tangent_carry = tangent_carry.hi;
    f.tangent_carry_low = tangent_carry.lo;
    return f;
}

/// What a sample brings to the first layer of its pairs.
struct FirstFactors {
    PreciseLayerFactors layer;
    double covariance_root, tangent_root;  ///< sqrt(q), sqrt(Theta)

    static constexpr int count = PreciseLayerFactors::count + 2;
    NTK_HD void store(double* to, long stride) const {
        layer.store(to, stride);
        to[PreciseLayerFactors::count * stride] = covariance_root;
        to[(PreciseLayerFactors::count + 1) * stride] = tangent_root;
    }
    NTK_HD static FirstFactors load(const double* from, long stride) {
        return {PreciseLayerFactors::load(from, stride), from[PreciseLayerFactors::count * stride],
                from[(PreciseLayerFactors::count + 1) * stride]};
    }
};

/// The first layer, from |x|^2 / d.
template <class Dual>
NTK_HD FirstFactors first_layer(const NormalizedConstants& constants, const Dual&, double mean_square, DoubleDouble& variance,
                                DoubleDouble& tangent_inverse) {
    const VarianceShares share = first_variance(constants, !Dual::depends_on_variance, mean_square, variance);
    tangent_inverse = {INFINITY, 0};
    FirstFactors first{combine_shares(constants, share.weight, share.bias, share.carry, tangent_inverse), 0, 0};
    first.covariance_root = sqrt(constants.weight_variance.hi * mean_square + constants.bias_variance.hi);
    first.tangent_root = first.covariance_root / sqrt(tangent_inverse.hi);
    return first;
}

/// A later layer; `factors` receives what the dual of a pair needs.
template <class Dual>
NTK_HD PreciseLayerFactors next_layer(const NormalizedConstants& constants, const Dual& dual, DoubleDouble& variance,
                                      DoubleDouble& tangent_inverse, typename Dual::Factors& factors) {
    const VarianceShares share = next_variance(constants, dual, variance, factors);
    return combine_shares(constants, share.weight, share.bias, share.carry, tangent_inverse);
}

}  // namespace ntk::formulas

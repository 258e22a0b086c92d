#include <ntkcuda/sphere_recursion.hpp>

#include <ntkcuda/error.hpp>

#include <fmt/format.h>

#include <cmath>

namespace ntk {
namespace {

/// Below this variance every smooth dual is linear to all digits, and without biases nothing else depends on it: it is held there
/// instead of underflowing.
constexpr long double least_variance = 1e-1000L;

/// The three forms of a correlation from the one that is known best, so that their rounding errors cannot part.
SphereCorrelation consistent(const SphereCorrelation& c) {
    if (c.below_one < 0.5L) return {1 - c.below_one, c.below_one, 2 - c.below_one};
    if (c.above_minus_one < 0.5L) return {c.above_minus_one - 1, 2 - c.above_minus_one, c.above_minus_one};
    return {c.rho, 1 - c.rho, 1 + c.rho};
}

SphereCorrelation with_bias(const SphereLayer& layer, const SphereCorrelation& c) {
    return consistent({layer.weight * c.rho + layer.bias, layer.weight * c.below_one, layer.weight * c.above_minus_one + 2 * layer.bias});
}

}  // namespace

void KernelFamily::validate() const {
    if (!(weight_std > 0) || !std::isfinite(weight_std))
        throw Error(ErrorCode::invalid_argument, fmt::format("the weight std must be finite and > 0, not {}", weight_std));
    if (!(bias_std >= 0) || !std::isfinite(bias_std))
        throw Error(ErrorCode::invalid_argument, fmt::format("the bias std must be finite and >= 0, not {}", bias_std));
}

SphereSample::SphereSample(const KernelFamily& family, double mean_square) : family_(family), mean_square_(mean_square) {
    family.validate();
    if (!std::isfinite(mean_square) || !(mean_square > 0 || (mean_square == 0 && family.bias_std > 0)))
        throw Error(
            ErrorCode::invalid_argument,
            fmt::format("a mean square of {} has no normalised kernel: expected a finite number > 0 (or 0 with biases)", mean_square));
}

SphereLayer SphereSample::next() {
    const auto square = [](long double x) { return x * x; };
    const long double weight_variance = square(family_.weight_std), bias_variance = square(family_.bias_std);
    SphereLayer layer;
    long double carry = 0;  // sigma_w^2 E[phi'^2] q / q'
    if (depth_ == 0) {
        q_ = weight_variance * mean_square_ + bias_variance;
        layer.weight = weight_variance * mean_square_ / q_;
        layer.bias = bias_ratio_ = bias_variance / q_;
    } else if (family_.dual.homogeneous()) {
        layer.dual = family_.dual.at(1);
        const long double growth = weight_variance * family_.dual.second_moment(1);
        layer.weight = growth / (growth + bias_ratio_);
        layer.bias = bias_ratio_ /= growth + bias_ratio_;
        carry = layer.weight * layer.dual.at_one().derivative;
    } else {
        layer.dual = family_.dual.at(q_);
        const long double grown = weight_variance * family_.dual.second_moment(q_), next = grown + bias_variance;
        layer.weight = grown / next;
        layer.bias = bias_variance / next;
        carry = layer.weight * layer.dual.at_one().derivative;
        q_ = std::max(next, least_variance);
    }
    const long double trained = family_.trained_biases ? layer.bias : 0;
    if (depth_ == 0) {
        q_over_theta_ = 1 / (layer.weight + trained);
    } else {
        const long double before = q_over_theta_;
        q_over_theta_ = before / (before * (layer.weight + trained) + carry);
        layer.tangent_carry = carry / (before * (layer.weight + trained) + carry);
    }
    layer.tangent_weight = layer.weight * q_over_theta_;
    layer.tangent_bias = trained * q_over_theta_;
    ++depth_;
    return layer;
}

SpherePair first_pair(const SphereLayer& layer, const SphereCorrelation& inputs) {
    return {with_bias(layer, inputs), layer.tangent_weight * inputs.rho + layer.tangent_bias, layer.tangent_weight * inputs.below_one};
}

SpherePair next_pair(const SphereLayer& layer, const SpherePair& pair) {
    const SphereImage image = layer.dual.image(pair.correlation);
    return {with_bias(layer, image.value),
            layer.tangent_weight * image.value.rho + layer.tangent_bias + layer.tangent_carry * image.slope * pair.tangent,
            layer.tangent_weight * image.value.below_one +
                layer.tangent_carry * (pair.tangent_below_one + pair.tangent * image.slope_below_one)};
}

SphereCorrelation cosine_of(long double half_angle_tangent) {
    const long double square = half_angle_tangent * half_angle_tangent;
    if (std::isinf(square)) return {-1, 2, 0};
    return {(1 - half_angle_tangent) * (1 + half_angle_tangent) / (1 + square), 2 * square / (1 + square), 2 / (1 + square)};
}

}  // namespace ntk

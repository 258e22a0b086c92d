#pragma once

/// \file formulas/limit_recursion.hpp
/// The infinite-width recursion, one layer at a time: of a sample with itself, and of a pair of samples.
///
/// A sample carries q_l and Theta_l (of it with itself). Each layer turns them into a new pair of values, each a sum of positive parts:
///     q'     = sigma_w^2 e + sigma_b^2,                       e, s: E[phi^2], E[phi'^2] at variance q
///     Theta' = gain e + t + sigma_w^2 s Theta,                gain = sigma_w^2 (ntk) or n_{l-1} (standard), t: bias gradients
/// LayerFactors are the square roots of the shares of those parts. A pair needs nothing else from its samples, so it lives in
/// normalised quantities that neither overflow nor drift:
///     rho'  = weight kappa + bias,               K' = weight kappa + bias + carry kappa' K,         K = Theta_xy / sqrt(Theta_x Theta_y)
/// with weight, bias, carry the products of the factors of x and y. By Lagrange's identity the sums of the products fall short of
/// 1 by half a sum of squares of 2 x 2 minors, which vanish where the two samples have equal norms: so 1 - rho and 1 - K are sums
/// of positive terms too, once the relative differences (q_x - q_y)/g and (Theta_x - Theta_y)/T are carried along.

#include <ntkcuda/formulas/dual.hpp>
#include <ntkcuda/formulas/input_pair.hpp>

#include <cfloat>

namespace ntk::formulas {

/// What all layers of an architecture share.
struct LimitConstants {
    DoubleDouble weight_variance;  ///< sigma_w^2
    DoubleDouble bias_variance;    ///< sigma_b^2, 0 without biases
    DoubleDouble bias_gradient;    ///< t: Architecture::bias_gradient_variance
};

/// q and Theta of a sample with itself.
struct SampleState {
    DoubleDouble covariance, tangent;
};

/// The square roots of the shares of the parts of q' (2) and of Theta' (3): unit vectors, or zero where the value is zero.
struct LayerFactors {
    double covariance_weight, covariance_bias;
    double tangent_weight, tangent_bias, tangent_carry;

    static constexpr int count = 5;
    NTK_HD void store(double* to, long stride) const {
        to[0] = covariance_weight;
        to[stride] = covariance_bias;
        to[2 * stride] = tangent_weight;
        to[3 * stride] = tangent_bias;
        to[4 * stride] = tangent_carry;
    }
    NTK_HD static LayerFactors load(const double* from, long stride) {
        return {from[0], from[stride], from[2 * stride], from[3 * stride], from[4 * stride]};
    }
};

/// What one sample brings to its pairs at one layer; samples by layers of these make a table.
template <class Dual>
struct TableEntry {
    LayerFactors layer;
    typename Dual::Factors dual;

    static constexpr int count = LayerFactors::count + Dual::Factors::count;
    NTK_HD void store(double* to, long stride) const {
        layer.store(to, stride);
        dual.store(to + LayerFactors::count * stride, stride);
    }
    NTK_HD static TableEntry load(const double* from, long stride) {
        return {LayerFactors::load(from, stride), Dual::Factors::load(from + LayerFactors::count * stride, stride)};
    }
};

/// The next values from their parts. A variance that is neither exactly zero nor a normal number becomes NaN: its digits are lost.
NTK_HD LayerFactors combine_parts(const LimitConstants& constants, bool zero, DoubleDouble covariance_weight, DoubleDouble tangent_weight,
                                  DoubleDouble carry, SampleState& sample) {
    sample.covariance = covariance_weight + constants.bias_variance;
    sample.tangent = tangent_weight + constants.bias_gradient + carry;
    if (!(zero && constants.bias_variance.hi == 0) && !(sample.covariance.hi >= DBL_MIN)) sample.covariance.hi = NAN;
    const double q = sample.covariance.hi, theta = sample.tangent.hi;
    LayerFactors f;
    f.covariance_weight = q == 0 ? 0 : sqrt(covariance_weight.hi / q);
    f.covariance_bias = q == 0 ? 0 : sqrt(constants.bias_variance.hi / q);
    f.tangent_weight = theta == 0 ? 0 : sqrt(tangent_weight.hi / theta);
    f.tangent_bias = theta == 0 ? 0 : sqrt(constants.bias_gradient.hi / theta);
    f.tangent_carry = theta == 0 ? 0 : sqrt(carry.hi / theta);
    return f;
}

/// The first layer, from |x|^2 / d. `zero`: x = 0 exactly.
NTK_HD LayerFactors first_layer(const LimitConstants& constants, DoubleDouble gain, double mean_square, bool zero, SampleState& sample) {
    const DoubleDouble square{mean_square, 0};
    return combine_parts(constants, zero, constants.weight_variance * square, gain * square, {}, sample);
}

/// A later layer; `factors` receives what the dual of a pair needs.
template <class Dual>
NTK_HD LayerFactors next_layer(const LimitConstants& constants, const Dual& dual, DoubleDouble gain, SampleState& sample,
                               typename Dual::Factors& factors) {
    const SelfImage image = dual.self_image(sample.covariance, factors);
    return combine_parts(constants, sample.covariance.hi == 0, constants.weight_variance * image.value, gain * image.value,
                         constants.weight_variance * image.slope * sample.tangent, sample);
}

/// Theta between a sample and one whose variance is exactly zero (sigma_b = 0), one layer on: the zero sample has phi(0) = 0, and
/// phi'(0) = mean_slope(0). `q` is the variance of the other sample below.
template <class Dual>
NTK_HD double next_tangent_with_zero(const LimitConstants& constants, const Dual& dual, double q, double tangent) {
    return constants.bias_gradient.hi + constants.weight_variance.hi * dual.mean_slope(0) * dual.mean_slope(q) * tangent;
}

/// The normalised tangent kernel of a pair.
struct Tangent {
    double value;       ///< K
    double below_one;   ///< 1 - K
    double difference;  ///< (Theta_x - Theta_y) / sqrt(Theta_x Theta_y)
};

/// Shares a pair has in common: the products of the factors of its two samples.
struct CovarianceShares {
    double weight, bias;
    NTK_HD CovarianceShares(const LayerFactors& x, const LayerFactors& y)
        : weight(x.covariance_weight * y.covariance_weight), bias(x.covariance_bias * y.covariance_bias) {}
};

/// q'_xy from e_xy: sigma_b^2 joins. `difference` is (q'_x - q'_y)/g' of the result.
NTK_HD Correlation add_bias(double rho, double below_one, double above_minus_one, double difference, const LayerFactors& x,
                            const LayerFactors& y) {
    const CovarianceShares share(x, y);
    const double minor =
        ratio_or_zero(difference * share.bias, x.covariance_weight * y.covariance_bias + y.covariance_weight * x.covariance_bias);
    const double defect = plane_defect(share.weight, share.bias, minor);
    return {share.weight * rho + share.bias, share.weight * below_one + defect, share.weight * above_minus_one + 2 * share.bias + defect,
            difference};
}

/// The relative difference at the first layer, of values v = share^2 v + ... whose input part has the shares `x` and `y` (square
/// roots); `root_ratio` is sqrt(v_x / v_y).
NTK_HD double first_difference(const InputPair& input, double x, double y, double root_ratio) {
    return input.difference * (x * x * root_ratio + y * y / root_ratio);
}

/// q_1 of a pair. `root_ratio` is sqrt(q_x / q_y) of the first layer.
NTK_HD Correlation first_correlation(const InputPair& input, const LayerFactors& x, const LayerFactors& y, double root_ratio) {
    return add_bias(input.rho, input.below_one, input.above_minus_one,
                    first_difference(input, x.covariance_weight, y.covariance_weight, root_ratio), x, y);
}

/// q_{l+1} of a pair, from its image at layer l.
NTK_HD Correlation next_correlation(const Image& image, const LayerFactors& x, const LayerFactors& y) {
    return add_bias(image.value.rho, image.value.below_one, image.value.above_minus_one,
                    x.covariance_weight * y.covariance_weight * image.value.difference, x, y);
}

/// K alone, at the first layer and later ones.
NTK_HD double first_tangent_value(const InputPair& input, const LayerFactors& x, const LayerFactors& y) {
    return x.tangent_weight * y.tangent_weight * input.rho + x.tangent_bias * y.tangent_bias;
}
NTK_HD double next_tangent_value(double value, const Image& image, const LayerFactors& x, const LayerFactors& y) {
    return x.tangent_weight * y.tangent_weight * image.value.rho + x.tangent_bias * y.tangent_bias +
           x.tangent_carry * y.tangent_carry * image.slope * value;
}

/// 1 - (weight + bias + carry), from the differences that the weight part and the carried part bring to (Theta_x - Theta_y)/T, and the
/// minor of these two parts.
NTK_HD double tangent_defect(const LayerFactors& x, const LayerFactors& y, double weight_difference, double carry_difference,
                             double weight_carry) {
    const double weight = x.tangent_weight * y.tangent_weight, bias = x.tangent_bias * y.tangent_bias,
                 carry = x.tangent_carry * y.tangent_carry;
    const double weight_bias =
        ratio_or_zero(weight_difference * bias, x.tangent_weight * y.tangent_bias + y.tangent_weight * x.tangent_bias);
    const double carry_bias = ratio_or_zero(carry_difference * bias, x.tangent_carry * y.tangent_bias + y.tangent_carry * x.tangent_bias);
    return (weight_bias * weight_bias + carry_bias * carry_bias + weight_carry * weight_carry) / (1 + weight + bias + carry);
}

/// K and 1 - K at the first layer. `root_ratio` is sqrt(Theta_x / Theta_y).
NTK_HD Tangent first_tangent(const InputPair& input, const LayerFactors& x, const LayerFactors& y, double root_ratio) {
    const double weight = x.tangent_weight * y.tangent_weight;
    const double difference = first_difference(input, x.tangent_weight, y.tangent_weight, root_ratio);
    return {first_tangent_value(input, x, y), weight * input.below_one + tangent_defect(x, y, difference, 0, 0), difference};
}

/// K and 1 - K of the next layer.
NTK_HD Tangent next_tangent(const Tangent& tangent, const Image& image, const LayerFactors& x, const LayerFactors& y) {
    const double weight = x.tangent_weight * y.tangent_weight, carry = x.tangent_carry * y.tangent_carry;
    // With (v_x - v_y)/sqrt(v_x v_y) = 2 sinh h, products add and quotients subtract the h.
    const auto cosh_of = [](double twice_sinh) { return sqrt(1 + 0.25 * twice_sinh * twice_sinh); };
    const double carried = tangent.difference * cosh_of(image.slope_difference) + image.slope_difference * cosh_of(tangent.difference);
    const double quotient = image.value.difference * cosh_of(carried) - carried * cosh_of(image.value.difference);
    const double weight_carry =
        ratio_or_zero(weight * carry * quotient, x.tangent_weight * y.tangent_carry + y.tangent_weight * x.tangent_carry);
    const double weight_difference = weight * image.value.difference, carry_difference = carry * carried;
    return {next_tangent_value(tangent.value, image, x, y),
            tangent_defect(x, y, weight_difference, carry_difference, weight_carry) + weight * image.value.below_one +
                carry * (tangent.below_one + tangent.value * image.slope_below_one),
            weight_difference + carry_difference};
}

}  // namespace ntk::formulas

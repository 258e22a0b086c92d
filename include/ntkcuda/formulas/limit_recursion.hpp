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

    static constexpr bool precise = false;
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

/// The same, with what rounding cut off the two factors that a pair is multiplied by in every layer.
struct PreciseLayerFactors {
    double covariance_weight, covariance_bias;
    double tangent_weight, tangent_bias, tangent_carry;
    double covariance_weight_low, tangent_carry_low;

    static constexpr bool precise = true;
    static constexpr int count = 7;
    NTK_HD void store(double* to, long stride) const {
        to[0] = covariance_weight;
        to[stride] = covariance_bias;
        to[2 * stride] = tangent_weight;
        to[3 * stride] = tangent_bias;
        to[4 * stride] = tangent_carry;
        to[5 * stride] = covariance_weight_low;
        to[6 * stride] = tangent_carry_low;
    }
    NTK_HD static PreciseLayerFactors load(const double* from, long stride) {
        return {from[0], from[stride], from[2 * stride], from[3 * stride], from[4 * stride], from[5 * stride], from[6 * stride]};
    }
};

/// The shares a pair is multiplied by: products of the factors of its two samples.
NTK_HD double covariance_weight(const LayerFactors& x, const LayerFactors& y) { return x.covariance_weight * y.covariance_weight; }
NTK_HD double tangent_carry(const LayerFactors& x, const LayerFactors& y) { return x.tangent_carry * y.tangent_carry; }
NTK_HD DoubleDouble covariance_weight(const PreciseLayerFactors& x, const PreciseLayerFactors& y) {
    return DoubleDouble{x.covariance_weight, x.covariance_weight_low} * DoubleDouble{y.covariance_weight, y.covariance_weight_low};
}
NTK_HD DoubleDouble tangent_carry(const PreciseLayerFactors& x, const PreciseLayerFactors& y) {
    return DoubleDouble{x.tangent_carry, x.tangent_carry_low} * DoubleDouble{y.tangent_carry, y.tangent_carry_low};
}

/// What one sample brings to its pairs at one layer; samples by layers of these make a table.
template <class Layer, class Dual>
struct TableEntry {
    Layer layer;
    typename Dual::Factors dual;

    static constexpr int count = Layer::count + Dual::Factors::count;
    NTK_HD void store(double* to, long stride) const {
        layer.store(to, stride);
        dual.store(to + Layer::count * stride, stride);
    }
    NTK_HD static TableEntry load(const double* from, long stride) {
        return {Layer::load(from, stride), Dual::Factors::load(from + Layer::count * stride, stride)};
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

/// 1 - (weight + bias) of the covariance, `difference` = (q'_x - q'_y)/g'.
template <class Layer>
NTK_HD double covariance_defect(double difference, const Layer& x, const Layer& y) {
    const double weight = x.covariance_weight * y.covariance_weight, bias = x.covariance_bias * y.covariance_bias;
    const double minor =
        ratio_or_zero(difference * bias, x.covariance_weight * y.covariance_bias + y.covariance_weight * x.covariance_bias);
    return plane_defect(weight, bias, minor);
}

/// q'_xy from e_xy: sigma_b^2 joins. `difference` is (q'_x - q'_y)/g' of the result.
template <class Layer>
NTK_HD Correlation add_bias(double rho, double below_one, double above_minus_one, double difference, const Layer& x, const Layer& y) {
    const auto weight = covariance_weight(x, y);
    const double bias = x.covariance_bias * y.covariance_bias, defect = covariance_defect(difference, x, y);
    return {multiply_add(weight, rho, bias), multiply_add(weight, below_one, defect),
            multiply_add(weight, above_minus_one, 2 * bias + defect), difference};
}

/// The relative difference at the first layer, of values v = share^2 v + ... whose input part has the shares `x` and `y` (square
/// roots); `root_ratio` is sqrt(v_x / v_y).
NTK_HD double first_difference(const InputPair& input, double x, double y, double root_ratio) {
    return input.difference * (x * x * root_ratio + y * y / root_ratio);
}

/// q_1 of a pair. `root_ratio` is sqrt(q_x / q_y) of the first layer.
template <class Layer>
NTK_HD Correlation first_correlation(const InputPair& input, const Layer& x, const Layer& y, double root_ratio) {
    return add_bias(input.rho, input.below_one, input.above_minus_one,
                    first_difference(input, x.covariance_weight, y.covariance_weight, root_ratio), x, y);
}

/// q_{l+1} of a pair, from its image at layer l.
template <class Layer>
NTK_HD Correlation next_correlation(const Image& image, const Layer& x, const Layer& y) {
    return add_bias(image.value.rho, image.value.below_one, image.value.above_minus_one,
                    multiply_add(covariance_weight(x, y), image.value.difference, 0), x, y);
}

/// K alone, at the first layer and later ones.
template <class Layer>
NTK_HD double first_tangent_value(const InputPair& input, const Layer& x, const Layer& y) {
    return x.tangent_weight * y.tangent_weight * input.rho + x.tangent_bias * y.tangent_bias;
}
template <class Layer>
NTK_HD double next_tangent_value(double value, const Image& image, const Layer& x, const Layer& y) {
    double carried = image.slope * value;
    if constexpr (Layer::precise) {
        // A slope near 1, almost the same in many layers, comes from the difference, with what rounding cuts off.
        const bool near_one = image.slope_below_one < 0.5;
        const double slope = near_one ? 1 - image.slope_below_one : image.slope;
        carried = slope * value + (near_one ? (1 - slope) - image.slope_below_one : 0) * value;
    }
    return multiply_add(tangent_carry(x, y), carried,
                        x.tangent_weight * y.tangent_weight * image.value.rho + x.tangent_bias * y.tangent_bias);
}

/// 1 - (weight + bias + carry), from the differences that the weight part and the carried part bring to (Theta_x - Theta_y)/T, and the
/// minor of these two parts.
template <class Layer>
NTK_HD double tangent_defect(const Layer& x, const Layer& y, double weight_difference, double carry_difference, double weight_carry) {
    const double weight = x.tangent_weight * y.tangent_weight, bias = x.tangent_bias * y.tangent_bias,
                 carry = x.tangent_carry * y.tangent_carry;
    const double weight_bias =
        ratio_or_zero(weight_difference * bias, x.tangent_weight * y.tangent_bias + y.tangent_weight * x.tangent_bias);
    const double carry_bias = ratio_or_zero(carry_difference * bias, x.tangent_carry * y.tangent_bias + y.tangent_carry * x.tangent_bias);
    return (weight_bias * weight_bias + carry_bias * carry_bias + weight_carry * weight_carry) / (1 + weight + bias + carry);
}

/// K and 1 - K at the first layer. `root_ratio` is sqrt(Theta_x / Theta_y).
template <class Layer>
NTK_HD Tangent first_tangent(const InputPair& input, const Layer& x, const Layer& y, double root_ratio) {
    const double weight = x.tangent_weight * y.tangent_weight;
    const double difference = first_difference(input, x.tangent_weight, y.tangent_weight, root_ratio);
    return {first_tangent_value(input, x, y), weight * input.below_one + tangent_defect(x, y, difference, 0, 0), difference};
}

/// The same kernel with K and 1 - K recomputed from the smaller one, so that their rounding errors cannot part.
NTK_HD Tangent consistent(const Tangent& t) {
    const double value = t.value, below_one = t.below_one;  // selected as numbers: a selected address would not vectorise
    const bool near_one = below_one < 0.5;
    return {near_one ? 1 - below_one : value, near_one ? below_one : 1 - value, t.difference};
}

/// K and 1 - K of the next layer.
template <class Layer>
NTK_HD Tangent next_tangent(const Tangent& tracked, const Image& image, const Layer& x, const Layer& y) {
    const Tangent tangent = consistent(tracked);
    const auto precise_carry = tangent_carry(x, y);
    const double weight = x.tangent_weight * y.tangent_weight, carry = rounded(precise_carry);
    // With (v_x - v_y)/sqrt(v_x v_y) = 2 sinh h, products add and quotients subtract the h.
    const auto cosh_of = [](double twice_sinh) { return sqrt(1 + 0.25 * twice_sinh * twice_sinh); };
    const double carried = tangent.difference * cosh_of(image.slope_difference) + image.slope_difference * cosh_of(tangent.difference);
    const double quotient = image.value.difference * cosh_of(carried) - carried * cosh_of(image.value.difference);
    const double weight_carry =
        ratio_or_zero(weight * carry * quotient, x.tangent_weight * y.tangent_carry + y.tangent_weight * x.tangent_carry);
    const double weight_difference = weight * image.value.difference, carry_difference = multiply_add(precise_carry, carried, 0);
    const double source = tangent_defect(x, y, weight_difference, carry_difference, weight_carry) + weight * image.value.below_one +
                          carry * (tangent.value * image.slope_below_one);
    return {next_tangent_value(tangent.value, image, x, y), multiply_add(precise_carry, tangent.below_one, source),
            weight_difference + carry_difference};
}

}  // namespace ntk::formulas

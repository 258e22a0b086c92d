#pragma once

/// \file formulas/dual.hpp
/// Dual activations: E[phi(u) phi(v)] and E[phi'(u) phi'(v)] of jointly Gaussian (u, v), as functions of tracked differences.
/// (theory: Cho & Saul 2009 and Daniely et al. 2016, 1602.05897, for the rectifiers; Williams 1997 for erf.)
///
/// A pair (x, y) of samples with covariances q_x, q_y, q_xy is known by its correlation rho = q_xy / sqrt(q_x q_y), by 1 - rho and by
/// 1 + rho, each with full relative precision, and by the relative difference of the variances. Every formula below is a sum of
/// positive terms of those (or a difference that loses at most a bit or two), so the results are as precise. No branches on
/// data: loops over pairs vectorise.

#include <ntkcuda/activation.hpp>
#include <ntkcuda/formulas/arc.hpp>
#include <ntkcuda/formulas/double_double.hpp>
#include <ntkcuda/formulas/macros.hpp>

#include <cmath>

namespace ntk::formulas {

inline constexpr double inverse_pi = 0.31830988618379067154;

/// The correlation of a pair.
struct Correlation {
    double rho;              ///< q_xy / g, g = sqrt(q_x q_y)
    double below_one;        ///< 1 - rho
    double above_minus_one;  ///< 1 + rho
    double difference;       ///< (q_x - q_y) / g
};

/// The same of the images under phi, e_xy = E[phi(u) phi(v)], with the normalised derivative dual.
struct Image {
    Correlation value;        ///< of e_x, e_y, e_xy
    double below_one_low;     ///< what rounding cut off 1 - rho, where a layer may hardly change it: for rho >= 0, else 0
    double below_one_slope;   ///< what a layer multiplies 1 - rho by where it is small
    double slope;             ///< kappa' = s_xy / sqrt(s_x s_y), s = E[phi' phi']
    double slope_below_one;   ///< 1 - kappa'
    double slope_difference;  ///< (s_x - s_y) / sqrt(s_x s_y)
};

/// E[phi(u)^2] and E[phi'(u)^2] of one sample.
struct SelfImage {
    DoubleDouble value, slope;
};

/// The same correlation with 1 - rho, 1 + rho and rho all recomputed from the one of them that is known best, so that their rounding
/// errors cannot part: the recursions would let such a gap grow.
NTK_HD Correlation consistent(const Correlation& c) {
    const bool near_one = c.below_one < 0.5, near_minus_one = c.above_minus_one < 0.5;
    return {near_one         ? 1 - c.below_one
            : near_minus_one ? c.above_minus_one - 1
                             : c.rho,
            near_one         ? c.below_one
            : near_minus_one ? 2 - c.above_minus_one
                             : 1 - c.rho,
            near_one         ? 2 - c.below_one
            : near_minus_one ? c.above_minus_one
                             : 1 + c.rho,
            c.difference};
}

/// 1 - (sum of w_i w'_i) for two unit vectors in the plane, (weight, bias), given the first minor m = weight bias' - bias weight'.
NTK_HD double plane_defect(double weight, double bias, double minor) { return minor * minor / (1 + weight + bias); }

/// numerator / denominator, and 0 where the denominator, a sum of terms >= 0, is 0 (then so is the numerator).
NTK_HD double ratio_or_zero(double numerator, double denominator) { return denominator > 0 ? numerator / denominator : 0; }

/// phi(z) = z for z > 0, slope z otherwise: relu (0), abs (-1) and any other slope. With a = slope, c = (1 - a)^2 / (1 + a^2) and
/// theta = acos(rho):
///     e_xy = (1 + a^2)/2 g [ rho + (c/pi) (sin theta - theta cos theta) ],      s_xy = (1 + a^2)/2 [ 1 - c theta/pi ].
struct RectifierDual {
    /// Whether the normalised duals of a pair depend on the variances of its samples, not on their correlation alone.
    static constexpr bool depends_on_variance = false;

    /// What a pair needs of each of its samples: nothing.
    struct Factors {
        static constexpr int count = 0;
        NTK_HD void store(double*, long) const {}
        NTK_HD static Factors load(const double*, long) { return {}; }
    };

    DoubleDouble half_square;  ///< (1 + a^2)/2
    double bend;               ///< c
    double one_minus_bend;     ///< 2 a / (1 + a^2)
    double two_minus_bend;     ///< (1 + a)^2 / (1 + a^2)
    double slope_at_zero;      ///< phi'(0) as activation.hpp defines it
    double mean_slope_value;   ///< E[phi'] = (1 + a)/2

    explicit RectifierDual(const Activation& activation) {
        const bool abs = activation.kind == Activation::Kind::abs;
        const double a = abs ? -1 : activation.slope, norm = 1 + a * a;
        const DoubleDouble twice = DoubleDouble{1, 0} + exact_product(a, a);
        half_square = {twice.hi / 2, twice.lo / 2};
        bend = (1 - a) * (1 - a) / norm;
        one_minus_bend = 2 * a / norm;
        two_minus_bend = (1 + a) * (1 + a) / norm;
        slope_at_zero = abs ? 0 : a;
        mean_slope_value = (1 + a) / 2;
    }

    NTK_HD SelfImage self_image(DoubleDouble q, Factors&) const {
        return {half_square * q, q.hi == 0 ? exact_product(slope_at_zero, slope_at_zero) : half_square};
    }

    /// E[phi'(u)] for u of variance q: the derivative dual against a sample whose variance is 0 is phi'(0) times this.
    NTK_HD double mean_slope(double q) const { return q == 0 ? slope_at_zero : mean_slope_value; }

    NTK_HD Image image(const Correlation& tracked, const Factors&, const Factors&) const {
        const Correlation c = consistent(tracked);
        // psi = min(theta, pi - theta) with sin^2(psi/2) = t.
        const bool acute = c.below_one <= c.above_minus_one;
        const double t = 0.5 * smaller(c.below_one, c.above_minus_one), root = sqrt(t);
        const double turn = bend * inverse_pi, angle = turn * (2 * root * arcsine_ratio(t)),
                     bracket = turn * (t * root * arc_bracket_ratio(t));
        // Near theta = pi, with phi = pi - theta: sin theta - theta cos theta = (sin phi - phi cos phi) - pi rho.
        Image image;
        image.value.rho = (acute ? c.rho : one_minus_bend * c.rho) + bracket;
        image.value.below_one = (acute ? c.below_one : two_minus_bend - one_minus_bend * c.above_minus_one) - bracket;
        image.value.above_minus_one = c.above_minus_one + bracket - (acute ? 0 : bend * c.rho);
        image.value.difference = c.difference;
        image.below_one_low = acute ? (c.below_one - image.value.below_one) - bracket : 0;
        image.below_one_slope = 1;
        image.slope = acute ? 1 - angle : one_minus_bend + angle;
        image.slope_below_one = acute ? angle : bend - angle;
        image.slope_difference = 0;
        return image;
    }
};

/// phi = erf. With a = 1 + 2q, e_xy = (2/pi) asin(2 q_xy / sqrt(a_x a_y)), s_xy = (4/pi) / sqrt(a_x a_y - 4 q_xy^2).
///
/// The argument of asin is itself a correlation, of 2q with a bias of 1, and e_x = (2/pi) alpha_x with sin alpha_x = 2 q_x / a_x. What is
/// wanted is sqrt(alpha_x alpha_y) - alpha_xy; it is split at the angle alpha_0 of a parallel pair, sin^2 alpha_0 = sin alpha_x sin
/// alpha_y: alpha_0 - alpha_xy from the sine of the difference, sqrt(alpha_x alpha_y) - alpha_0 (zero for equal variances) from the
/// expansion of log(sin(alpha)/alpha), whose coefficients have one sign:
///     log( sin sqrt(alpha_x alpha_y) / sin alpha_0 ) = 1/2 sum_k zeta(2k)/k ((alpha_x/pi)^k - (alpha_y/pi)^k)^2.
///
/// Near rho = 1, 0 and -1 the dual is linear, and a deep network multiplies by its derivative there in every layer. So for a million layers
/// (`Precise`) the derivatives, tan(alpha)/alpha and sin(alpha)/alpha, are kept as sums of two doubles, and what bends the dual away from
/// them is a small term that is added before the one rounding.
template <bool Precise>
struct ErfDualOf {
    static constexpr bool depends_on_variance = true;

    struct Factors {
        double sine_root;        ///< sqrt(2q / (1 + 2q)); its square is sin alpha
        double bias_root;        ///< 1 / sqrt(1 + 2q)
        double cosine;           ///< cos alpha = sqrt(1 + 4q) / (1 + 2q)
        double cosine_root;      ///< its root
        double angle;            ///< alpha
        double angle_root;       ///< 1 / sqrt(alpha)
        DoubleDouble near_root;  ///< if Precise: sqrt(tan(alpha) / alpha)
        DoubleDouble far_root;   ///< if Precise: sqrt(sin(alpha) / alpha)

        static constexpr int count = Precise ? 10 : 6;
        NTK_HD void store(double* to, long stride) const {
            to[0] = sine_root;
            to[stride] = bias_root;
            to[2 * stride] = cosine;
            to[3 * stride] = cosine_root;
            to[4 * stride] = angle;
            to[5 * stride] = angle_root;
            if constexpr (Precise) {
                to[6 * stride] = near_root.hi;
                to[7 * stride] = near_root.lo;
                to[8 * stride] = far_root.hi;
                to[9 * stride] = far_root.lo;
            }
        }
        NTK_HD static Factors load(const double* from, long stride) {
            if constexpr (Precise)
                return {from[0],
                        from[stride],
                        from[2 * stride],
                        from[3 * stride],
                        from[4 * stride],
                        from[5 * stride],
                        {from[6 * stride], from[7 * stride]},
                        {from[8 * stride], from[9 * stride]}};
            else
                return {from[0], from[stride], from[2 * stride], from[3 * stride], from[4 * stride], from[5 * stride], {}, {}};
        }
    };

    NTK_HD SelfImage self_image(DoubleDouble q, Factors& f) const {
        constexpr DoubleDouble two_over_pi{0.63661977236758138243, -3.9357353350364973908e-17};
        DoubleDouble steep, sine, cosine, angle;
        if constexpr (Precise) {
            const DoubleDouble one{1, 0}, twice{2 * q.hi, 2 * q.lo}, shifted = one + twice;
            steep = root(one + DoubleDouble{2 * twice.hi, 2 * twice.lo});
            sine = twice / shifted;
            cosine = steep / shifted;
            angle = precise_angle_of(sine, cosine);
            f.near_root = root(twice / (steep * angle));
            f.far_root = root(sine / angle);
        } else {
            const double shifted = 1 + 2 * q.hi;
            steep = {sqrt(1 + 4 * q.hi), 0};
            sine = {2 * q.hi / shifted, 0};
            cosine = {steep.hi / shifted, 0};
            angle = {atan2(2 * q.hi, steep.hi), 0};
        }
        f.sine_root = sqrt(sine.hi);
        f.bias_root = 1 / sqrt(1 + 2 * q.hi);
        f.cosine = cosine.hi;
        f.cosine_root = sqrt(cosine.hi);
        f.angle = angle.hi;
        f.angle_root = 1 / sqrt(angle.hi);
        const DoubleDouble slope = Precise ? two_over_pi * DoubleDouble{2, 0} / steep : two_over_pi * DoubleDouble{2 / steep.hi, 0};
        return {two_over_pi * angle, slope};
    }

    NTK_HD double mean_slope(double q) const { return 1.1283791670955125739 / sqrt(1 + 2 * q); }

    NTK_HD Image image(const Correlation& tracked, const Factors& x, const Factors& y) const {
        const Correlation c = consistent(tracked);
        const bool acute = c.rho >= 0;
        const double size = fabs(c.rho), short_of_one = acute ? c.below_one : c.above_minus_one;
        // The correlation of 2q + 1: 1 - weight - bias = defect.
        const double weight = x.sine_root * y.sine_root, bias = x.bias_root * y.bias_root;
        const double minor = c.difference * weight * bias / (x.sine_root * y.bias_root + y.sine_root * x.bias_root);
        const double rest = bias + plane_defect(weight, bias, minor);
        const double parallel_squared_cosine = rest * (1 + weight), parallel_cosine = sqrt(parallel_squared_cosine);
        const double sine = weight * size, squared_sine = sine * sine;
        const double squared_cosine =
            squared_sine <= 0.5 ? 1 - squared_sine : (weight * c.below_one + rest) * (weight * c.above_minus_one + rest);
        const double cosine = sqrt(squared_cosine);
        const double scale = x.angle_root * y.angle_root;

        const double sine_x = x.sine_root * x.sine_root, sine_y = y.sine_root * y.sine_root, cosines = x.cosine * y.cosine;
        const double imbalance = weight * bias * c.difference;  // sin alpha_x - sin alpha_y
        const double turn = imbalance * ((sine_x + sine_y) / (sine_x * y.cosine + sine_y * x.cosine));
        const double turn_cosine = cosines + sine_x * sine_y, turn_size = angle_of(fabs(turn), turn_cosine);
        const double angle_difference = turn < 0 ? -turn_size : turn_size;
        const double excess = scale * parallel_excess(x.angle, y.angle, angle_difference, weight, parallel_squared_cosine, parallel_cosine);

        const double cosine_roots = x.cosine_root * y.cosine_root;

        // |alpha_xy| / sqrt(alpha_x alpha_y).
        const double least = smaller(sine, cosine), bow = arcsine_excess(least * least), angle = least * (1 + bow);
        double value = scale * (sine <= cosine ? angle : half_pi - angle);

        // 1 - |alpha_xy| / sqrt(alpha_x alpha_y), from the sine and cosine of alpha_0 - |alpha_xy|.
        const double short_spread = short_of_one * (1 + size), spread = weight * weight * short_spread;
        const double near_sine = weight * short_spread / (cosine + size * parallel_cosine);
        const double near_cosine = parallel_cosine * cosine + weight * sine, near_least = smaller(near_sine, near_cosine);
        const double near_bow = arcsine_excess(near_least * near_least), near_angle = near_least * (1 + near_bow);
        const bool steep = near_sine > near_cosine;
        double near = scale * (steep ? half_pi - near_angle : near_angle) + excess, near_low = 0, near_derivative = 1;
        if constexpr (Precise) {
            const DoubleDouble far_slope = x.far_root * y.far_root, near_slope = x.near_root * y.near_root;
            if (sine <= cosine) value = multiply_add(far_slope, size, far_slope.hi * size * bow);
            // That sine is tan(alpha_0) short_of_one (1 - bend), and tan^2 alpha_0 = tan alpha_x tan alpha_y (1 - sag)^2.
            const double bend = weight * near_sine / (cosine + parallel_cosine);
            const double sag = turn * turn / ((1 + turn_cosine) * parallel_cosine * (parallel_cosine + cosine_roots));
            const double bent = near_bow - (1 + near_bow) * (bend + sag - bend * sag);
            const DoubleDouble straight = exact_product(near_slope.hi, short_of_one);
            const DoubleDouble curved =
                exact_sum(straight.hi, straight.lo + (near_slope.lo * short_of_one + (near_slope.hi * short_of_one * bent + excess)));
            const bool small = bend < 0.5 && !steep;
            near = small ? curved.hi : near;
            near_low = small ? curved.lo : 0;
            near_derivative = near_slope.hi;
        }
        const double far = near + 2 * value;

        Image image;
        image.value.rho = acute ? value : -value;
        image.value.below_one = acute ? near : far;
        image.value.above_minus_one = acute ? far : near;
        image.value.difference = angle_difference * scale;
        image.below_one_low = acute ? near_low : 0;
        image.below_one_slope = near_derivative;

        const double bias_x = x.bias_root * x.bias_root, bias_y = y.bias_root * y.bias_root;
        image.slope = cosine_roots / cosine;
        image.slope_below_one =
            (spread + imbalance * imbalance / (bias_x + bias_y - bias_x * bias_y + cosines)) / (squared_cosine * (1 + image.slope));
        image.slope_difference = -2 * weight * c.difference / ((x.cosine / bias_x + y.cosine / bias_y) * cosine_roots);
        return image;
    }

private:
    /// sqrt(alpha_x alpha_y) - alpha_0.
    NTK_HD static double parallel_excess(double angle_x, double angle_y, double difference, double sine, double squared_cosine,
                                         double cosine) {
        // zeta(2k)/k; angles are below pi/2, so the terms fall at least as fast as k 4^-k.
        constexpr double coefficients[30] = {
            1.6449340668482264,   0.5411616168555691,  0.3391143539948164,  0.2510193390494861,  0.2001989150255636,   0.166707681092218,
            0.14286589259072266,  0.12500191028242608, 0.11111153525480723, 0.10000009539620339, 0.09090911258640934,  0.08333333830068242,
            0.07692307806935036,  0.07142857169466671, 0.06666666672875517, 0.06250000001455194, 0.05882352941518869,  0.055555555556363996,
            0.0526315789475599,   0.05000000000004547, 0.04761904761905845, 0.04545454545454804, 0.043478260869565834, 0.04166666666666682,
            0.040000000000000036, 0.03846153846153847, 0.03703703703703704, 0.03571428571428571, 0.034482758620689655, 0.03333333333333333};
        const double a = angle_x * inverse_pi, b = angle_y * inverse_pi, d = difference * inverse_pi;
        double sum = 0, quotient = 1, power = 1;  // quotient = (a^k - b^k) / (a - b), power = b^k
        NTK_UNROLL
        for (int k = 0; k < 30; ++k) {
            sum += coefficients[k] * (quotient * quotient);
            power *= b;
            quotient = a * quotient + power;
        }
        const double twice_log = d * d * sum;  // at most log(pi/2)
        double growth = 1;
        NTK_UNROLL
        for (int k = 17; k >= 2; --k) growth = 1 + growth * (twice_log * (1.0 / k));
        growth *= twice_log;  // exp - 1
        const double cosine_of_mean = sqrt(squared_cosine - sine * sine * growth);
        const double excess_sine = sine * growth / (sqrt(1 + growth) * cosine + cosine_of_mean);
        return excess_sine * arcsine_ratio(excess_sine * excess_sine);
    }
};

using ErfDual = ErfDualOf<false>;
using PreciseErfDual = ErfDualOf<true>;

}  // namespace ntk::formulas

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
inline constexpr double half_pi = 1.5707963267948966192;

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

NTK_HD double smaller(double a, double b) { return a < b ? a : b; }

/// The angle in [0, pi/2] whose sine and cosine are given, both >= 0.
NTK_HD double angle_of(double sine, double cosine) {
    const double least = smaller(sine, cosine), angle = least * arcsine_ratio(least * least);
    return sine <= cosine ? angle : half_pi - angle;
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
struct ErfDual {
    static constexpr bool depends_on_variance = true;

    struct Factors {
        double sine_root;    ///< sqrt(2q / (1 + 2q)); its square is sin alpha
        double bias_root;    ///< 1 / sqrt(1 + 2q)
        double cosine;       ///< cos alpha = sqrt(1 + 4q) / (1 + 2q)
        double cosine_root;  ///< its root
        double angle;        ///< alpha
        double angle_root;   ///< 1 / sqrt(alpha)

        static constexpr int count = 6;
        NTK_HD void store(double* to, long stride) const {
            to[0] = sine_root;
            to[stride] = bias_root;
            to[2 * stride] = cosine;
            to[3 * stride] = cosine_root;
            to[4 * stride] = angle;
            to[5 * stride] = angle_root;
        }
        NTK_HD static Factors load(const double* from, long stride) {
            return {from[0], from[stride], from[2 * stride], from[3 * stride], from[4 * stride], from[5 * stride]};
        }
    };

    NTK_HD SelfImage self_image(DoubleDouble variance, Factors& f) const {
        constexpr DoubleDouble two_over_pi{0.63661977236758138243, -3.9357353350364973908e-17};
        const double q = variance.hi, shifted = 1 + 2 * q, root = sqrt(1 + 4 * q);
        f.sine_root = sqrt(2 * q / shifted);
        f.bias_root = 1 / sqrt(shifted);
        f.cosine = root / shifted;
        f.cosine_root = sqrt(f.cosine);
        f.angle = atan2(2 * q, root);
        f.angle_root = 1 / sqrt(f.angle);
        return {two_over_pi * DoubleDouble{f.angle, 0}, two_over_pi * DoubleDouble{2 / root, 0}};
    }

    NTK_HD double mean_slope(double q) const { return 1.1283791670955125739 / sqrt(1 + 2 * q); }

    NTK_HD Image image(const Correlation& tracked, const Factors& x, const Factors& y) const {
        const Correlation c = consistent(tracked);
        // The correlation of 2q + 1: 1 - weight - bias = defect.
        const double weight = x.sine_root * y.sine_root, bias = x.bias_root * y.bias_root;
        const double minor = c.difference * weight * bias / (x.sine_root * y.bias_root + y.sine_root * x.bias_root);
        const double rest = bias + plane_defect(weight, bias, minor);
        const double below_one = weight * c.below_one + rest, above_minus_one = weight * c.above_minus_one + rest;
        const double sine = weight * fabs(c.rho), squared_cosine = below_one * above_minus_one, cosine = sqrt(squared_cosine);
        const double parallel_squared_cosine = rest * (1 + weight), parallel_cosine = sqrt(parallel_squared_cosine);

        // near = alpha_0 - |alpha_xy|, far = alpha_0 + |alpha_xy|.
        const double angle = angle_of(sine, cosine), weight_square = weight * weight;
        const double spread = weight_square * c.below_one * c.above_minus_one;
        const double near = angle_of(spread / (weight * cosine + sine * parallel_cosine), parallel_cosine * cosine + weight * sine);
        const double far = near + 2 * angle;

        const double sine_x = x.sine_root * x.sine_root, sine_y = y.sine_root * y.sine_root;
        const double turn = c.difference * weight * bias * (sine_x + sine_y) / (sine_x * y.cosine + sine_y * x.cosine);
        const double turn_size = angle_of(fabs(turn), x.cosine * y.cosine + sine_x * sine_y);
        const double angle_difference = turn < 0 ? -turn_size : turn_size;
        const double excess = parallel_excess(x.angle, y.angle, angle_difference, weight_square, parallel_squared_cosine, parallel_cosine);

        const double scale = x.angle_root * y.angle_root;
        const bool acute = c.rho >= 0;
        Image image;
        image.value.rho = (acute ? angle : -angle) * scale;
        image.value.below_one = (excess + (acute ? near : far)) * scale;
        image.value.above_minus_one = (excess + (acute ? far : near)) * scale;
        image.value.difference = angle_difference * scale;

        const double cosine_roots = x.cosine_root * y.cosine_root, cosines = x.cosine * y.cosine;
        const double bias_x = x.bias_root * x.bias_root, bias_y = y.bias_root * y.bias_root;
        const double imbalance = weight * bias * c.difference;
        image.slope = cosine_roots / cosine;
        image.slope_below_one =
            (spread + imbalance * imbalance / (bias_x + bias_y - bias_x * bias_y + cosines)) / (squared_cosine * (1 + image.slope));
        image.slope_difference = -2 * weight * c.difference / ((x.cosine / bias_x + y.cosine / bias_y) * cosine_roots);
        return image;
    }

private:
    /// sqrt(alpha_x alpha_y) - alpha_0.
    NTK_HD static double parallel_excess(double angle_x, double angle_y, double difference, double squared_sine, double squared_cosine,
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
        const double squared_excess = squared_sine * growth;
        const double sine_of_mean = sqrt(squared_sine + squared_excess), cosine_of_mean = sqrt(squared_cosine - squared_excess);
        const double sine = squared_excess / (sine_of_mean * cosine + sqrt(squared_sine) * cosine_of_mean);
        return sine * arcsine_ratio(sine * sine);
    }
};

}  // namespace ntk::formulas

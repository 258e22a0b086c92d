#pragma once

/// \file formulas/arc.hpp
/// Angles from tracked sines, without branches or library calls, so that loops over pairs vectorise and every device gets the same
/// bits. Relative error below 3e-16 everywhere on the stated domains.

#include <ntkcuda/formulas/double_double.hpp>
#include <ntkcuda/formulas/macros.hpp>

#include <cmath>

namespace ntk::formulas {

/// A polynomial of odd degree 2 Half - 1 as two interleaved Horner chains.
template <int Half>
NTK_HD double interleaved_polynomial(const double (&c)[2 * Half], double t) {
    const double square = t * t;
    double even = c[2 * Half - 2], odd = c[2 * Half - 1];
    NTK_UNROLL
    for (int k = Half - 2; k >= 0; --k) {
        even = even * square + c[2 * k];
        odd = odd * square + c[2 * k + 1];
    }
    return even + t * odd;
}

/// asin(sqrt(t)) / sqrt(t) - 1 for t in [0, 1/2]: Chebyshev interpolation, of the ratio to 8e-18.
NTK_HD double arcsine_excess(double t) {
    constexpr double c[20] = {0.0,
                              0.16666666666666963,
                              0.07499999999921603,
                              0.044642857225197834,
                              0.030381939881673394,
                              0.022372313172485805,
                              0.017349310327158196,
                              0.01401917204006966,
                              0.01092934906491237,
                              0.015091795028583365,
                              -0.026316324552338826,
                              0.1809574620911065,
                              -0.6641236302549411,
                              2.0016041109291547,
                              -4.535791802822955,
                              7.768165374555008,
                              -9.669659398550623,
                              8.32498352944691,
                              -4.438816692066939,
                              1.1264192878807509};
    return interleaved_polynomial<10>(c, t);
}

/// asin(sqrt(t)) / sqrt(t) for t in [0, 1/2].
NTK_HD double arcsine_ratio(double t) { return 1 + arcsine_excess(t); }

/// (sin psi - psi cos psi) / t^(3/2) with psi = 2 asin(sqrt(t)), t in [0, 1/2]: the bracket of the arc-cosine kernel without its
/// cancellation; relative error of the interpolation 6e-17.
NTK_HD double arc_bracket_ratio(double t) {
    constexpr double c[18] = {2.6666666666666665,    0.26666666666668143,  0.0857142857111221,   0.03968253995077448,  0.022095947639427637,
                              0.013767805682029654,  0.009249048024860408, 0.006643093513241805, 0.004226242976164667, 0.007915306613725855,
                              -0.017704735518716593, 0.07840039475553413,  -0.20794244601856987, 0.42909747522187885,  -0.6245889328726089,
                              0.6269979801368656,    -0.38489219072557274, 0.11366132592446036};
    return interleaved_polynomial<9>(c, t);
}

inline constexpr double half_pi = 1.5707963267948966192;

NTK_HD double smaller(double a, double b) { return a < b ? a : b; }

/// The angle in [0, pi/2] whose sine and cosine are given, both >= 0.
NTK_HD double angle_of(double sine, double cosine) {
    const double least = smaller(sine, cosine), angle = least * arcsine_ratio(least * least);
    return sine <= cosine ? angle : half_pi - angle;
}

/// sin x and 1 - cos x, each with full relative precision.
struct PreciseSine {
    DoubleDouble sine, versine;
};

/// Of 0 <= x <= pi/2: Taylor's series of x/8, doubled three times.
NTK_HD PreciseSine precise_sine(double x) {
    constexpr DoubleDouble sine[5] = {{1.0, 0.0},
                                      {-0.16666666666666666, -9.25185853854297e-18},
                                      {0.008333333333333333, 1.1564823173178714e-19},
                                      {-0.0001984126984126984, -1.7209558293420705e-22},
                                      {2.7557319223985893e-06, -1.858393274046472e-22}};
    constexpr double sine_tail[6] = {-2.505210838544172e-08, 1.6059043836821613e-10, -7.647163731819816e-13,
                                     2.8114572543455206e-15, -8.22063524662433e-18,  1.9572941063391263e-20};
    constexpr DoubleDouble versine[5] = {{0.5, 0.0},
                                         {-0.041666666666666664, -2.3129646346357427e-18},
                                         {0.001388888888888889, -5.300543954373577e-20},
                                         {-2.48015873015873e-05, -2.1511947866775882e-23},
                                         {2.755731922398589e-07, 2.3767714622250297e-23}};
    constexpr double versine_tail[6] = {-2.08767569878681e-09,  1.1470745597729725e-11, -4.779477332387385e-14,
                                        1.5619206968586225e-16, -4.110317623312165e-19, 8.896791392450574e-22};
    const double eighth = 0.125 * x;
    const DoubleDouble square = exact_product(eighth, eighth);
    double s = sine_tail[5], v = versine_tail[5];
    NTK_UNROLL
    for (int k = 4; k >= 0; --k) {
        s = s * square.hi + sine_tail[k];
        v = v * square.hi + versine_tail[k];
    }
    PreciseSine result{{s, 0}, {v, 0}};
    NTK_UNROLL
    for (int k = 4; k >= 0; --k) {
        result.sine = result.sine * square + sine[k];
        result.versine = result.versine * square + versine[k];
    }
    result = {result.sine * DoubleDouble{eighth, 0}, result.versine * square};
    NTK_UNROLL
    for (int k = 0; k < 3; ++k) {
        const DoubleDouble twice{2 * result.sine.hi, 2 * result.sine.lo};
        result = {twice * (DoubleDouble{1, 0} - result.versine), twice * result.sine};
    }
    return result;
}

/// The angle in [0, pi/2] whose sine and cosine are given, with full relative precision: a rounded angle, and the sine of the rest.
NTK_HD DoubleDouble precise_angle_of(DoubleDouble sine, DoubleDouble cosine) {
    const double angle = angle_of(sine.hi, cosine.hi);
    const PreciseSine rounded = precise_sine(angle);
    const DoubleDouble rest = sine * (DoubleDouble{1, 0} - rounded.versine) - cosine * rounded.sine;
    return ordered_sum(angle, rest.hi);
}

}  // namespace ntk::formulas

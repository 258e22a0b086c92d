#pragma once

/// \file formulas/arc.hpp
/// Angles from tracked sines, without branches or library calls, so that loops over pairs vectorise and every device gets the same
/// bits. Relative error below 3e-16 everywhere on the stated domains.

#include <ntkcuda/formulas/macros.hpp>

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

/// asin(sqrt(t)) / sqrt(t) for t in [0, 1/2]: Chebyshev interpolation of relative error 8e-18.
NTK_HD double arcsine_ratio(double t) {
    constexpr double c[20] = {1.0,
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

/// (sin psi - psi cos psi) / t^(3/2) with psi = 2 asin(sqrt(t)), t in [0, 1/2]: the bracket of the arc-cosine kernel without its
/// cancellation; relative error of the interpolation 6e-17.
NTK_HD double arc_bracket_ratio(double t) {
    constexpr double c[18] = {2.6666666666666665,    0.26666666666668143,  0.0857142857111221,   0.03968253995077448,  0.022095947639427637,
                              0.013767805682029654,  0.009249048024860408, 0.006643093513241805, 0.004226242976164667, 0.007915306613725855,
                              -0.017704735518716593, 0.07840039475553413,  -0.20794244601856987, 0.42909747522187885,  -0.6245889328726089,
                              0.6269979801368656,    -0.38489219072557274, 0.11366132592446036};
    return interleaved_polynomial<9>(c, t);
}

}  // namespace ntk::formulas

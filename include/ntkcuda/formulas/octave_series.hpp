#pragma once

/// \file formulas/octave_series.hpp
/// Where a value lies in the octaves of a series, and the series' value there (theory: Clenshaw 1955). Products and sums as written,
/// so that every device gets the same bits.

#include <ntkcuda/formulas/macros.hpp>
#include <ntkcuda/octave_series.hpp>

#include <cmath>
#include <limits>

namespace ntk::formulas {

/// The row of the coefficients that serves some t and the argument of its polynomials, in [-1, 1). A t without a series has row -1 and
/// its value in `x`.
struct OctavePoint {
    std::int64_t row;
    double x;
};

NTK_HD OctavePoint octave_point(const OctaveSeries& series, double t) {
    if (t == 0) return {-1, series.at_zero};
    if (t > std::numeric_limits<double>::max()) return {-1, series.at_infinity};
    if (!(t > 0)) return {-1, std::numeric_limits<double>::quiet_NaN()};
    int exponent = 0;
    const double fraction = frexp(t, &exponent);  // in [1/2, 1)
    const std::int64_t row = std::int64_t{exponent} - 1 - series.first_octave;
    if (row < 0 || row >= series.octaves) return {-1, std::numeric_limits<double>::quiet_NaN()};
    return {row, 4 * fraction - 3};
}

/// The running pair of Clenshaw's recurrence, from the last coefficient down to that of T_1.
struct Clenshaw {
    double newer = 0, older = 0;
    NTK_HD void step(double coefficient, double x) {
        const double next = (coefficient + 2 * x * newer) - older;
        older = newer;
        newer = next;
    }
    NTK_HD double value(double first_coefficient, double x) const { return (first_coefficient + x * newer) - older; }
};

NTK_HD double octave_series(const OctaveSeries& series, double t) {
    const OctavePoint point = octave_point(series, t);
    if (point.row < 0) return point.x;
    const double* c = series.coefficients + point.row * series.terms;
    Clenshaw sum;
    for (std::int64_t k = series.terms - 1; k > 0; --k) sum.step(c[k], point.x);
    return sum.value(c[0], point.x);
}

}  // namespace ntk::formulas

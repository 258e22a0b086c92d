#pragma once

/// \file formulas/double_double.hpp
/// Unevaluated sums of two doubles (theory: Dekker 1971; Hida, Li, Bailey 2001), about 31 digits, for the one-dimensional recursions
/// whose rounding errors would otherwise add up over a thousand layers. Error-free transformations: they need IEEE arithmetic as
/// written, so no fast-math and no contraction.

#include <ntkcuda/formulas/macros.hpp>

#include <cmath>

namespace ntk::formulas {

/// hi + lo with |lo| <= ulp(hi) / 2.
struct DoubleDouble {
    double hi = 0, lo = 0;
};

/// a + b exactly, for |a| >= |b|.
NTK_HD DoubleDouble ordered_sum(double a, double b) {
    const double sum = a + b;
    return {sum, b - (sum - a)};
}

/// a + b exactly.
NTK_HD DoubleDouble exact_sum(double a, double b) {
    const double sum = a + b, shifted = sum - a;
    return {sum, (a - (sum - shifted)) + (b - shifted)};
}

/// a * b exactly (barring underflow of the low part).
NTK_HD DoubleDouble exact_product(double a, double b) {
    const double product = a * b;
    return {product, fma(a, b, -product)};
}

NTK_HD DoubleDouble operator+(DoubleDouble a, DoubleDouble b) {
    const DoubleDouble high = exact_sum(a.hi, b.hi), low = exact_sum(a.lo, b.lo);
    const DoubleDouble partial = ordered_sum(high.hi, high.lo + low.hi);
    return ordered_sum(partial.hi, partial.lo + low.lo);
}

NTK_HD DoubleDouble operator*(DoubleDouble a, DoubleDouble b) {
    const DoubleDouble product = exact_product(a.hi, b.hi);
    return ordered_sum(product.hi, product.lo + (a.hi * b.lo + a.lo * b.hi));
}

NTK_HD DoubleDouble operator-(DoubleDouble a, DoubleDouble b) { return a + DoubleDouble{-b.hi, -b.lo}; }

NTK_HD DoubleDouble operator/(DoubleDouble a, DoubleDouble b) {
    const double first = a.hi / b.hi;
    const DoubleDouble rest = a - DoubleDouble{first, 0} * b;
    return ordered_sum(first, (rest.hi + rest.lo) / b.hi);
}

/// The square root of a >= 0.
NTK_HD DoubleDouble root(DoubleDouble a) {
    const double first = sqrt(a.hi);
    const DoubleDouble rest = a - exact_product(first, first);
    return ordered_sum(first, first > 0 ? (rest.hi + rest.lo) / (2 * first) : 0);
}

/// One of two, number by number: loops only vectorise around selections of numbers, not of places in memory.
NTK_HD DoubleDouble select(bool first, DoubleDouble a, DoubleDouble b) {
    const double a_hi = a.hi, a_lo = a.lo, b_hi = b.hi, b_lo = b.lo;
    return {first ? a_hi : b_hi, first ? a_lo : b_lo};
}

/// a x + b. With a double-double it is rounded once, so that a factor which is the same in many layers does not bring the same error to
/// each.
NTK_HD double multiply_add(DoubleDouble a, double x, double b) { return fma(a.hi, x, a.lo * x + b); }
NTK_HD double multiply_add(double a, double x, double b) { return a * x + b; }
NTK_HD double rounded(DoubleDouble a) { return a.hi; }
NTK_HD double rounded(double a) { return a; }

}  // namespace ntk::formulas

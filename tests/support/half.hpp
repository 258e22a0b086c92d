#pragma once

// FP16 operands by their definition.

#include <ntkcuda/matrix.hpp>

#include <algorithm>
#include <cmath>

namespace ntk::testing {

/// Rows rounded to FP16 in units of the power of two below their largest entry, by the definition.
inline HostMatrix<double> rounded_rows(const HostMatrix<double>& x) {
    HostMatrix<double> rounded(x.rows(), x.cols());
    for (Index i = 0; i < x.rows(); ++i) {
        double largest = 0;
        for (Index j = 0; j < x.cols(); ++j) largest = std::max(largest, std::fabs(x(i, j)));
        const int exponent = largest > 0 ? std::ilogb(largest) : 0;
        for (Index j = 0; j < x.cols(); ++j) {
            const double value = std::ldexp(x(i, j), -exponent);
            const int last_bit = (value == 0 ? -14 : std::max(std::ilogb(value), -14)) - 10;
            rounded(i, j) = std::ldexp(std::nearbyint(std::ldexp(value, -last_bit)), last_bit + exponent);
        }
    }
    return rounded;
}

}  // namespace ntk::testing

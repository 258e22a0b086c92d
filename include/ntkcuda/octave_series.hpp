#pragma once

/// \file octave_series.hpp
/// A function of t >= 0 tabulated by one Chebyshev series for each octave [2^k, 2^(k+1)) of t: the same relative resolution at every
/// scale of t, which a function of an angle needs near 0 and near pi alike.

#include <cstdint>

namespace ntk {

/// f(t) = sum_k c_k T_k(2 t / 2^o - 3) for t in octave o; octave first_octave + i has row i of `coefficients`.
struct OctaveSeries {
    int first_octave = 0;
    std::int64_t octaves = 0;              ///< at least 1
    std::int64_t terms = 0;                ///< at least 1
    const double* coefficients = nullptr;  ///< octaves x terms, in host memory
    double at_zero = 0, at_infinity = 0;   ///< f(0) and f(infinity)
};

}  // namespace ntk

#pragma once

// The one place where tolerances come from: the rounding error of a sum of `terms` products, (terms + 8) epsilon times the sum of the
// magnitudes of its terms (Higham 2002, section 3.1; the 8 covers the few operations around the sum).

#include <ntkcuda/matrix.hpp>

#include <limits>

namespace ntk::testing {

template <class Real>
constexpr double tolerance(Index terms) {
    return static_cast<double>(terms + 8) * std::numeric_limits<Real>::epsilon();
}

}  // namespace ntk::testing

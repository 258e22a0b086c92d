#pragma once

#include <ntkcuda/matrix.hpp>

namespace ntk {

/// sum_j x[j] y[j] in float64: four running sums, which are independent additions in an order fixed by the length alone.
template <class Real>
[[nodiscard]] double dot(const Real* x, const Real* y, Index length) {
    double sum[4] = {};
    Index j = 0;
    for (; j + 4 <= length; j += 4)
        for (int k = 0; k < 4; ++k) sum[k] += static_cast<double>(x[j + k]) * static_cast<double>(y[j + k]);
    for (; j < length; ++j) sum[0] += static_cast<double>(x[j]) * static_cast<double>(y[j]);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

}  // namespace ntk

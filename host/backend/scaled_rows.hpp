#pragma once

// Rows of inputs divided by powers of two, so that no square over- or underflows.

#include "limit_samples.hpp"
#include "tiles.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace ntk {

/// Exponent of the power of two that a row is divided by: its largest |element| becomes 1 to 2.
template <class Real>
[[nodiscard]] int row_exponent(const Real* x, Index count) {
    double largest = 0;
    for (Index j = 0; j < count; ++j) largest = std::max(largest, std::fabs(static_cast<double>(x[j])));
    return largest > 0 && std::isfinite(largest) ? std::ilogb(largest) : 0;
}

/// 2^-exponent as two factors, since one alone can overflow.
struct RowScale {
    double first, second;
    explicit RowScale(int exponent) : first(std::ldexp(1.0, -(exponent / 2))), second(std::ldexp(1.0, -(exponent - exponent / 2))) {}
    double operator()(double value) const { return value * first * second; }
};

/// Norms of all rows; the values themselves are scaled tile by tile.
class ScaledRows {
public:
    template <class Real>
    ScaledRows(ConstMatrixView<Real> x, int threads)
        : inputs_(x.cols()), norm_(size(x)), squared_norm_(size(x)), mean_square_(size(x)), exponent_(size(x)) {
#pragma omp parallel for num_threads(threads) schedule(static) if (x.size() > elementwise_alone)
        for (Index i = 0; i < x.rows(); ++i) {
            const Real* row = row_of(x, i);
            const int exponent = row_exponent(row, x.cols());
            const RowScale scaled(exponent);
            double sum[4] = {};
            for (Index j = 0; j < x.cols(); ++j) {
                const double value = scaled(static_cast<double>(row[j]));
                sum[j % 4] += value * value;
            }
            const double square = (sum[0] + sum[1]) + (sum[2] + sum[3]);
            const auto at = static_cast<std::size_t>(i);
            exponent_[at] = exponent;
            squared_norm_[at] = square;
            norm_[at] = square == 0 ? 1 : std::sqrt(square);
            mean_square_[at] = std::ldexp(square / static_cast<double>(x.cols()), 2 * exponent);
        }
    }

    /// Rows [first, first + count), scaled, into `values` (count x inputs).
    template <class Real>
    LimitSamples pack(ConstMatrixView<Real> x, Index first, Index count, double* values) const {
        for (Index i = 0; i < count; ++i) {
            const Real* row = row_of(x, first + i);
            const RowScale scaled(exponent_[static_cast<std::size_t>(first + i)]);
            for (Index j = 0; j < inputs_; ++j) values[i * inputs_ + j] = scaled(static_cast<double>(row[j]));
        }
        return {count,
                inputs_,
                values,
                norm_.data() + first,
                squared_norm_.data() + first,
                mean_square_.data() + first,
                exponent_.data() + first};
    }

    double mean_square(Index i) const { return mean_square_[static_cast<std::size_t>(i)]; }
    double squared_norm(Index i) const { return squared_norm_[static_cast<std::size_t>(i)]; }  ///< of the scaled row
    bool zero(Index i) const { return squared_norm_[static_cast<std::size_t>(i)] == 0; }

private:
    template <class Real>
    static std::size_t size(ConstMatrixView<Real> x) {
        return static_cast<std::size_t>(x.rows());
    }

    Index inputs_;
    std::vector<double> norm_, squared_norm_, mean_square_;
    std::vector<int> exponent_;
};

}  // namespace ntk

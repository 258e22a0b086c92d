#pragma once

/// \file moments.hpp
/// Moments of many values of each of a row of quantities, gathered in batches and merged without cancellation (Chan, Golub & LeVeque 1979;
/// Pebay 2008, SAND2008-6212), and the law of single quantities as a histogram from which quantiles follow.

#include <ntkcuda/matrix.hpp>

#include <cstdint>
#include <map>
#include <vector>

namespace ntk {

/// What N independent values say about their law. Standard errors are asymptotic and take the sample's own moments for the law's, so they
/// are worth something only where `effective2` and `effective4` are large.
struct Statistics {
    Index count = 0;
    double mean = 0, mean_error = 0;
    double variance = 0, variance_error = 0;            ///< unbiased; 0 with one value
    double second_moment = 0, second_moment_error = 0;  ///< E x^2
    double skewness = 0;                                ///< m3 / m2^{3/2}; NaN where m2 = 0
    double kurtosis = 0;                                ///< m4 / m2^2: 3 for a Gaussian; NaN where m2 = 0
    double min = 0, max = 0;
    /// sum d^2 / max d^2 and sum d^4 / max d^4 of d = x - mean: about how many values the variance, and the fourth moment, rest on; with
    /// them the standard errors of the mean, and of the variance and second moment. Below `heavy_tail_values` it is a matter of luck which
    /// rare values were met, and estimates come out too small. N where nothing varies.
    double effective2 = 0, effective4 = 0;
};

/// How many values an estimate has to rest on to be worth something.
inline constexpr double heavy_tail_values = 30;

/// Moments of `columns` quantities.
class Moments {
public:
    Moments() = default;
    explicit Moments(Index columns) : values_(6, columns) {}
    /// As values() gave them. Throws Error(shape_mismatch) unless they have 6 rows.
    Moments(Index count, HostMatrix<double> values);

    [[nodiscard]] Index count() const { return count_; }
    [[nodiscard]] Index columns() const { return values_.cols(); }
    /// Row by row: mean, sums of the 2nd, 3rd and 4th powers of x - mean, smallest, largest (Backend::column_moments).
    [[nodiscard]] const HostMatrix<double>& values() const { return values_; }

    /// Adds `count` more values of each quantity, whose moments these are (6 x columns). O(columns).
    void merge(Index count, const HostMatrix<double>& batch);
    [[nodiscard]] Statistics at(Index column) const;

private:
    Index count_ = 0;
    HostMatrix<double> values_;
};

/// A histogram over bins of equal relative width 2^-10, one sign and power of two after the other, so that histograms of any ranges merge.
/// Zero has a bin of its own.
class ValueHistogram {
public:
    /// Throws Error(invalid_argument) for a value that is not finite.
    void add(const std::vector<double>& values);
    void add_bin(std::int32_t bin, std::uint64_t count);

    [[nodiscard]] std::uint64_t count() const { return count_; }
    /// Values in each bin that has any, in the order of the values.
    [[nodiscard]] const std::map<std::int32_t, std::uint64_t>& bins() const { return bins_; }
    /// Where a bin begins; it ends where the next one (bin + 1) begins.
    [[nodiscard]] static double lower_edge(std::int32_t bin);

    /// The value below which the share p of all values lies, linear within a bin; exact to the width of a bin. Throws
    /// Error(invalid_argument) unless 0 < p < 1 and there are values.
    [[nodiscard]] double quantile(double p) const;
    /// The standard error of that quantile of the law: half the distance of the quantiles at p -+ sqrt(p (1 - p) / N); infinite where these
    /// are not inside (0, 1).
    [[nodiscard]] double quantile_error(double p) const;

private:
    std::map<std::int32_t, std::uint64_t> bins_;
    std::uint64_t count_ = 0;
};

}  // namespace ntk

#pragma once

// The statistics of compare.hpp, apart from how the numbers came about.

#include <ntkcuda/compare.hpp>

namespace ntk {

/// A squared size and the standard error of its estimate.
struct SquaredEstimate {
    double value = 0, standard_error = 0;
};
struct ErrorSplit {
    SquaredEstimate bias, fluctuation;
};

/// bias^2 and fluctuation^2 of vectors E_s of one length, one for each of S >= 3 networks.
[[nodiscard]] ErrorSplit split_error(const std::vector<std::vector<float>>& errors);

/// Of at least two values.
[[nodiscard]] Spread spread(const std::vector<double>& values);

/// All of one kernel block of one cell.
[[nodiscard]] KernelError summarize(const std::vector<double>& relative, const std::vector<double>& largest,
                                    const std::vector<std::vector<float>>& samples);

/// The relative variance of the diagonal (compare.hpp) from the records of one cell. `known_mean`: r has mean 1 exactly.
[[nodiscard]] SquaredEstimate diagonal_variance(const std::vector<NetworkRecord>& records, bool known_mean);

/// A point of a log-log line: width and an error with its standard error.
struct SlopePoint {
    double width, error, standard_error;
};

/// Unset with fewer than two points of positive error.
[[nodiscard]] std::optional<Slope> fit_slope(const std::vector<SlopePoint>& points);

}  // namespace ntk

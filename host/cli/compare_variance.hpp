#pragma once

// The relative variance on the diagonal of a sweep's kernels beside its exact value: a table and a figure.

#include "report.hpp"

#include <ntkcuda/compare.hpp>

namespace ntk::cli {

/// Whether there is an exact value that no Monte Carlo estimate of this cell can be held against.
[[nodiscard]] bool heavy_tailed(const CompareCell& cell);

[[nodiscard]] std::string variance_caption(const CompareResult& result);
[[nodiscard]] Rows variance_table(const CompareResult& result);

/// gnuplot blocks: for each width its points ((L-1)/width, variance, lower and upper end of the error bar); then, where there is an exact
/// value, for each width the exact curve, and last the limit of width -> infinity at fixed lambda.
[[nodiscard]] std::string variance_data(const CompareResult& result, const Architecture& base);
[[nodiscard]] std::string variance_script(const CompareResult& result, const Architecture& base);

}  // namespace ntk::cli

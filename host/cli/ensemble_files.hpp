#pragma once

// What an ensemble looks like in files, tables and figures.

#include "report.hpp"

#include <ntkcuda/ensemble.hpp>

namespace ntk::cli {

/// One ensemble with everything that is told about it.
struct EnsembleReport {
    const EnsembleOptions& options;
    const Ensemble& ensemble;
    const EnsembleLimit& limit;
    std::vector<Comparison> comparisons;
    Verdict verdict;
};

/// Writes arrays and tables into `directory`, which exists; returns the names of the files.
[[nodiscard]] std::vector<std::string> write_ensemble(const EnsembleReport& report, const std::string& directory);

/// The first entries, and what theory says about them.
[[nodiscard]] Rows entries_table(const EnsembleReport& report);
[[nodiscard]] Rows comparisons_table(const EnsembleReport& report);
[[nodiscard]] Json verdict_json(const Verdict& verdict);

/// How much the first diagonal entry of Theta fluctuates: its variance over its squared mean as measured, exactly at these widths, and in
/// the limit of large widths at the same depth_over_width().
struct DiagonalVariance {
    double lambda, measured, error, exact, limit;
    bool heavy_tail;
};
/// Unset where there is no exact theory, no hidden layer, or nothing but zeros in the first sample.
[[nodiscard]] std::optional<DiagonalVariance> diagonal_variance(const Ensemble& ensemble);
[[nodiscard]] Rows verdict_table(const Verdict& verdict, const std::optional<DiagonalVariance>& variance);
[[nodiscard]] Json diagonal_variance_json(const std::optional<DiagonalVariance>& variance);

/// The densities of the binned entries, each relative to its mean.
void add_law_figure(Report& report, const EnsembleReport& ensemble);

}  // namespace ntk::cli

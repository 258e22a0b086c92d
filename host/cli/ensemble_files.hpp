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
[[nodiscard]] std::string verdict_line(const Verdict& verdict);
[[nodiscard]] Json verdict_json(const Verdict& verdict);

/// The densities of the binned entries, each relative to its mean.
void add_law_figure(Report& report, const EnsembleReport& ensemble);

}  // namespace ntk::cli

#pragma once

// How deep is deep over a grid of weight and bias std: table, how_deep.csv, phase diagram.

#include "report.hpp"

#include <ntkcuda/how_deep.hpp>

namespace CLI {
class App;
}

namespace ntk::cli {

struct DepthGridArguments {
    std::string weight_stds, bias_stds;  ///< empty: no grid
    Index deepest = 100000;

    [[nodiscard]] bool given() const { return !weight_stds.empty() || !bias_stds.empty(); }
};

/// The cells, row by row of bias std.
struct DepthGrid {
    std::vector<double> weight_stds, bias_stds;
    std::vector<KernelFamily> families;
};

void add_depth_grid_options(CLI::App& command, DepthGridArguments& arguments);

/// FROM:TO:COUNT, or values separated by commas, each a number or sqrt(number); ascending. Throws Error(invalid_argument) naming `option`.
[[nodiscard]] std::vector<double> parse_grid(const std::string& option, const std::string& text);

/// `family` with every pair of stds; biases: none, fixed, trained or empty as for --biases. Throws Error(invalid_argument).
[[nodiscard]] DepthGrid make_depth_grid(const DepthGridArguments& arguments, const KernelFamily& family, const std::string& biases);

/// Follows every cell on the samples' angles, shared among the ranks. Throws Error(invalid_argument) for samples of unequal norms.
[[nodiscard]] std::vector<HowDeep> follow_depth_grid(Run& run, const DepthGrid& grid, Index deepest, const HostMatrix<double>& samples,
                                                     double mean_square);
/// Adds tables, figures and how_deep.csv.
void add_depth_grid(Report& report, const DepthGrid& grid, const std::vector<HowDeep>& cells, Index deepest, double mean_square);

}  // namespace ntk::cli

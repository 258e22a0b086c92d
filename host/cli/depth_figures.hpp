#pragma once

// The figures of the depth study.

#include "report.hpp"

#include <ntkcuda/depth_limit.hpp>

namespace ntk::cli {

/// Where the study is predicted to go, for the lines drawn beside what is measured.
struct PredictedCurve {
    std::string title;                              ///< empty: no line
    std::vector<std::pair<double, double>> points;  ///< depth, distance
};

/// Entries of K, of k and of u, distances and spectrum, each against depth.
void add_depth_figures(Report& report, const DepthResult& result, const DepthOptions& options, const PredictedCurve& predicted);

}  // namespace ntk::cli

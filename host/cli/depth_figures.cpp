#include "depth_figures.hpp"

#include <fmt/format.h>

#include <cmath>

namespace ntk::cli {
namespace {

/// Distances below this are left out of the figure: an exponential decay would press everything else into a corner.
constexpr double least_drawn = 1e-40;

std::string number(double x) { return std::isfinite(x) ? fmt::format("{}", x) : "NaN"; }

/// One line a depth: the depth, then the values.
template <class Values>
std::string columns(const DepthResult& result, const std::string& header, const Values& values) {
    std::string text = "# depth " + header + "\n";
    for (const DepthPoint& point : result.points) {
        text += std::to_string(point.depth);
        for (const double v : values(point)) text += " " + number(v);
        text += "\n";
    }
    return text;
}

std::string curve(std::size_t column, const std::string& title) {
    return fmt::format("data using 1:{} with linespoints linewidth 2 linecolor {} pointtype {} title '{}'", column, column - 1,
                       2 * column - 1, title);
}

std::string level_line(double value, const std::string& title) {
    return fmt::format("{} with lines dashtype 2 linewidth 2 linecolor 'black' title '{}'", value, title);
}

std::string joined(const std::vector<std::string>& curves) {
    std::string text;
    for (const auto& c : curves) text += (text.empty() ? "plot " : ", ") + c;
    return text;
}

const char* kernel_symbol(const DepthOptions& options) { return options.family.kernel == InfiniteKernel::ntk ? "NTK" : "NNGP"; }

constexpr const char* against_depth = "set logscale x\nset format x '10^{%T}'\nset xlabel 'depth L'\nset key outside right\nset grid\n";

void add_entries(Report& report, const DepthResult& result, const DepthOptions& options) {
    const auto entries = [&](const std::string& name, const std::string& caption, const std::string& label,
                             const std::vector<Index>& traced, auto member, const std::string& of) {
        if (traced.empty()) return;
        std::vector<std::string> curves;
        for (std::size_t k = 0; k < traced.size(); ++k) curves.push_back(curve(k + 2, fmt::format("{}, {}", of, traced[k] + 1)));
        if (options.off_diagonal_limit) curves.push_back(level_line(*options.off_diagonal_limit, "predicted limit"));
        report.add_figure(caption, name, columns(result, of, [&](const DepthPoint& p) { return p.*member; }),
                          against_depth + fmt::format("set ylabel '{}'\n", label) + joined(curves));
    };
    entries("kernel", "Entries of the normalised kernel against depth", fmt::format("K, {} over its diagonal", kernel_symbol(options)),
            result.traced_train, &DepthPoint::traced_kernel, "training samples 1");
    entries("cross", "Entries of the cross kernel of the first test sample against depth", "k(x)", result.traced_test,
            &DepthPoint::traced_cross, "test 1, training");
}

void add_weights(Report& report, const DepthResult& result) {
    if (result.traced_test.empty()) return;
    std::vector<std::string> curves;
    for (std::size_t k = 0; k < result.traced_test.size(); ++k)
        curves.push_back(curve(k + 2, fmt::format("u, training sample {}", result.traced_test[k] + 1)));
    for (std::size_t k = 0; k < result.traced_limit.size(); ++k)
        if (std::isfinite(result.traced_limit[k]) && (k == 0 || result.traced_limit[k] != result.traced_limit[0]))
            curves.push_back(level_line(result.traced_limit[k], k == 0 ? "limit" : ""));
    report.add_figure("Closed-form weights u of the first test sample against depth", "weights",
                      columns(result, "u of the first test sample", [](const DepthPoint& p) { return p.traced_weight; }),
                      against_depth + std::string("set ylabel 'u(x) = K^{-1} k(x)'\n") + joined(curves));
}

void add_distances(Report& report, const DepthResult& result, const DepthOptions& options, const PredictedCurve& predicted) {
    const bool ones = options.off_diagonal_limit == 1.0;
    const auto drawn = [](double x) { return x > least_drawn ? x : NAN; };
    std::string data = columns(result, "ones limit identity u", [&](const DepthPoint& p) {
        return std::vector<double>{drawn(p.dist_ones_max), drawn(p.dist_limit_max), drawn(p.dist_identity_max), drawn(p.u_dist_limit)};
    });
    std::vector<std::string> curves{curve(2, "K to the matrix of ones")};
    if (options.off_diagonal_limit && !ones && *options.off_diagonal_limit != 0) curves.push_back(curve(3, "K to the predicted limit"));
    curves.push_back(curve(4, "K to the identity"));
    if (!result.traced_test.empty())
        curves.push_back(curve(
            5, result.weight_limit == WeightLimit::deepest ? "u to that of the deepest level (relative)" : "u to its limit (relative)"));
    if (!predicted.title.empty()) {
        data += "\n\n# predicted\n";
        for (const auto& [depth, distance] : predicted.points) data += fmt::format("{} {}\n", depth, number(drawn(distance)));
        for (auto& c : curves) c.replace(0, 4, "data index 0");
        curves.push_back(
            fmt::format("data index 1 using 1:2 with lines dashtype 2 linewidth 2 linecolor 'black' title '{}'", predicted.title));
    }
    report.add_figure("Distances against depth (largest entry for K, relative norm for u)", "distances", data,
                      against_depth +
                          std::string("set logscale y\nset format y '10^{%T}'\nset ylabel 'distance'\nset key bottom left inside\n") +
                          joined(curves));
}

void add_spectrum(Report& report, const DepthResult& result) {
    const bool whole = !result.points.front().log10_spectrum.empty();
    const auto quantile = [](const std::vector<double>& sorted, double q) {
        return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
    };
    std::vector<std::string> curves{curve(2, "largest"), curve(3, "smallest")};
    if (whole)
        for (std::size_t k = 0; k < 4; ++k) curves.push_back(curve(4 + k, (const char*[]){"second largest", "75 %", "median", "25 %"}[k]));
    report.add_figure("Spectrum of the normalised kernel against depth", "spectrum",
                      columns(result, "log10 of largest, smallest (second, quantiles)",
                              [&](const DepthPoint& p) {
                                  std::vector<double> values{p.log10_lambda_max, p.log10_lambda_min};
                                  const auto& s = p.log10_spectrum;
                                  if (whole) {
                                      values.push_back(s.size() > 1 ? s[s.size() - 2] : NAN);
                                      for (const double q : {0.75, 0.5, 0.25}) values.push_back(quantile(s, q));
                                  }
                                  for (double& v : values)
                                      if (v < std::log10(least_drawn)) v = NAN;
                                  return values;
                              }),
                      against_depth + std::string("set ylabel 'log_{10} eigenvalue'\n") + joined(curves));
}

}  // namespace

void add_depth_figures(Report& report, const DepthResult& result, const DepthOptions& options, const PredictedCurve& predicted) {
    add_entries(report, result, options);
    add_weights(report, result);
    add_distances(report, result, options, predicted);
    add_spectrum(report, result);
}

}  // namespace ntk::cli

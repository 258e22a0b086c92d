#include "compare_variance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace ntk::cli {
namespace {

/// With fewer the standard error is often too small, in step with a variance that came out too small.
constexpr std::size_t trusted_networks = 200;

/// Ascending and each once.
std::vector<Index> widths_of(const CompareResult& result) {
    std::set<Index> widths;
    for (const auto& cell : result.cells) widths.insert(cell.width);
    return {widths.begin(), widths.end()};
}

/// Numbers from `first` to `last` evenly on a logarithmic axis.
std::vector<double> logarithmic_grid(double first, double last) {
    constexpr int steps = 60;
    std::vector<double> grid;
    for (int i = 0; i <= steps; ++i) grid.push_back(first * std::pow(last / first, static_cast<double>(i) / steps));
    return grid;
}

/// What the axes of the variance figure hold: all points, the line at 1, and a decade above, where the exact curves may leave.
struct VarianceAxes {
    explicit VarianceAxes(const CompareResult& result) {
        for (const auto& cell : result.cells) {
            left = std::min(left, cell.lambda());
            right = std::max(right, cell.lambda());
            top = std::max(top, cell.diagonal_variance + cell.diagonal_variance_error);
            if (cell.diagonal_variance > 0) bottom = std::min(bottom, cell.diagonal_variance);
        }
        left *= 0.8;
        right *= 1.25;
        bottom *= 0.3;
        top *= 10;
    }
    double left = std::numeric_limits<double>::infinity(), right = 0, bottom = 1, top = 1;
};

}  // namespace

bool heavy_tailed(const CompareCell& cell) { return cell.diagonal_variance_exact && cell.lambda() > heavy_tail_lambda; }

std::string variance_caption(const CompareResult& result) {
    std::string caption = "Relative variance on the diagonal of the training kernel";
    const bool any_z = std::any_of(result.cells.begin(), result.cells.end(), [](const CompareCell& cell) { return cell.diagonal_z(); });
    if (any_z && result.networks.size() < result.cells.size() * trusted_networks)
        caption += fmt::format(" (z leans to negative values with fewer than {} networks)", trusted_networks);
    return caption;
}

Rows variance_table(const CompareResult& result) {
    Rows rows{{"depth", "width", "(L-1)/width", "measured", "exact", "z"}};
    for (const auto& cell : result.cells) {
        const auto exact = cell.diagonal_variance_exact, z = cell.diagonal_z();
        rows.push_back({std::to_string(cell.depth), std::to_string(cell.width), fmt::format("{:.3g}", cell.lambda()),
                        with_error(cell.diagonal_variance, cell.diagonal_variance_error), exact ? fmt::format("{:.4g}", *exact) : "-",
                        heavy_tailed(cell) ? "heavy tail"
                        : z                ? fmt::format("{:+.1f}", *z)
                                           : "-"});
    }
    return rows;
}

std::string variance_data(const CompareResult& result, const Architecture& base) {
    const VarianceAxes axes(result);
    const bool exact = has_exact_moments(base);
    std::string points, curves;
    for (const Index width : widths_of(result)) {
        points += fmt::format("# width {}: lambda variance low high\n", width);
        double deepest = 0;
        for (const auto& cell : result.cells) {
            if (cell.width != width) continue;
            const double value = cell.diagonal_variance, error = cell.diagonal_variance_error;
            // An error bar down to 0 or below ends at the bottom of a logarithmic axis.
            points += fmt::format("{} {} {} {}\n", cell.lambda(), value, value > error ? value - error : axes.bottom, value + error);
            deepest = std::max(deepest, static_cast<double>(cell.depth - 1));
        }
        points += "\n\n";
        if (!exact) continue;
        curves += fmt::format("# width {}: lambda exact\n", width);
        std::set<Index> layers;
        for (const double l : logarithmic_grid(1, deepest)) layers.insert(std::lround(l));
        for (const Index hidden : layers) {
            Architecture architecture = base;
            architecture.hidden.assign(static_cast<std::size_t>(hidden), width);
            curves += fmt::format("{} {}\n", static_cast<double>(hidden) / static_cast<double>(width),
                                  diagonal_moments(architecture).variance(base.outputs));
        }
        curves += "\n\n";
    }
    if (!exact) return points;
    curves += "# width -> infinity: lambda variance\n";
    for (const double lambda : logarithmic_grid(axes.left, axes.right))
        curves += fmt::format("{} {}\n", lambda, depth_width_moments(lambda).variance(base.outputs));
    return points + curves;
}

std::string variance_script(const CompareResult& result, const Architecture& base) {
    const VarianceAxes axes(result);
    const std::vector<Index> widths = widths_of(result);
    const bool exact = has_exact_moments(base);
    std::string script = fmt::format(
        "set logscale xy\nset format y '10^{{%T}}'\nset xlabel '(L - 1) / width'\nset ylabel 'variance / mean^2'\nset key outside right\n"
        "set grid\nset title \"Relative variance on the diagonal of the kernel{}\"\nset xrange [{}:{}]\nset yrange [{}:{}]\n"
        "set arrow from graph 0, first 1 to graph 1, first 1 nohead linewidth 2 linecolor 'black'\n"
        "set label 'fluctuation > mean' at graph 0.02, first 1 offset 0,0.6 left\n",
        exact ? "" : "\\n(no exact values: these are for ReLU without bias, param ntk)", axes.left, axes.right, axes.bottom, axes.top);
    if (exact && axes.right > heavy_tail_lambda && axes.left < heavy_tail_lambda)
        script += fmt::format(
            "set arrow from first {0}, graph 0 to first {0}, graph 1 nohead dashtype 3 linecolor 'black'\n"
            "set label 'heavy tails' at first {0}, graph 0.04 offset 1,0 left\n",
            heavy_tail_lambda);
    script += "plot ";
    for (std::size_t i = 0; i < widths.size(); ++i) {
        script += fmt::format(
            "{}data index {} using 1:2:3:4 with yerrorbars linewidth 2 linecolor {} pointtype {} pointsize 1.5 title 'width {}'",
            i == 0 ? "" : ", ", i, i + 1, 2 * i + 5, widths[i]);
        if (exact)
            script += fmt::format(", data index {} using 1:2 with lines linewidth 2 linecolor {} dashtype {} title 'exact, {}'",
                                  widths.size() + i, i + 1, i + 2, widths[i]);
    }
    if (exact)
        script +=
            fmt::format(", data index {} using 1:2 with lines linewidth 3 linecolor 'black' title 'width -> infinity'", 2 * widths.size());
    return script;
}

}  // namespace ntk::cli

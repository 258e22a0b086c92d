#include "depth_grid.hpp"

#include "value_list.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/depth_limit.hpp>
#include <ntkcuda/error.hpp>

#include <CLI/App.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace ntk::cli {
namespace {

/// Angles that stand for all pairs, and the samples whose pairs decide the smallest and the largest.
constexpr Index angles = 17, samples_for_angles = 2000;
constexpr Index most_cells = 10000;
/// Depth of the figure of depths: the first at which |K - limit| is below 10^-figure_decade.
constexpr std::size_t figure_decade = 2;
/// Decades of the tables for people; how_deep.csv has all.
constexpr std::size_t table_decades[] = {1, 2, 3, 6};
/// Values are written into the cells of a figure up to this many of them.
constexpr std::size_t labelled_cells = 160;

struct Distance {
    const char *column, *name;
    FirstDepths HowDeep::*depths;
};
constexpr Distance distances[] = {{"ones", "the matrix of ones", &HowDeep::ones},
                                  {"limit", "the predicted limit", &HowDeep::to_limit},
                                  {"identity", "the identity", &HowDeep::identity}};

Error bad(const std::string& option, const std::string& text, const std::string& why) {
    return {
        ErrorCode::invalid_argument,
        fmt::format("{} '{}': {}; expected FROM:TO:COUNT such as 0.5:2.5:9, or ascending values such as 1,sqrt(2),2", option, text, why)};
}

std::string or_empty(const std::optional<Index>& depth) { return depth ? std::to_string(*depth) : ""; }

std::string how_deep_csv(const DepthGrid& grid, const std::vector<HowDeep>& cells) {
    std::string text = "w_std,b_std,regime,chi,predicted_limit,measured_depth,offdiag_min,offdiag_mean,offdiag_max";
    for (const Distance& d : distances)
        for (int k = 1; k <= how_deep_decades; ++k) text += fmt::format(",{}_1e-{}", d.column, k);
    text += "\n";
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const HowDeep& c = cells[i];
        text +=
            fmt::format("{},{},{},{},{},{},{},{},{}", grid.families[i].weight_std, grid.families[i].bias_std, to_string(c.regime.regime),
                        c.regime.chi, c.limit ? fmt::format("{}", *c.limit) : "", c.depth, c.offdiag_min, c.offdiag_mean, c.offdiag_max);
        for (const Distance& d : distances)
            for (const auto& depth : c.*d.depths) text += fmt::format(",{}", or_empty(depth));
        text += "\n";
    }
    return text;
}

/// Rows of weight std, columns of bias std.
template <class Text>
Rows grid_table(const DepthGrid& grid, const std::vector<HowDeep>& cells, const Text& text) {
    Rows rows{{"sigma_w \\ sigma_b"}};
    for (const double b : grid.bias_stds) rows[0].push_back(fmt::format("{:.6g}", b));
    for (std::size_t w = 0; w < grid.weight_stds.size(); ++w) {
        rows.push_back({fmt::format("{:.6g}", grid.weight_stds[w])});
        for (std::size_t b = 0; b < grid.bias_stds.size(); ++b) rows.back().push_back(text(cells[b * grid.weight_stds.size() + w]));
    }
    return rows;
}

void add_tables(Report& report, const DepthGrid& grid, const std::vector<HowDeep>& cells) {
    report.add_table("Regime over weight and bias std",
                     grid_table(grid, cells, [](const HowDeep& c) { return to_string(c.regime.regime); }));
    report.add_table("Off-diagonal K: predicted limit, and smallest .. largest measured", grid_table(grid, cells, [](const HowDeep& c) {
                         return fmt::format("{}: {:.4f} .. {:.4f}", c.limit ? fmt::format("{:.4f}", *c.limit) : "-", c.offdiag_min,
                                            c.offdiag_max);
                     }));
    std::string tolerances;
    for (const std::size_t k : table_decades) tolerances += fmt::format("{}1e-{}", tolerances.empty() ? "" : ", ", k);
    for (const Distance& d : distances)
        report.add_table(fmt::format("How deep is deep: the first depth at which K is everywhere within {} of {}", tolerances, d.name),
                         grid_table(grid, cells, [&](const HowDeep& c) {
                             std::string text;
                             for (const std::size_t k : table_decades) {
                                 const auto& depth = (c.*d.depths)[k - 1];
                                 text += fmt::format("{}{}", text.empty() ? "" : ", ", depth ? std::to_string(*depth) : "-");
                             }
                             return text;
                         }));
}

/// The mean of K off the diagonal where one number stands for all pairs.
std::optional<double> alike(const HowDeep& c) { return c.offdiag_max - c.offdiag_min < 0.1 ? std::optional(c.offdiag_mean) : std::nullopt; }

/// Edges of the cells: half way between neighbours, and as far beyond the first and the last.
std::vector<double> edges(const std::vector<double>& values) {
    if (values.size() == 1) return {values[0] - 0.5, values[0] + 0.5};
    std::vector<double> result;
    for (std::size_t i = 0; i + 1 < values.size(); ++i) result.push_back((values[i] + values[i + 1]) / 2);
    result.insert(result.begin(), 2 * values.front() - result.front());
    result.push_back(2 * values.back() - result.back());
    return result;
}

/// The curve chi = 1 inside the grid, by bisection in the weight std: "w b" a line.
std::string critical_line(const DepthGrid& grid, double mean_square) {
    constexpr int steps = 48, halvings = 40;
    const auto ws = edges(grid.weight_stds), bs = edges(grid.bias_stds);
    std::string text;
    for (int k = 0; k <= steps; ++k) {
        const double b = bs.back() * std::max(k / static_cast<double>(steps), 1e-3);
        const auto ordered = [&](double w) {
            KernelFamily family = grid.families.front();
            family.weight_std = w;
            family.bias_std = b;
            return analyze_regime(family, mean_square).chi < 1;
        };
        double low = std::max(ws.front(), 1e-3 * ws.back()), high = ws.back();
        if (!(b >= bs.front()) || !ordered(low) || ordered(high)) continue;
        for (int i = 0; i < halvings; ++i) (ordered((low + high) / 2) ? low : high) = (low + high) / 2;
        text += fmt::format("{} {}\n", low, b);
    }
    return text.empty() ? "NaN NaN\n" : text;
}

/// One block of a heat map: w b left right bottom top value "label", a line for each cell that has a value.
template <class Value>
std::string map_block(const DepthGrid& grid, const std::vector<HowDeep>& cells, const char* form, const Value& value) {
    const auto ws = edges(grid.weight_stds), bs = edges(grid.bias_stds);
    std::string text;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const std::size_t w = i % grid.weight_stds.size(), b = i / grid.weight_stds.size();
        if (const std::optional<double> shown = value(cells[i]))
            text += fmt::format("{} {} {} {} {} {} {} \"{}\"\n", grid.weight_stds[w], grid.bias_stds[b], ws[w], ws[w + 1], bs[b], bs[b + 1],
                                *shown, fmt::format(fmt::runtime(form), *shown));
    }
    return (text.empty() ? "NaN NaN NaN NaN NaN NaN NaN \"\"\n" : text) + "\n\n";  // gnuplot counts blocks that have a line
}

/// Commands that draw block `index`; the line is the block after the last.
std::string draw_map(std::size_t index, std::size_t line, bool labels, const std::string& title) {
    std::string text = fmt::format(
        "set title '{}'\nplot data index {} using 1:2:3:4:5:6:7 with boxxyerror linecolor palette fillstyle solid noborder notitle, "
        "data index {} using 1:2 with lines linewidth 2 linecolor 'red' notitle",
        title, index, line);
    if (labels) text += fmt::format(", data index {} using 1:2:8 with labels font ',12' textcolor 'black' notitle", index);
    return text + "\n";
}

void add_figures(Report& report, const DepthGrid& grid, const std::vector<HowDeep>& cells, Index deepest, double mean_square) {
    const auto ws = edges(grid.weight_stds), bs = edges(grid.bias_stds);
    const bool labels = cells.size() <= labelled_cells;
    const std::string axes = fmt::format(
        "set xrange [{}:{}]\nset yrange [{}:{}]\nset xlabel 'weight std {{/Symbol s}}_w'\nset ylabel 'bias std {{/Symbol s}}_b'\n"
        "set object 1 rectangle from graph 0,0 to graph 1,1 behind fillcolor 'grey' fillstyle solid noborder\n"
        "set palette defined (0 '#deebf7', 0.5 '#9ecae1', 1 '#4292c6')\nset tics out nomirror\n",
        ws.front(), ws.back(), bs.front(), bs.back());
    const std::string line = critical_line(grid, mean_square);

    report.add_figure(
        "Phase diagram: K off the diagonal, predicted and measured (mean over angles; grey: differs between pairs); chi = 1 in "
        "red",
        "phase",
        map_block(grid, cells, "{:.2f}", [](const HowDeep& c) { return c.limit; }) +
            map_block(grid, cells, "{:.2f}", [](const HowDeep& c) { return alike(c); }) + line,
        axes + "set cbrange [0:1]\nset multiplot\nunset colorbox\nset origin 0,0\nset size 0.5,1\n" +
            draw_map(0, 2, labels, "predicted limit of K") + "set origin 0.5,0\n" +
            draw_map(1, 2, labels, fmt::format("measured, to depth {}", deepest)) + "unset multiplot\n");

    report.add_figure(
        fmt::format(
            "How deep is deep: the first depth at which |K - limit| < 1e-{} everywhere (grey: not by depth {}, or no limit); chi = 1 "
            "in red",
            figure_decade, deepest),
        "how_deep",
        map_block(grid, cells, "{:.0f}",
                  [](const HowDeep& c) -> std::optional<double> {
                      const auto& depth = c.to_limit[figure_decade - 1];
                      return depth ? std::optional(static_cast<double>(*depth)) : std::nullopt;
                  }) +
            line,
        axes + fmt::format("set logscale cb\nset format cb '10^{{%T}}'\nset cbrange [1:{}]\n", deepest) +
            draw_map(0, 1, labels,
                     fmt::format("first depth with |K - limit| < 10^{{-{}}} (grey: none by depth {})", figure_decade, deepest)));
}

}  // namespace

void add_depth_grid_options(CLI::App& command, DepthGridArguments& a) {
    const auto group = "Grid";
    command.add_option("--grid-w-std", a.weight_stds, "how deep is deep for these weight stds: FROM:TO:COUNT or 1,sqrt(2),2")->group(group);
    command.add_option("--grid-b-std", a.bias_stds, "and these bias stds")->group(group);
    command.add_option("--grid-depth", a.deepest, "deepest layer looked at")->capture_default_str()->group(group);
}

std::vector<double> parse_grid(const std::string& option, const std::string& text) {
    const auto number = [&](const std::string& item) {
        const bool root = item.size() > 6 && item.rfind("sqrt(", 0) == 0 && item.back() == ')';
        const std::string digits = root ? item.substr(5, item.size() - 6) : item;
        double value = 0;
        const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        if (error != std::errc{} || stop != digits.data() + digits.size() || !std::isfinite(value) || value < 0)
            throw bad(option, text, fmt::format("'{}' is not a finite number >= 0", item));
        return root ? std::sqrt(value) : value;
    };
    std::vector<double> values;
    if (text.find(':') != std::string::npos) {
        const auto parts = fields(text, ':');
        if (parts.size() != 3) throw bad(option, text, "a range has three parts");
        const double from = number(parts[0]), to = number(parts[1]), count = number(parts[2]);
        if (count != std::rint(count) || count < 2 || count > static_cast<double>(most_cells))
            throw bad(option, text, fmt::format("the count '{}' is not a whole number from 2 to {}", parts[2], most_cells));
        for (Index k = 0; k < static_cast<Index>(count); ++k) values.push_back(from + (to - from) * static_cast<double>(k) / (count - 1));
    } else {
        for (const std::string& item : fields(text, ',')) values.push_back(number(item));
    }
    if (values.empty()) throw bad(option, text, "no value is given");
    if (std::adjacent_find(values.begin(), values.end(), std::greater_equal<>()) != values.end())
        throw bad(option, text, "the values do not ascend");
    return values;
}

DepthGrid make_depth_grid(const DepthGridArguments& a, const KernelFamily& family, const std::string& biases) {
    if (a.weight_stds.empty() || a.bias_stds.empty())
        throw Error(ErrorCode::invalid_argument, "--grid-w-std and --grid-b-std make a grid together: give both, or neither");
    if (a.deepest < 1) throw Error(ErrorCode::invalid_argument, fmt::format("--grid-depth {}: expected at least 1", a.deepest));
    DepthGrid grid{parse_grid("--grid-w-std", a.weight_stds), parse_grid("--grid-b-std", a.bias_stds), {}};
    if (grid.weight_stds.front() == 0) throw bad("--grid-w-std", a.weight_stds, "a weight std is > 0");
    if (static_cast<Index>(grid.weight_stds.size() * grid.bias_stds.size()) > most_cells)
        throw Error(ErrorCode::invalid_argument, fmt::format("--grid-w-std and --grid-b-std make {} cells: at most {}",
                                                             grid.weight_stds.size() * grid.bias_stds.size(), most_cells));
    if (biases == "none" && grid.bias_stds.back() > 0)
        throw Error(ErrorCode::invalid_argument, "--biases none contradicts a --grid-b-std > 0");
    for (const double b : grid.bias_stds)
        for (const double w : grid.weight_stds) {
            grid.families.push_back(family);
            grid.families.back().weight_std = w;
            grid.families.back().bias_std = b;
            grid.families.back().trained_biases = biases != "fixed";
        }
    return grid;
}

std::vector<HowDeep> follow_depth_grid(Run& run, const DepthGrid& grid, Index deepest, const HostMatrix<double>& samples,
                                       double mean_square) {
    if (!angle_alone(grid.families.back(), samples, samples))
        throw Error(ErrorCode::invalid_argument,
                    "--grid-w-std and --grid-b-std need samples of one norm (the default --normalize sphere), or no biases");
    HostMatrix<double> first(std::min(samples.rows(), samples_for_angles), samples.cols());
    for (Index i = 0; i < first.rows(); ++i)
        for (Index j = 0; j < first.cols(); ++j) first(i, j) = samples(i, j);
    const auto tangents = spread_angles(first, angles);
    return run.timed("grid", true, [&] {
        Progress progress(run, "cells");
        return how_deep(
            grid.families, mean_square, tangents, deepest, [&](Index done, Index total) { progress(done, total); }, run.ranks());
    });
}

void add_depth_grid(Report& report, const DepthGrid& grid, const std::vector<HowDeep>& cells, Index deepest, double mean_square) {
    write_text(report.path("how_deep.csv"), how_deep_csv(grid, cells));
    add_tables(report, grid, cells);
    add_figures(report, grid, cells, deepest, mean_square);
}

}  // namespace ntk::cli

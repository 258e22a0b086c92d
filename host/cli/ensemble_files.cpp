#include "ensemble_files.hpp"

#include <ntkcuda/array_file.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

namespace ntk::cli {
namespace {

using Kernel = KernelEntry::Kernel;

/// Rows of a table for people; the rest is in the files.
constexpr std::size_t shown_rows = 12;
constexpr double probabilities[] = {0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999};

std::string cell(double x) { return std::isnan(x) ? std::string() : fmt::format("{}", x); }
std::string quoted(const std::string& name) { return "\"" + name + "\""; }  // entries hold commas

std::string entries_csv(const EnsembleReport& report) {
    std::map<std::string, const Comparison*> exact;
    for (const Comparison& comparison : report.comparisons) exact[comparison.what] = &comparison;
    std::string text =
        "entry,mean,stderr,exact,z,limit,variance,variance_stderr,second_moment,second_moment_stderr,second_moment_exact,second_moment_z,"
        "skewness,kurtosis,min,max,effective2,effective4\n";
    const auto theory = [&](const std::string& what) {
        const auto found = exact.find(what);
        return found == exact.end() ? std::string(",") : fmt::format("{},{}", found->second->exact, found->second->z());
    };
    for (const KernelEntry& entry : report.ensemble.entries()) {
        const Statistics s = report.ensemble.at(entry);
        const std::string name = to_string(entry);
        text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", quoted(name), s.mean, s.mean_error, theory("E " + name),
                            report.limit.at(report.ensemble, entry).value_or(NAN), s.variance, s.variance_error, s.second_moment,
                            s.second_moment_error, theory(fmt::format("E {}^2", name)), cell(s.skewness), cell(s.kurtosis), s.min, s.max,
                            s.effective2, s.effective4);
    }
    return text;
}

std::string theory_csv(const EnsembleReport& report) {
    std::string text = "quantity,measured,stderr,exact,z,effective,conclusive\n";
    for (const Comparison& c : report.comparisons)
        text +=
            fmt::format("{},{},{},{},{},{},{}\n", quoted(c.what), c.measured, c.error, c.exact, c.z(), c.effective, c.conclusive ? 1 : 0);
    return text;
}

std::string covariance_csv(const EnsembleReport& report) {
    std::string text = "first,second,covariance,stderr,correlation,product_mean,product_stderr\n";
    for (std::size_t i = 0; i < report.options.covariances.size(); ++i) {
        const auto& pair = report.options.covariances[i];
        const Covariance c = report.ensemble.covariance(i, pair);
        const double scale = std::sqrt(report.ensemble.at(pair.first).variance * report.ensemble.at(pair.second).variance);
        text += fmt::format("{},{},{},{},{},{},{}\n", quoted(to_string(pair.first)), quoted(to_string(pair.second)), c.value, c.error,
                            cell(c.value / scale), c.product, c.product_error);
    }
    return text;
}

std::string quantiles_csv(const EnsembleReport& report) {
    std::string text = "entry,p,quantile,stderr\n";
    for (std::size_t i = 0; i < report.options.histograms.size(); ++i)
        for (const double p : probabilities) {
            const ValueHistogram& histogram = report.ensemble.state().histograms[i];
            text += fmt::format("{},{},{},{}\n", quoted(to_string(report.options.histograms[i])), p, histogram.quantile(p),
                                histogram.quantile_error(p));
        }
    return text;
}

std::string histogram_csv(const EnsembleReport& report) {
    std::string text = "entry,from,to,count\n";
    for (std::size_t i = 0; i < report.options.histograms.size(); ++i)
        for (const auto& [bin, count] : report.ensemble.state().histograms[i].bins())
            text += fmt::format("{},{},{},{}\n", quoted(to_string(report.options.histograms[i])), ValueHistogram::lower_edge(bin),
                                ValueHistogram::lower_edge(bin + 1), count);
    return text;
}

struct NamedNumber {
    const char* name;
    double Statistics::*number;
};
constexpr NamedNumber numbers[] = {{"mean", &Statistics::mean},
                                   {"stderr", &Statistics::mean_error},
                                   {"variance", &Statistics::variance},
                                   {"skewness", &Statistics::skewness},
                                   {"kurtosis", &Statistics::kurtosis}};

}  // namespace

std::vector<std::string> write_ensemble(const EnsembleReport& report, const std::string& directory) {
    std::vector<std::string> files;
    const auto path = [&](const std::string& name) {
        files.push_back(name);
        return (std::filesystem::path(directory) / name).string();
    };
    const Ensemble& ensemble = report.ensemble;
    for (const auto& [name, number] : numbers) {
        write_npy(path(fmt::format("{}.npy", name)), ensemble.matrix(Kernel::tangent, number));
        write_npy(path(fmt::format("nngp_{}.npy", name)), ensemble.matrix(Kernel::nngp, number));
    }
    if (const Index layers = ensemble.layout().layers; layers > 0)
        for (const auto& [name, number] : numbers) {
            std::vector<double> all;
            Index rows = 0, cols = 0;
            for (Index layer = 1; layer <= layers; ++layer) {
                const HostMatrix<double> term = ensemble.matrix(Kernel::tangent, number, layer);
                all.insert(all.end(), term.data(), term.data() + term.size());
                rows = term.rows();
                cols = term.cols();
            }
            write_npy(path(fmt::format("layers_{}.npy", name)), {layers, rows, cols}, all.data());
        }
    write_text(path("ensemble.csv"), entries_csv(report));
    write_text(path("theory.csv"), theory_csv(report));
    write_text(path("covariance.csv"), covariance_csv(report));
    write_text(path("quantiles.csv"), quantiles_csv(report));
    write_text(path("histogram.csv"), histogram_csv(report));
    return files;
}

Rows entries_table(const EnsembleReport& report) {
    Rows rows{{"entry", "mean", "infinite width", "standard deviation", "skewness", "kurtosis"}};
    for (const KernelEntry& entry : report.ensemble.entries()) {
        if (rows.size() > shown_rows) break;
        const Statistics s = report.ensemble.at(entry);
        const auto limit = report.limit.at(report.ensemble, entry);
        rows.push_back({to_string(entry), fmt::format("{:.7g} +- {:.2g}", s.mean, s.mean_error),
                        limit ? fmt::format("{:.7g}", *limit) : "-", fmt::format("{:.5g}", std::sqrt(s.variance)),
                        fmt::format("{:.4g}", s.skewness), fmt::format("{:.4g}", s.kurtosis)});
    }
    return rows;
}

Rows comparisons_table(const EnsembleReport& report) {
    Rows rows{{"quantity", "measured", "exact at this width", "z", "rests on"}};
    std::vector<const Comparison*> order;
    for (const Comparison& c : report.comparisons) order.push_back(&c);
    if (order.size() > shown_rows)  // the most extreme ones
        std::stable_sort(order.begin(), order.end(), [](const Comparison* a, const Comparison* b) {
            return a->conclusive != b->conclusive ? a->conclusive : std::fabs(a->z()) > std::fabs(b->z());
        });
    for (const Comparison* c : order) {
        if (rows.size() > shown_rows) break;
        rows.push_back({c->what, fmt::format("{:.7g} +- {:.2g}", c->measured, c->error), fmt::format("{:.7g}", c->exact),
                        c->conclusive ? fmt::format("{:+.2f}", c->z()) : "heavy tail", fmt::format("{:.0f} networks", c->effective)});
    }
    return rows;
}

Json verdict_json(const Verdict& v) {
    return {{"comparisons", v.comparisons}, {"inconclusive", v.inconclusive}, {"largest_z", v.largest_z}, {"worst", v.worst},
            {"probability", v.probability}, {"consistent", v.consistent()}};
}

std::optional<DiagonalVariance> diagonal_variance(const Ensemble& ensemble) {
    const Architecture& architecture = ensemble.options().architecture;
    const Statistics s = ensemble.at({Kernel::tangent, 0, 0, 0});
    if (!has_exact_moments(architecture) || architecture.hidden.empty() || !(s.mean > 0)) return std::nullopt;
    const double lambda = depth_over_width(architecture), squared = s.mean * s.mean;
    const Index outputs = ensemble.options().block == Block::trace ? architecture.outputs : 1;
    return DiagonalVariance{lambda,
                            s.variance / squared,
                            s.variance_error / squared,
                            diagonal_moments(architecture).variance(outputs),
                            depth_width_moments(lambda).variance(outputs),
                            lambda > heavy_tail_lambda};
}

Rows verdict_table(const Verdict& verdict, const std::optional<DiagonalVariance>& variance) {
    Rows rows{{"over all comparisons", ""},
              {"verdict", verdict.comparisons == 0 ? "nothing to compare"
                          : verdict.consistent()   ? "consistent"
                                                   : "NOT CONSISTENT"},
              {"comparisons, and too heavy-tailed to conclude", fmt::format("{}, {}", verdict.comparisons, verdict.inconclusive)}};
    if (verdict.comparisons > 0)
        rows.push_back({"largest |z|, and its probability",
                        fmt::format("{:.2f} ({}), {:.2g}", verdict.largest_z, verdict.worst, verdict.probability)});
    if (!variance) return rows;
    rows.push_back({"variance of theta[0,0] over its squared mean", fmt::format("{:.5g} +- {:.2g}", variance->measured, variance->error)});
    rows.push_back({"exact at these widths", fmt::format("{:.5g}", variance->exact)});
    rows.push_back(
        {fmt::format("width growing with depth / width = {:.4g} kept", variance->lambda), fmt::format("{:.5g}", variance->limit)});
    return rows;
}

Json diagonal_variance_json(const std::optional<DiagonalVariance>& v) {
    if (!v) return nullptr;
    return {{"depth_over_width", v->lambda}, {"measured", v->measured},    {"stderr", v->error}, {"exact", v->exact},
            {"depth_width_limit", v->limit}, {"heavy_tail", v->heavy_tail}};
}

void add_law_figure(Report& report, const EnsembleReport& ensemble) {
    constexpr int bins = 80;
    std::string data, plot;
    int index = 0;
    for (std::size_t i = 0; i < ensemble.options.histograms.size(); ++i) {
        const ValueHistogram& histogram = ensemble.ensemble.state().histograms[i];
        const Statistics s = ensemble.ensemble.at(ensemble.options.histograms[i]);
        if (s.mean == 0 || s.variance == 0) continue;
        const double from = histogram.quantile(0.001), to = histogram.quantile(0.999), width = (to - from) / bins;
        std::vector<double> counts(bins);
        for (const auto& [bin, count] : histogram.bins()) {
            const double middle = (ValueHistogram::lower_edge(bin) + ValueHistogram::lower_edge(bin + 1)) / 2;
            const auto at = static_cast<int>(std::floor((middle - from) / width));
            if (at >= 0 && at < bins) counts[static_cast<std::size_t>(at)] += static_cast<double>(count);
        }
        const std::string name = to_string(ensemble.options.histograms[i]);
        data += fmt::format("# {}: entry / its mean, density\n", name);
        for (int b = 0; b < bins; ++b)
            data += fmt::format("{} {}\n", (from + (b + 0.5) * width) / s.mean,
                                counts[static_cast<std::size_t>(b)] / static_cast<double>(s.count) / width * std::fabs(s.mean));
        data += "\n\n";
        plot += fmt::format("{}data index {} using 1:2 with lines linewidth 2 title '{}'", plot.empty() ? "" : ", ", index++, name);
    }
    if (index == 0) return;
    report.add_figure("The law of single entries", "law", data,
                      "set title 'Densities over random networks' noenhanced\nset xlabel 'entry / its mean'\nset ylabel 'density'\n"
                      "set yrange [0:]\nset grid\nset key noenhanced\nplot " +
                          plot);
}

}  // namespace ntk::cli

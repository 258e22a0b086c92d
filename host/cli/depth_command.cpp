// ntkcuda depth: the limit as depth grows: kernel, spectrum, closed form, which limit, how deep is deep.

#include "commands.hpp"
#include "depth_figures.hpp"
#include "depth_grid.hpp"
#include "depth_list.hpp"
#include "plan_outline.hpp"
#include "report.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/depth_limit.hpp>
#include <ntkcuda/depth_regime.hpp>

#include <CLI/App.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace ntk::cli {
namespace {

/// The whole spectrum is computed without being asked for up to this many samples.
constexpr Index spectrum_up_to = 3000;

struct Arguments {
    RunArguments run;
    DataArguments data;
    std::string kernel = "ntk", activation = "relu", biases, depths = "1:1e6:log", spectrum = "auto";
    double weight_std = std::numbers::sqrt2, bias_std = 0;
    bool force = false;
    DepthGridArguments grid;
};

Error bad(const std::string& message) { return {ErrorCode::invalid_argument, message}; }

KernelFamily parse_family(const Arguments& a) {
    KernelFamily family;
    family.dual = parse_dual_activation(a.activation);
    family.weight_std = a.weight_std;
    family.bias_std = a.bias_std;
    const Biases biases = a.biases.empty() ? (a.bias_std > 0 ? Biases::trained : Biases::none) : parse_biases(a.biases);
    if (biases == Biases::none && a.bias_std > 0) throw bad("--biases none contradicts --b-std > 0");
    family.trained_biases = biases == Biases::trained;
    if (a.kernel != "ntk" && a.kernel != "nngp") throw bad(fmt::format("--kernel '{}': depth studies ntk or nngp", a.kernel));
    family.kernel = a.kernel == "ntk" ? InfiniteKernel::ntk : InfiniteKernel::nngp;
    family.validate();
    return family;
}

bool whole_spectrum(const Arguments& a, Index samples) {
    if (a.spectrum == "auto") return samples <= spectrum_up_to;
    if (a.spectrum != "all" && a.spectrum != "extreme")
        throw bad(fmt::format("--spectrum '{}': expected auto, all or extreme", a.spectrum));
    return a.spectrum == "all";
}

/// A number, or nothing where it is not one.
std::string cell(double x) { return std::isnan(x) ? std::string() : fmt::format("{}", x); }

std::string depth_csv(const DepthResult& result, const std::string& score) {
    std::string text =
        "depth,offdiag_min,offdiag_mean,offdiag_max,max_one_minus_k,log10_max_one_minus_k,dist_ones,dist_limit,lambda_min,lambda_max,"
        "condition,logdet,u_dist_limit,u_sum,dist_ones_max,dist_limit_max,dist_identity,dist_identity_max,log10_lambda_min,log10_condition,"
        "u_dist_limit_max,u_error," +
        score + ",table_error,still\n";
    for (const DepthPoint& p : result.points) {
        text += std::to_string(p.depth);
        const double log10_condition = p.log10_lambda_max - p.log10_lambda_min;
        for (const double x : {p.offdiag_min,
                               p.offdiag_mean,
                               p.offdiag_max,
                               p.max_one_minus_k,
                               p.log10_max_one_minus_k,
                               p.dist_ones,
                               p.dist_limit,
                               std::pow(10, p.log10_lambda_min),
                               std::pow(10, p.log10_lambda_max),
                               std::pow(10, log10_condition),
                               p.log_determinant,
                               p.u_dist_limit,
                               p.u_sum,
                               p.dist_ones_max,
                               p.dist_limit_max,
                               p.dist_identity,
                               p.dist_identity_max,
                               p.log10_lambda_min,
                               log10_condition,
                               p.u_dist_limit_max,
                               p.u_error,
                               p.score.value_or(NAN),
                               p.table_error})
            text += "," + cell(x);
        text += p.still ? ",1\n" : ",0\n";
    }
    return text;
}

Rows depth_table(const DepthResult& result, bool classification) {
    Rows rows{{"depth", "K off the diagonal", "max(1 - K)", "to ones", "to the limit", "lambda_min", "condition", "u to its limit", "sum u",
               classification ? "accuracy" : "RMSE"}};
    const auto power = [](double log10) {
        return std::isnan(log10)
                   ? std::string("-")
                   : fmt::format("{:.3f}e{:+03d}", std::pow(10, log10 - std::floor(log10)), static_cast<int>(std::floor(log10)));
    };
    const auto plain = [](double x) { return std::isnan(x) ? std::string("-") : fmt::format("{:.4g}", x); };
    for (const DepthPoint& p : result.points)
        rows.push_back({std::to_string(p.depth), fmt::format("{:.5f} .. {:.5f}", p.offdiag_min, p.offdiag_max),
                        power(p.log10_max_one_minus_k), plain(p.dist_ones_max), plain(p.dist_limit_max), power(p.log10_lambda_min),
                        power(p.log10_lambda_max - p.log10_lambda_min), plain(p.u_dist_limit), plain(p.u_sum),
                        p.score ? fmt::format("{:.4g}", *p.score) : "-"});
    return rows;
}

/// What is written as .npy: u at every depth, and the spectrum.
void write_arrays(const DepthResult& result, Index tests, Index samples, Report& report, std::vector<std::string>& files) {
    const auto depths = static_cast<Index>(result.points.size());
    if (tests > 0) {
        std::vector<double> u;
        u.reserve(static_cast<std::size_t>(depths * tests * samples));
        for (const auto& weights : result.weights) {
            if (weights.empty())
                u.insert(u.end(), static_cast<std::size_t>(tests * samples), NAN);
            else
                u.insert(u.end(), weights.data(), weights.data() + weights.size());
        }
        write_npy(report.path("u.npy"), {depths, tests, samples}, u.data());
        files.push_back("u.npy");
    }
    if (!result.points.front().log10_spectrum.empty()) {
        std::vector<double> spectrum;
        for (const DepthPoint& p : result.points) spectrum.insert(spectrum.end(), p.log10_spectrum.begin(), p.log10_spectrum.end());
        write_npy(report.path("spectrum_log10.npy"), {depths, samples}, spectrum.data());
        files.push_back("spectrum_log10.npy");
    }
}

void warn_about(const DepthResult& result, Run& run) {
    for (const DepthPoint& p : result.points) {
        if (p.closed_form_note.empty()) continue;
        run.warn(fmt::format("depth {}: {}", p.depth, p.closed_form_note));
        break;  // the others are in depth.csv as empty cells
    }
    const auto still = std::find_if(result.points.begin(), result.points.end(), [](const DepthPoint& p) { return p.still; });
    if (still != result.points.end())
        run.say(fmt::format("still     from depth {} on nothing moves but the size of 1 - K: deeper rows repeat the closed form",
                            still->depth));
}

std::string or_dash(const std::optional<double>& x) { return x ? fmt::format("{:.6g}", *x) : "-"; }

/// Where the weights are predicted to go.
void predict_limits(const LimitPrediction& prediction, Index samples, DepthOptions& options) {
    options.off_diagonal_limit = prediction.limit;
    options.weight_limit = prediction.weight(samples) ? WeightLimit::constant
                           : prediction.limit == 1.0  ? WeightLimit::kriging
                                                      : WeightLimit::deepest;
}

/// |K - c| of one followed pair at the depths where it can be told from rounding.
std::optional<FittedRate> measured_rate(const DepthResult& result, const LimitPrediction& prediction) {
    if (!prediction.limit) return std::nullopt;
    std::vector<Index> depths;
    std::vector<long double> distances;
    for (const DepthPoint& p : result.points) {
        const double distance = p.dist_limit_max;
        if (p.depth < 2 || !(distance > 1e-300) || (*prediction.limit != 1.0 && *prediction.limit != 0.0 && distance < 1e-13)) continue;
        depths.push_back(p.depth);
        distances.push_back(distance);
    }
    return fit_rate(depths, distances, prediction.rate);
}

Rows regime_table(const RegimeReport& regime, const LimitPrediction& prediction, const DepthResult& result, Index samples) {
    const DepthPoint& deepest = result.points.back();
    const auto fitted = measured_rate(result, prediction);
    const auto condition = prediction.condition(samples);
    const double log10_condition = deepest.log10_lambda_max - deepest.log10_lambda_min;
    return {
        {"", "predicted", fmt::format("measured at depth {}", deepest.depth)},
        {"regime", to_string(regime.regime), "-"},
        {"variance tends to", fmt::format("{:.6g}", regime.variance_limit), "-"},
        {"chi", fmt::format("{:.10g}{}", regime.chi, regime.treated_as_critical ? " (treated as 1)" : ""), "-"},
        {"K off the diagonal", or_dash(prediction.limit), fmt::format("{:.6g} .. {:.6g}", deepest.offdiag_min, deepest.offdiag_max)},
        {"largest |K - limit|", prediction.limit ? "0" : "-",
         std::isnan(deepest.dist_limit_max) ? "-" : fmt::format("{:.4g}", deepest.dist_limit_max)},
        {"its rate", prediction.rate ? to_string(*prediction.rate) : "-",
         fitted ? fmt::format("{} (depths {} to {}, residual {:.1e})", to_string(fitted->rate), fitted->first_depth, fitted->last_depth,
                              fitted->residual)
                : "-"},
        {"log10 condition number", condition ? fmt::format("{:.6g}", std::log10(*condition)) : "-",
         std::isnan(log10_condition) ? "-" : fmt::format("{:.6g}", log10_condition)},
        {"each weight u", or_dash(prediction.weight(samples)),
         deepest.traced_weight.empty() ? "-"
                                       : fmt::format("{:.6g}, .., {:.6g}", deepest.traced_weight.front(), deepest.traced_weight.back())}};
}

Rows check_table(const KernelFamily& family, const RegimeReport& regime) {
    Rows rows{{"condition on the dual", "holds", "measured"}};
    for (const FamilyCheck& check : check_family(family, regime))
        rows.push_back({check.statement, check.holds ? "yes" : "no", check.measured});
    return rows;
}

/// The first of the depths computed at which each distance is below each power of ten.
Rows how_deep_table(const DepthResult& result, bool limit, bool weights) {
    struct Column {
        const char* name;
        double DepthPoint::*distance;
        bool shown;
    };
    const Column columns[] = {{"K to ones", &DepthPoint::dist_ones_max, true},
                              {"K to the predicted limit", &DepthPoint::dist_limit_max, limit},
                              {"K to the identity", &DepthPoint::dist_identity_max, true},
                              {"u to its limit (relative)", &DepthPoint::u_dist_limit, weights}};
    Rows rows{{"distance below"}};
    for (const Column& c : columns)
        if (c.shown) rows[0].push_back(c.name);
    for (int k = 1; k <= 12; ++k) {
        std::vector<std::string> row{fmt::format("1e-{}", k)};
        bool reached = false;
        for (const Column& c : columns) {
            if (!c.shown) continue;
            const auto at = std::find_if(result.points.begin(), result.points.end(),
                                         [&](const DepthPoint& p) { return p.*c.distance < std::pow(10, -k); });
            row.push_back(at == result.points.end() ? "-" : std::to_string(at->depth));
            reached = reached || at != result.points.end();
        }
        if (!reached && k > 1) break;
        rows.push_back(row);
    }
    return rows;
}

/// The statements of arXiv 2511.07272 beside what this run has measured; no claim without its number.
Rows statement_table(const RegimeReport& regime, const DepthResult& result) {
    const DepthPoint& p = result.points.back();
    const std::string at = fmt::format(" at depth {}", p.depth);
    Rows rows{{"statement of arXiv 2511.07272", "regime here", "measured"},
              {"the normalised kernel approaches the matrix of ones", to_string(regime.regime),
               fmt::format("largest 1 - K = 10^{:.4g}{}", p.log10_max_one_minus_k, at)}};
    if (!std::isnan(p.u_dist_limit))
        rows.push_back({"the closed form approaches a fixed limit on the sphere", to_string(regime.regime),
                        fmt::format("relative distance of u to {}: {:.3g}{}",
                                    result.weight_limit == WeightLimit::kriging    ? "the ordinary-kriging limit"
                                    : result.weight_limit == WeightLimit::constant ? "the predicted constant"
                                                                                   : "its deepest level",
                                    p.u_dist_limit, at)});
    return rows;
}

/// The predicted form of the rate, through the deepest measured distance that is well above underflow.
PredictedCurve predicted_curve(const DepthResult& result, const LimitPrediction& prediction) {
    if (!prediction.rate || prediction.rate->kind == DepthRate::Kind::logarithmic) return {};
    DepthRate rate = *prediction.rate;
    rate.coefficient.reset();               // the largest entry is still far from the leading order where the next one is 1/ln L smaller
    const auto shape = [&](double depth) {  // natural logarithm
        return rate.kind == DepthRate::Kind::exponential ? rate.prefactor * std::log(depth) + depth * std::log(rate.value)
                                                         : rate.prefactor * std::log(std::log(depth)) - rate.value * std::log(depth);
    };
    const DepthPoint* anchor = nullptr;
    for (const DepthPoint& p : result.points)
        if (p.depth >= 3 && p.dist_limit_max > 1e-30) anchor = &p;
    if (anchor == nullptr) return {};
    const double constant = std::log(anchor->dist_limit_max) - shape(static_cast<double>(anchor->depth));
    PredictedCurve curve{"predicted form " + to_string(rate), {}};
    for (const DepthPoint& p : result.points)
        if (p.depth >= 3) curve.points.emplace_back(p.depth, std::exp(constant + shape(static_cast<double>(p.depth))));
    return curve;
}

/// Shows how far the study is. Layers and solves cost very different times, so each is timed by itself; before the first depth is solved
/// the estimate knows layers only.
class StudyProgress {
public:
    explicit StudyProgress(const Run& run) : progress_(run, "depths solved") {}
    void operator()(const DepthProgress& at) {
        const double now = progress_.elapsed();
        (at.solved > last_.solved ? solving_ : layering_) += now - then_;
        then_ = now;
        last_ = at;
        const auto rest = [](double seconds, Index done, Index all) {
            return done > 0 ? seconds / static_cast<double>(done) * static_cast<double>(all - done) : 0;
        };
        progress_(at.solved, at.depths, rest(layering_, at.layer, at.layers) + rest(solving_, at.solved, at.depths));
    }

private:
    Progress progress_;
    DepthProgress last_;
    double then_ = 0, layering_ = 0, solving_ = 0;
};

void compute(const Arguments& a, Run& run) {
    DepthOptions options;
    options.family = parse_family(a);
    options.depths = parse_depths(a.depths);
    const DepthGrid grid = a.grid.given() ? make_depth_grid(a.grid, options.family, a.biases) : DepthGrid{};
    const Samples samples = run.load(a.data, true);
    const Index n = samples.train.samples(), tests = samples.test->samples();
    options.spectrum = whole_spectrum(a, n);
    run.parameters.update(data_parameters(a.data, samples));
    if (a.data.test.empty()) run.parameters.update(Json{{"split", a.data.split}, {"split-seed", a.data.split_seed}});

    if (run.planning()) {
        const SampleCounts size{n, tests, samples.train.features(), samples.train.y.cols()};
        const auto backend = run.backend<double>();
        return show_plan(run, backend, depth_outline(run, backend, options, size, samples.normalizer.normalization));
    }
    double mean_square = 0;
    for (Index j = 0; j < samples.train.features(); ++j)
        mean_square += samples.train.x(0, j) * samples.train.x(0, j) / static_cast<double>(samples.train.features());
    const RegimeReport regime = analyze_regime(options.family, mean_square);
    const LimitPrediction& prediction = regime.prediction(options.family.kernel);
    predict_limits(prediction, n, options);
    run.say(fmt::format("regime    {}", regime.statement));

    const auto backend = run.backend<double>();
    const int ranks = run.ranks().size();
    const DepthMemory memory = depth_memory(options, samples.train.x, samples.test->x, ranks);
    run.require_memory(fmt::format("depth on {} + {} samples", n, tests), memory.device);
    run.say(
        fmt::format("memory    about {} on the device, {} for u on the host", readable_bytes(memory.device), readable_bytes(memory.host)));
    const DepthEstimate estimate = depth_estimate(backend, options, samples.train.x, samples.test->x, ranks);
    if (estimate.pair_layers > 0)
        run.say(
            fmt::format("estimate  {:.2g} pair-layers by brute force, about {}", estimate.pair_layers, readable_time(estimate.seconds)));
    Report report(run, a.run.out);
    std::unique_ptr<DepthStore> store;  // the root's
    if (run.ranks().root()) {
        const std::string state = report.path("state");
        if (a.force) std::filesystem::remove_all(state);
        store = open_depth_store(state, depth_parameters(*backend, samples.train, &*samples.test, options));
    }
    const DepthResult result = run.timed("depth", true, [&] {
        StudyProgress progress(run);
        return depth_limit(
            backend, samples.train, &*samples.test, options, [&](const DepthProgress& at) { progress(at); }, store.get(), run.ranks());
    });
    std::vector<HowDeep> cells;
    if (a.grid.given()) cells = follow_depth_grid(run, grid, a.grid.deepest, samples.train.x, mean_square);
    if (!run.writes()) return;
    if (result.found > 0)
        run.say(fmt::format("resumed   {} of {} depths were there already{}", result.found, result.points.size(),
                            result.found == std::ssize(result.points) ? ": the study was finished" : ""));
    warn_about(result, run);
    const bool classification = samples.train.classification();
    report.add_table("Predicted before the run, and measured", regime_table(regime, prediction, result, n));
    report.add_table("What makes the family behave so", check_table(options.family, regime));
    report.add_table("The normalised kernel and the closed form against depth", depth_table(result, classification));
    report.add_table("How deep is deep: the first depth of this run at which a distance is below",
                     how_deep_table(result, prediction.limit.has_value(), tests > 0));
    report.add_table("Statements and measurements", statement_table(regime, result));
    run.results = {{"regime", to_string(regime.regime)},
                   {"chi", regime.chi},
                   {"off_diagonal_limit", prediction.limit ? Json(*prediction.limit) : Json()},
                   {"equal_norms", result.equal_norms},
                   {"table_nodes", result.table_nodes},
                   {"limit_score", result.limit_score ? Json(*result.limit_score) : Json()}};
    std::vector<std::string> files{"depth.csv"};
    run.timed("write", false, [&] {
        write_text(report.path("depth.csv"), depth_csv(result, classification ? "accuracy" : "rmse"));
        write_arrays(result, tests, n, report, files);
        add_depth_figures(report, result, options, predicted_curve(result, prediction));
    });
    if (a.grid.given()) {
        add_depth_grid(report, grid, cells, a.grid.deepest, mean_square);
        files.push_back("how_deep.csv");
    }
    report.finish(files);
}

}  // namespace

void add_depth_command(CLI::App& program) {
    auto a = std::make_shared<Arguments>();
    CLI::App* command =
        program.add_subcommand("depth", "the limit as depth grows: kernel, spectrum, closed form, which limit, how deep is deep");
    add_data_options(*command, a->data, true);
    const auto group = "Kernel";
    command->add_option("--kernel", a->kernel, "ntk or nngp, normalised by its diagonal")->capture_default_str()->group(group);
    command->add_option("--depths", a->depths, "depths L: 1,2,5,..,1e6 or 1:1e6:log[:N a decade]")->capture_default_str()->group(group);
    command->add_option("--activation", a->activation, "relu, leaky_relu:SLOPE, abs, erf, or hermite:c0,c1,..: the dual sum_k c_k rho^k")
        ->capture_default_str()
        ->group(group);
    command->add_option("--w-std", a->weight_std, "weight std sigma_w")->default_str("sqrt(2)")->group(group);
    command->add_option("--b-std", a->bias_std, "bias std sigma_b")->capture_default_str()->group(group);
    command->add_option("--biases", a->biases, "none, fixed or trained [trained when --b-std > 0, else none]")->group(group);
    command
        ->add_option("--spectrum", a->spectrum,
                     fmt::format("all eigenvalues, the extreme ones, or auto: all up to {} samples", spectrum_up_to))
        ->capture_default_str()
        ->group(group);
    command->add_flag("--force", a->force, "start over in an --out that holds another study")->group(group);
    add_depth_grid_options(*command, a->grid);
    add_run_options(*command, a->run);
    add_plan_options(*command, a->run.plan);
    command->footer(
        "Examples:\n  ntkcuda depth --data digits --w-std 1 --b-std 0.5 --depths 1:1e6:log --out ordered\n"
        "  ntkcuda depth --data sphere:n=100,d=10,seed=1 --activation erf --kernel nngp --out erf\n"
        "  ntkcuda depth --depths 1,10,100 --grid-w-std '0.5,0.75,1,1.25,sqrt(2),1.75,2,2.25,2.5' --grid-b-std 0:1:5 --out grid");
    command->callback([a] {
        if (a->run.precision != "fp64") throw bad("depth computes in fp64: what it measures lies below the digits of others");
        const auto held = hold_output(a->run, "depth.csv, u.npy, the figures and run.json");
        Run run("depth", a->run);
        run.parameters.update(Json{{"kernel", a->kernel},
                                   {"depths", a->depths},
                                   {"activation", a->activation},
                                   {"w-std", a->weight_std},
                                   {"b-std", a->bias_std},
                                   {"spectrum", a->spectrum}});
        if (!a->biases.empty()) run.parameters["biases"] = a->biases;
        if (a->grid.given())
            run.parameters.update(
                Json{{"grid-w-std", a->grid.weight_stds}, {"grid-b-std", a->grid.bias_stds}, {"grid-depth", a->grid.deepest}});
        compute(*a, run);
    });
}

}  // namespace ntk::cli

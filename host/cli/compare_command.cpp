// ntkcuda compare: finite width against the limit over depths x widths x seeds.

#include "commands.hpp"
#include "compare_variance.hpp"
#include "plan_outline.hpp"
#include "report.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/compare.hpp>

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace ntk::cli {
namespace {

struct Arguments {
    RunArguments run;
    DataArguments data;
    NetworkArguments network;
    CompareOptions compare;
    bool force = false;
};

std::string csv_spread(const std::optional<Spread>& s) {
    return s ? fmt::format(",{},{},{}", s->mean, s->deviation, s->standard_error) : ",,,";
}

std::string csv_number(const std::optional<double>& v) { return v ? fmt::format("{}", *v) : std::string(); }

const char* score_name(const CompareResult& result) { return result.classification ? "accuracy" : "rmse"; }

std::string cells_csv(const CompareResult& result, Index seeds) {
    std::string text = "depth,width,seeds";
    for (const char* block : {"train", "test"})
        text += fmt::format(
            ",{0}_error,{0}_error_sd,{0}_error_se,{0}_largest,{0}_largest_sd,{0}_largest_se,{0}_fluctuation,{0}_fluctuation_se,{0}_bias,{0}"
            "_bias_se,{0}_bias_resolved",
            block);
    text += fmt::format(
        ",predictor_distance,predictor_distance_sd,predictor_distance_se,{0},{0}_sd,{0}_se,{0}_limit,failures,diagonal_variance,"
        "diagonal_variance_se,diagonal_variance_exact,diagonal_variance_z\n",
        score_name(result));
    for (const auto& cell : result.cells) {
        text += fmt::format("{},{},{}", cell.depth, cell.width, seeds);
        for (const KernelError* e : {&cell.train, &cell.test})
            text += csv_spread(e->relative) + csv_spread(e->largest) +
                    fmt::format(",{},{},{},{},{}", e->fluctuation, e->fluctuation_error, e->bias, e->bias_error, e->bias_resolved ? 1 : 0);
        text += csv_spread(cell.predictor_distance) + csv_spread(cell.score) +
                fmt::format(",{},{},{},{},{},{}\n", csv_number(cell.limit_score), cell.failures, cell.diagonal_variance,
                            cell.diagonal_variance_error, csv_number(cell.diagonal_variance_exact), csv_number(cell.diagonal_z()));
    }
    return text;
}

std::string networks_csv(const CompareResult& result) {
    std::string text = fmt::format(
        "depth,width,network,train_error,train_largest,test_error,test_largest,predictor_distance,{0},{0}_limit,diagonal_mean,diagonal_"
        "square\n",
        score_name(result));
    for (const auto& e : result.networks)
        text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{}\n", e.depth, e.width, e.network, e.train_relative, e.train_largest,
                            e.test_relative, e.test_largest, csv_number(e.predictor_distance), csv_number(e.score),
                            csv_number(e.limit_score), e.diagonal_mean, e.diagonal_square);
    return text;
}

Rows cells_table(const CompareResult& result) {
    Rows rows{{"depth", "width", "relative error", "fluctuation", "bias", "predictor distance",
               result.classification ? "test accuracy" : "test RMSE", "of the limit"}};
    const auto mean = [](const std::optional<Spread>& s) { return s ? with_error(s->mean, s->standard_error) : std::string("-"); };
    for (const auto& cell : result.cells) {
        const KernelError& e = cell.train;
        rows.push_back({std::to_string(cell.depth), std::to_string(cell.width), mean(e.relative),
                        with_error(e.fluctuation, e.fluctuation_error), e.bias_resolved ? with_error(e.bias, e.bias_error) : "below noise",
                        mean(cell.predictor_distance), mean(cell.score),
                        cell.limit_score ? fmt::format("{:.4g}", *cell.limit_score) : "-"});
    }
    return rows;
}

Rows slopes_table(const CompareResult& result) {
    Rows rows{{"depth", "fluctuation (theory -1/2)", "bias (theory -1)", "test fluctuation", "test bias"}};
    const auto slope = [](const std::optional<Slope>& s) {
        return s ? with_error(s->value, s->standard_error) : std::string("below noise");
    };
    for (const auto& s : result.slopes)
        rows.push_back(
            {std::to_string(s.depth), slope(s.train_fluctuation), slope(s.train_bias), slope(s.test_fluctuation), slope(s.test_bias)});
    return rows;
}

/// One gnuplot block a depth: width, fluctuation and its error, bias and its error (NaN, which gnuplot leaves out, below the noise).
std::string figure_data(const CompareResult& result) {
    std::string text;
    for (const auto& slopes : result.slopes) {
        text += fmt::format("# depth {}: width fluctuation se bias se\n", slopes.depth);
        for (const auto& cell : result.cells)
            if (cell.depth == slopes.depth)
                text += fmt::format("{} {} {} {} {}\n", cell.width, cell.train.fluctuation, cell.train.fluctuation_error,
                                    cell.train.bias_resolved ? fmt::format("{}", cell.train.bias) : "NaN", cell.train.bias_error);
        text += "\n\n";
    }
    return text;
}

std::string figure_script(const CompareResult& result) {
    // The theory lines start a little below the first depth's first point, to stand beside what they are compared with.
    const CompareCell& first = result.cells.front();
    const auto resolves_bias = [&](Index depth) {
        return std::any_of(result.cells.begin(), result.cells.end(),
                           [&](const CompareCell& cell) { return cell.depth == depth && cell.train.bias_resolved; });
    };
    const auto theory = [&](double value, const char* slope, int dash) {
        return fmt::format("{} * (x / {})**({}) dashtype {} linewidth 2 linecolor 'black' title 'theory, slope {}'", 0.8 * value,
                           first.width, slope, dash, slope);
    };
    std::string script =
        "set logscale xy\nset xlabel 'width'\nset ylabel 'relative to the norm of the limit'\nset key outside right\nset grid\n"
        "set title 'Finite width against the limit, training kernel'\n";
    const auto [narrow, wide] = std::minmax_element(result.cells.begin(), result.cells.end(),
                                                    [](const CompareCell& a, const CompareCell& b) { return a.width < b.width; });
    script += fmt::format("set xrange [{}:{}]\n", 0.8 * static_cast<double>(narrow->width), 1.25 * static_cast<double>(wide->width));
    std::set<Index> widths;  // gnuplot labels powers of ten only, and there may be none
    for (const CompareCell& cell : result.cells) widths.insert(cell.width);
    script += fmt::format("set xtics ({})\n", fmt::join(widths, ", "));
    script += "plot " + theory(first.train.fluctuation, "-0.5", 2);
    if (first.train.bias_resolved) script += ", " + theory(first.train.bias, "-1.0", 4);
    for (std::size_t i = 0; i < result.slopes.size(); ++i) {
        script +=
            fmt::format(", data index {} using 1:2:3 with yerrorlines linewidth 2 linecolor {} pointtype {} title 'fluctuation, L = {}'", i,
                        i + 1, 2 * i + 5, result.slopes[i].depth);
        if (resolves_bias(result.slopes[i].depth))
            script += fmt::format(
                ", data index {} using 1:4:5 with yerrorlines linewidth 2 linecolor {} pointtype {} dashtype 3 title 'bias, L = {}'", i,
                i + 1, 2 * i + 4, result.slopes[i].depth);
    }
    return script;
}

Json results_json(const CompareResult& result) {
    const auto slope = [](const std::optional<Slope>& s) {
        return s ? Json{{"slope", s->value}, {"standard_error", s->standard_error}, {"widths", s->widths}} : Json();
    };
    Json slopes = Json::array();
    for (const auto& s : result.slopes)
        slopes.push_back({{"depth", s.depth},
                          {"train_fluctuation", slope(s.train_fluctuation)},
                          {"train_bias", slope(s.train_bias)},
                          {"test_fluctuation", slope(s.test_fluctuation)},
                          {"test_bias", slope(s.test_bias)}});
    const auto number = [](const std::optional<double>& v) { return v ? Json(*v) : Json(); };
    Json diagonal = Json::array();
    for (const auto& cell : result.cells)
        diagonal.push_back({{"depth", cell.depth},
                            {"width", cell.width},
                            {"variance", cell.diagonal_variance},
                            {"standard_error", cell.diagonal_variance_error},
                            {"exact", number(cell.diagonal_variance_exact)},
                            {"z", number(cell.diagonal_z())},
                            {"heavy_tail", heavy_tailed(cell)}});
    return {{"networks", result.networks.size()}, {"slopes", slopes}, {"diagonal_variance", diagonal}};
}

/// The state of an earlier run in the same --out (with --force it is started over), and how much of it served again.
class State : public CompareStore {
public:
    State(const Arguments& a, const std::string& folder, const std::string& parameters) {
        if (a.force) std::filesystem::remove_all(folder);
        store_ = open_compare_store(folder, parameters);
    }
    std::optional<NetworkRecord> load(Index depth, Index width, Index network) override {
        auto record = store_->load(depth, width, network);
        found_ += record.has_value();
        return record;
    }
    void save(const NetworkRecord& record) override { store_->save(record); }
    [[nodiscard]] Index found() const { return found_; }

private:
    std::unique_ptr<CompareStore> store_;
    Index found_ = 0;
};

template <class Real>
void compute(const Arguments& a, Run& run) {
    const Samples samples = run.load(a.data, true);
    CompareOptions options = a.compare;
    options.base = resolve_architecture(a.network, samples.train.features(), std::nullopt);
    options.seed = a.network.seed;
    run.parameters.update(data_parameters(a.data, samples));
    if (a.data.test.empty()) run.parameters.update(Json{{"split", a.data.split}, {"split-seed", a.data.split_seed}});
    run.parameters.update(network_parameters(a.network, options.base));
    for (const char* replaced : {"depth", "width"}) run.parameters.erase(replaced);
    run.parameters.update(Json{{"depths", options.depths}, {"widths", options.widths}, {"seeds", options.seeds}, {"ridge", options.ridge}});

    const auto backends = run.backends<Real>();
    const Index n = samples.train.samples(), m = samples.test->samples(), d = samples.train.features(), t = samples.train.y.cols();
    const auto bytes = static_cast<double>(compare_peak_bytes(options, n, m, d, t, sizeof(Real)));
    if (run.planning()) {
        require_compare_domains(samples.train, *samples.test, options);
        return show_plan(run, backends.front(), compare_outline(run, options, {n, m, d, t}, bytes));
    }
    run.require_memory(fmt::format("comparing on {} + {} samples", n, m), bytes);
    Report report(run, a.run.out);
    std::optional<State> state;  // the root's
    if (run.ranks().root())
        state.emplace(a, report.path("state"), compare_parameters(backends.front(), samples.train, *samples.test, options));
    const CompareResult result = run.timed("compare", true, [&] {
        Progress progress(run, "networks");
        return compare<Real>(
            Workers<Real>(backends, run.ranks()), samples.train, *samples.test, options,
            [&](Index done, Index total) { progress(done, total); }, state ? &*state : nullptr);
    });
    if (!run.writes()) return;
    if (state->found() > 0)
        run.say(fmt::format("resumed   {} of {} networks were there already{}", state->found(), result.networks.size(),
                            state->found() == static_cast<Index>(result.networks.size()) ? ": the sweep was finished" : ""));
    for (const auto& cell : result.cells)
        if (cell.failures > 0)
            run.warn(fmt::format("depth {}, width {}: {} of {} networks have no predictor: {}", cell.depth, cell.width, cell.failures,
                                 options.seeds, cell.failure));
    run.results = results_json(result);
    report.add_table("Finite width against the limit: training kernel, predictors on the test samples", cells_table(result));
    report.add_table("Slope against width", slopes_table(result));
    report.add_table(variance_caption(result), variance_table(result));
    run.timed("write", false, [&] {
        write_text(report.path("compare.csv"), cells_csv(result, options.seeds));
        write_text(report.path("networks.csv"), networks_csv(result));
        report.add_figure("Fluctuation and bias against width", "compare", figure_data(result), figure_script(result));
        report.add_figure("Where the infinite-width picture stops being true", "variance", variance_data(result, options.base),
                          variance_script(result, options.base));
    });
    report.finish({"compare.csv", "networks.csv"});
}

}  // namespace

void add_compare_command(CLI::App& program) {
    auto a = std::make_shared<Arguments>();
    CLI::App* command = program.add_subcommand("compare", "finite width against the limit over depths x widths x seeds");
    add_data_options(*command, a->data, true);
    add_network_options(*command, a->network, false);
    const auto group = "Sweep";
    command->add_option("--depths", a->compare.depths, "depths L, each 2 or more")->delimiter(',')->capture_default_str()->group(group);
    command->add_option("--widths", a->compare.widths, "widths of every hidden layer")->delimiter(',')->capture_default_str()->group(group);
    command->add_option("--seeds", a->compare.seeds, "networks for each depth and width")->capture_default_str()->group(group);
    command->add_option("--ridge", a->compare.ridge, "lambda of both predictors")
        ->capture_default_str()
        ->check(CLI::NonNegativeNumber)
        ->group(group);
    command->add_flag("--force", a->force, "start over in an --out that holds another sweep")->group(group);
    add_run_options(*command, a->run);
    add_plan_options(*command, a->run.plan);
    command->footer(
        "Examples:\n  ntkcuda compare --depths 2,3,5 --widths 64,256,1024 --seeds 20 --out sweep\n"
        "  ntkcuda compare --data sphere:n=100,d=10,seed=1 --widths 32,64,128 --seeds 100 --out sphere\n"
        "  ntkcuda compare --device cuda:all --seeds 100 --out gpus");
    command->callback([a] {
        const auto held = hold_output(a->run, "compare.csv, the figure and run.json");
        Run run("compare", a->run);
        with_precision(a->run, Fast::refused, [&]<class Real>(std::type_identity<Real>) { compute<Real>(*a, run); });
    });
}

}  // namespace ntk::cli

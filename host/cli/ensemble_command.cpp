// ntkcuda ensemble: moments of the kernel over many random networks, against exact theory.

#include "commands.hpp"
#include "ensemble_files.hpp"
#include "plan_outline.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/infinite_width.hpp>

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

namespace ntk::cli {
namespace {

/// Of the bundled digits, unless --samples says otherwise: every pair of samples is followed.
constexpr Index default_samples = 10;

struct Arguments {
    RunArguments run;
    DataArguments data;
    NetworkArguments network;
    std::string sampler = "weights", block = "trace";
    Index networks = 100000;
    std::vector<Index> widths;
    std::vector<std::string> entries, covariances;
    bool per_layer = false, force = false;
};

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorCode::invalid_argument, message); }

Sampler parse_sampler(const std::string& name) {
    if (name != "weights" && name != "conditional") refuse(fmt::format("--sampler '{}': expected weights or conditional", name));
    return name == "weights" ? Sampler::weights : Sampler::conditional;
}

/// "theta[1,0]" by its commas outside of brackets: CLI11 leaves the list whole.
std::vector<std::string> split_list(const std::vector<std::string>& texts) {
    std::vector<std::string> parts;
    for (const std::string& text : texts) {
        std::string part;
        int depth = 0;
        for (const char c : text) {
            depth += c == '[' ? 1 : c == ']' ? -1 : 0;
            if (c != ',' || depth > 0) {
                part += c;
                continue;
            }
            parts.push_back(part);
            part.clear();
        }
        parts.push_back(part);
    }
    return parts;
}

std::pair<KernelEntry, KernelEntry> parse_pair(const std::string& text) {
    const auto star = text.find('*');
    if (star == std::string::npos) refuse(fmt::format("--covariances '{}': expected ENTRY*ENTRY, such as theta[0,0]*theta[1,0]", text));
    return {parse_kernel_entry(text.substr(0, star)), parse_kernel_entry(text.substr(star + 1))};
}

/// What is followed without being asked for: entries of the first sample, of the first two, and of the first two outputs.
void choose_entries(const Arguments& a, Index samples, EnsembleOptions& options) {
    using Kernel = KernelEntry::Kernel;
    const Block block = options.sampler.block;
    const Index outputs = options.sampler.architecture.outputs, next_sample = block == Block::full ? outputs : 1;
    const KernelEntry first{Kernel::tangent, 0, 0, 0}, next{Kernel::tangent, next_sample, 0, 0};
    const bool two_samples = samples > 1 && block != Block::diag, two_outputs = outputs > 1 && block != Block::trace;
    for (const std::string& name : split_list(a.entries)) options.histograms.push_back(parse_kernel_entry(name));
    if (a.entries.empty()) {
        options.histograms = {first, {Kernel::nngp, 0, 0, 0}};
        if (two_samples) options.histograms.insert(options.histograms.begin() + 1, next);
    }
    for (const std::string& text : split_list(a.covariances)) options.covariances.push_back(parse_pair(text));
    if (a.covariances.empty()) {
        if (two_samples) {
            options.covariances.emplace_back(first, next);
            options.covariances.emplace_back(first, KernelEntry{Kernel::tangent, next_sample, next_sample, 0});
        }
        if (two_outputs) options.covariances.emplace_back(first, KernelEntry{Kernel::tangent, block == Block::full ? 1 : 0, 1, 0});
    }
}

EnsembleOptions ensemble_options(const Arguments& a, const Architecture& architecture, Index samples) {
    EnsembleOptions options;
    options.sampler = {architecture, parse_sampler(a.sampler), a.network.seed, parse_block(a.block), a.per_layer};
    options.networks = a.networks;
    choose_entries(a, samples, options);
    return options;
}

template <class Real>
void plan(const Arguments& a, Run& run, const std::shared_ptr<Backend<Real>>& backend, Architecture architecture, Index samples) {
    std::vector<EnsembleOptions> sweep;
    if (a.widths.empty()) sweep.push_back(ensemble_options(a, architecture, samples));
    for (const Index width : a.widths) {
        std::fill(architecture.hidden.begin(), architecture.hidden.end(), width);
        sweep.push_back(ensemble_options(a, architecture, samples));
    }
    show_plan(run, backend, ensemble_outline(run, backend, sweep, samples));
}

/// One ensemble at one architecture, into one folder.
template <class Real>
class Study {
public:
    Study(const Arguments& a, Run& run, const Workers<Real>& workers, const HostMatrix<double>& x)
        : a_(a),
          run_(run),
          workers_(workers),
          x_(x),
          exact_(make_backend<double>(workers.backends().front()->info().id(), run.arguments().threads)) {}

    /// Draws the ensemble with all ranks, has the root write its files, and returns it.
    Ensemble operator()(const Architecture& architecture, const std::string& directory, Report& report, bool whole_report) {
        const EnsembleOptions options = ensemble_options(a_, architecture, x_.rows());
        run_.require_memory("the numbers of one chunk of networks", ensemble_bytes(options, x_.rows(), sizeof(Real)));
        const std::string state = (std::filesystem::path(directory) / "state").string();
        const bool root = run_.ranks().root();
        if (root && a_.force) std::filesystem::remove_all(state);
        const auto store = root ? open_ensemble_store(state, ensemble_parameters(*workers_.backends().front(), x_, options)) : nullptr;
        Index found = -1;
        Ensemble result = run_.timed("ensemble", true, [&] {
            Progress progress(run_, "networks");
            return ensemble<Real>(
                workers_, x_, options,
                [&](Index done, Index total) {
                    if (found < 0) found = done;
                    progress(done, total);
                },
                store.get());
        });
        if (!root) return result;
        if (found > 0)
            run_.say(fmt::format("resumed   {} of {} networks were there already{}", found, a_.networks,
                                 found == a_.networks ? ": the ensemble was finished" : ""));
        const EnsembleLimit limits = limit(architecture);
        EnsembleReport told{options, result, limits, compare_with_theory(result, x_, limits, options.covariances), {}};
        told.verdict = judge(told.comparisons);
        run_.say(fmt::format("widths    {}: {} networks", fmt::join(architecture.hidden, ", "), result.networks()));
        const auto variance = diagonal_variance(result);
        if (!told.verdict.consistent())
            run_.warn(
                fmt::format("measured moments and exact theory disagree: |z| = {:.2f} of {}, which the largest of {} "
                            "comparisons reaches with probability {:.2g}",
                            told.verdict.largest_z, told.verdict.worst, told.verdict.comparisons, told.verdict.probability));
        if (told.verdict.inconclusive > 0)
            run_.warn(
                fmt::format("hidden widths {}: the tails are too heavy for {} of {} comparisons: they rest on rare networks, so estimates "
                            "and their standard errors come out too small",
                            fmt::join(architecture.hidden, ", "), told.verdict.inconclusive, told.comparisons.size()));
        run_.results["ensembles"].push_back({{"hidden", architecture.hidden},
                                             {"networks", result.networks()},
                                             {"diagonal_variance", diagonal_variance_json(variance)},
                                             {"verdict", verdict_json(told.verdict)}});
        run_.timed("write", false, [&] { files_ = write_ensemble(told, directory); });
        if (whole_report) {
            report.add_table("Entries over the networks", entries_table(told));
            add_law_figure(report, told);
        }
        report.add_table(fmt::format("Hidden widths {}: measured and exact", fmt::join(architecture.hidden, ", ")),
                         comparisons_table(told));
        report.add_table(fmt::format("Hidden widths {}: verdict", fmt::join(architecture.hidden, ", ")),
                         verdict_table(told.verdict, variance));
        return result;
    }

    [[nodiscard]] EnsembleLimit limit(const Architecture& architecture) const {
        const Matrix<double> x = upload(exact_, x_);
        return {download(infinite_width_kernel(architecture, InfiniteKernel::ntk, x)),
                download(infinite_width_kernel(architecture, InfiniteKernel::nngp, x))};
    }
    /// Names of the files of the last ensemble.
    [[nodiscard]] const std::vector<std::string>& files() const { return files_; }

private:
    const Arguments& a_;
    Run& run_;
    const Workers<Real>& workers_;
    const HostMatrix<double>& x_;
    std::shared_ptr<Backend<double>> exact_;
    std::vector<std::string> files_;
};

std::string width_csv(const std::vector<KernelEntry>& entries, const std::vector<Ensemble>& sweep, const EnsembleLimit& limit,
                      const std::vector<Index>& widths, Rows& table) {
    std::string text = "entry,limit,coefficient,stderr,chi_squared,freedom,terms\n";
    table = {{"entry", "infinite width", "1/width coefficient", "chi^2 / freedom"}};
    for (const KernelEntry& entry : entries) {
        const auto value = limit.at(sweep.front(), entry);
        std::vector<Statistics> statistics;
        for (const Ensemble& one : sweep) statistics.push_back(one.at(entry));
        const auto fit = value ? fit_width(widths, statistics, *value) : std::nullopt;
        if (!fit) continue;
        text += fmt::format("\"{}\",{},{},{},{},{},{}\n", to_string(entry), *value, fit->coefficient, fit->error, fit->chi_squared,
                            fit->freedom, fit->terms);
        if (table.size() <= 12)
            table.push_back({to_string(entry), fmt::format("{:.7g}", *value), with_error(fit->coefficient, fit->error),
                             fit->freedom > 0 ? fmt::format("{:.2f} / {}", fit->chi_squared, fit->freedom) : "-"});
    }
    return text;
}

/// mean / limit - 1 of the binned entries against 1/width.
void add_width_figure(Report& report, const std::vector<KernelEntry>& entries, const std::vector<Ensemble>& sweep,
                      const EnsembleLimit& limit, const std::vector<Index>& widths) {
    std::string data, plot;
    int index = 0;
    for (const KernelEntry& entry : entries) {
        const auto value = limit.at(sweep.front(), entry);
        if (!value || *value == 0) continue;
        data += fmt::format("# {}: 1/width, mean / limit - 1, its standard error\n", to_string(entry));
        for (std::size_t i = 0; i < sweep.size(); ++i) {
            const Statistics s = sweep[i].at(entry);
            data += fmt::format("{} {} {}\n", 1 / static_cast<double>(widths[i]), s.mean / *value - 1, s.mean_error / std::fabs(*value));
        }
        data += "\n\n";
        plot += fmt::format("{}data index {} using 1:2:3 with yerrorlines linewidth 2 title '{}'", plot.empty() ? "" : ", ", index++,
                            to_string(entry));
    }
    if (index > 0)
        report.add_figure(
            "The mean's way to infinite width", "width", data,
            "set title 'Mean over networks, relative to infinite width'\nset xlabel '1 / width'\nset ylabel 'mean / limit - 1'\n"
            "set grid\nset key noenhanced outside top center horizontal\nset xrange [0:*]\nset offsets 0, graph 0.04, 0, 0\n"
            "plot 0 with lines dashtype 2 linewidth 2 linecolor 'black' title 'infinite width', " +
                plot);
}

template <class Real>
void compute(Arguments& a, Run& run) {
    if (!a.network.weights.empty()) refuse("--weights gives one network; an ensemble draws its own");
    if (!a.widths.empty() && (a.network.width || !a.network.hidden.empty())) refuse("--widths is a sweep: give it, --width or --hidden");
    if (std::set<Index>(a.widths.begin(), a.widths.end()).size() != a.widths.size()) refuse("--widths: each width once");
    if (!a.data.data.samples && a.data.data.source == "digits") a.data.data.samples = default_samples;
    const Samples samples = run.load(a.data, false);
    const HostMatrix<double>& x = samples.train.x;
    if (!a.widths.empty()) a.network.width = a.widths.front();
    Architecture architecture = resolve_architecture(a.network, x.cols(), std::nullopt);
    run.parameters.update(data_parameters(a.data, samples));
    run.parameters.update(network_parameters(a.network, architecture));
    if (!a.widths.empty()) {
        run.parameters.erase("width");
        run.parameters["widths"] = a.widths;
        if (architecture.hidden.empty()) refuse("--widths with --depth 1: a linear model has no width");
    }
    const Workers<Real> workers(run.backends<Real>(), run.ranks());
    if (run.planning()) return plan<Real>(a, run, workers.backends().front(), architecture, x.rows());
    run.results["ensembles"] = Json::array();
    Report report(run, a.run.out);
    Study<Real> study(a, run, workers, x);
    std::vector<std::string> files{"width.csv"};
    if (a.widths.empty()) {
        (void)study(architecture, a.run.out, report, true);
        if (!run.writes()) return;
        files = study.files();
    } else {
        std::vector<Ensemble> sweep;
        for (const Index width : a.widths) {
            std::fill(architecture.hidden.begin(), architecture.hidden.end(), width);
            files.push_back(fmt::format("width-{}/", width));
            const std::string folder = report.path(files.back());
            const auto held = hold_output_directory(folder);
            sweep.push_back(study(architecture, folder, report, false));
        }
        if (!run.writes()) return;
        const EnsembleLimit limit = study.limit(architecture);
        Rows table;
        write_text(report.path("width.csv"), width_csv(sweep.front().entries(), sweep, limit, a.widths, table));
        report.add_table("Mean = limit (1 + c / width + ..): the leading coefficients", table);
        EnsembleOptions chosen;
        chosen.sampler = sweep.front().options();
        choose_entries(a, x.rows(), chosen);
        add_width_figure(report, chosen.histograms, sweep, limit, a.widths);
    }
    report.finish(files);
}

}  // namespace

void add_ensemble_command(CLI::App& program) {
    auto a = std::make_shared<Arguments>();
    CLI::App* command = program.add_subcommand("ensemble", "moments of the kernel over many random networks, against exact theory");
    add_data_options(*command, a->data, false);
    add_network_options(*command, a->network, true);
    const auto group = "Ensemble";
    command->add_option("--networks", a->networks, "networks N")->capture_default_str()->group(group);
    command
        ->add_option(
            "--sampler", a->sampler,
            "weights (draws every weight) or conditional (the same law without any matrix between hidden layers, for wide networks "
            "on few samples)")
        ->capture_default_str()
        ->group(group);
    command->add_option("--widths", a->widths, "a sweep over the width of every hidden layer: one folder a width")
        ->delimiter(',')
        ->group(group);
    command->add_option("--block", a->block, "full, trace or diag")->capture_default_str()->group(group);
    command->add_flag("--per-layer", a->per_layer, "also the term of every layer: layers_mean.npy, L x the shape, and the others")
        ->group(group);
    command->add_option("--entries", a->entries, "entries whose law is binned, such as theta[1,0],nngp[0,0]: row and column from 0")
        ->default_str("of the first samples")
        ->group(group);
    command->add_option("--covariances", a->covariances, "pairs of entries, such as theta[0,0]*theta[1,1]")
        ->default_str("of the first samples and outputs")
        ->group(group);
    command->add_flag("--force", a->force, "start over in an --out that holds another ensemble")->group(group);
    add_run_options(*command, a->run);
    add_plan_options(*command, a->run.plan);
    command->footer(
        fmt::format("Of digits the first {} samples are taken unless --samples says otherwise; of other data all.\n"
                    "Examples:\n  ntkcuda ensemble --data sphere:n=2,d=2,seed=1 --depth 4 --width 20 --networks 1000000 --out law\n"
                    "  ntkcuda ensemble --samples 20 --depth 3 --widths 64,128,256 --sampler conditional --out sweep\n"
                    "  ntkcuda ensemble --device cuda:0,1 --depth 4 --width 256 --out gpus",
                    default_samples));
    command->callback([a] {
        const auto held = hold_output(a->run, "mean.npy, ensemble.csv, the figures and run.json");
        Run run("ensemble", a->run);
        run.parameters.update(Json{{"networks", a->networks}, {"sampler", a->sampler}, {"block", a->block}, {"per-layer", a->per_layer}});
        if (!a->entries.empty()) run.parameters["entries"] = a->entries;
        if (!a->covariances.empty()) run.parameters["covariances"] = a->covariances;
        with_precision(a->run, Fast::refused, [&]<class Real>(std::type_identity<Real>) { compute<Real>(*a, run); });
    });
}

}  // namespace ntk::cli

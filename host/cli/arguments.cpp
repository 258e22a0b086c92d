#include "arguments.hpp"

#include <ntkcuda/array_file.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ntk::cli {
namespace {

Error bad(const std::string& message) { return {ErrorCode::invalid_argument, message}; }

}  // namespace

void add_run_options(CLI::App& command, RunArguments& run) {
    const auto group = "Run";
    command
        .add_option("--device", run.device, "auto, cpu, cuda or cuda:i; for compare and ensemble also cuda:all or a list such as cuda:0,1")
        ->capture_default_str()
        ->group(group);
    command.add_option("--precision", run.precision, "fp64, fp32, or fast (kernel, predict: fp64 with layer Grams of FP16 operands)")
        ->capture_default_str()
        ->check(CLI::IsMember({"fp64", "fp32", "fast"}))
        ->group(group);
    command.add_option("--threads", run.threads, "CPU threads; 0: all")->capture_default_str()->check(CLI::NonNegativeNumber)->group(group);
    command.add_option("--memory", run.memory_gib, "GiB the run may use on its device [what is free]")
        ->check(CLI::PositiveNumber)
        ->group(group);
    command.add_option("--out", run.out, "where the results go")->group(group);
    command.add_flag("--json", run.json, "one JSON object on stdout, everything else on stderr")->group(group);
    command.add_flag("--quiet", run.quiet, "no progress and no tables")->group(group);
    command.add_option("--config", run.config, "options from a TOML file or an earlier run.json; the command line wins")->group(group);
}

void add_plan_options(CLI::App& command, PlanArguments& plan) {
    const auto group = "Plan";
    CLI::Option* dry =
        command.add_flag("--dry-run", plan.dry_run, "memory, flops and estimated time of the run, and nothing else (as ntkcuda plan)")
            ->group(group);
    command.add_option("--rates", plan.rates, "dry run: a file of rates (ntkcuda plan --save-rates) instead of measuring this machine")
        ->needs(dry)
        ->group(group);
    command.add_option("--ranks", plan.ranks, "dry run: also on so many ranks, each with such a device: 1,2,4,..")
        ->delimiter(',')
        ->check(CLI::PositiveNumber)
        ->needs(dry)
        ->group(group);
    command.add_option("--targets", plan.targets, "dry run: targets of data that have none, as synthetic data")
        ->check(CLI::PositiveNumber)
        ->needs(dry)
        ->group(group);
}

void add_iterations_option(CLI::App& command, PlanArguments& plan) {
    command.add_option("--iterations", plan.iterations, "dry run: iterations of conjugate gradients that are assumed")
        ->check(CLI::PositiveNumber)
        ->needs("--dry-run")
        ->capture_default_str()
        ->group("Plan");
}

void add_data_options(CLI::App& command, DataArguments& data, bool with_split) {
    const auto group = "Data";
    command
        .add_option("--data", data.data.source,
                    "digits, sphere:n=..,d=..,seed=.., gaussian:n=..,d=..,seed=.., or a CSV, .npy, .npz or IDX file")
        ->capture_default_str()
        ->group(group);
    command.add_option("--test", data.test, "test samples: a source like --data")->group(group);
    command.add_option("--target", data.data.target, "CSV: target column by name or number (from 1), or none [the last column]")
        ->group(group);
    command.add_option("--labels", data.data.labels, "labels for .npy and IDX")->group(group);
    command.add_option("--test-labels", data.test_labels, "labels for --test")->group(group);
    command.add_option("--samples", data.data.samples, "use the first N samples")->check(CLI::PositiveNumber)->group(group);
    command
        .add_option_function<std::string>(
            "--task",
            [&data](const std::string& name) {
                data.data.task = parse_name<Task>(
                    "--task", name,
                    {{"auto", Task::automatic}, {"classification", Task::classification}, {"regression", Task::regression}});
            },
            "auto, classification or regression [auto: text labels, or at most 20 distinct integers, are classes]")
        ->group(group);
    command
        .add_option("--normalize", data.normalization, "sphere (|x|^2 = d), unit (|x| = 1), standardize or none [by the kind of source]")
        ->group(group);
    if (!with_split) return;
    command.add_option("--split", data.split, "training share, without --test")
        ->capture_default_str()
        ->check(CLI::Range(0.0, 1.0))
        ->group(group);
    command.add_option("--split-seed", data.split_seed, "seed of the shuffle")->capture_default_str()->group(group);
}

void add_network_options(CLI::App& command, NetworkArguments& network, bool with_shape) {
    const auto group = "Network";
    if (with_shape) {
        command.add_option("--depth", network.depth, "affine layers L [3]")->group(group);
        command.add_option("--width", network.width, "width of every hidden layer [512]")->group(group);
        command.add_option("--hidden", network.hidden, "n1,n2,..: each hidden layer; gives the depth")->delimiter(',')->group(group);
        command.add_option("--weights", network.weights, ".npz with W1..WL (out x in) and perhaps b1..bL")->group(group);
    }
    command.add_option("--outputs", network.outputs, "outputs O [1]")->group(group);
    command.add_option("--activation", network.activation, "relu, leaky_relu:SLOPE, abs or erf")->capture_default_str()->group(group);
    command.add_option("--w-std", network.weight_std, "weight std sigma_w")->default_str("sqrt(2)")->group(group);
    command.add_option("--b-std", network.bias_std, "bias std sigma_b [0]")->group(group);
    command.add_option("--biases", network.biases, "none, fixed or trained [trained when --b-std > 0 or biases are given, else none]")
        ->group(group);
    command.add_option("--param", network.parametrization, "ntk or standard [ntk; with --weights: standard]")->group(group);
    command.add_option("--seed", network.seed, "seed of the weights")->capture_default_str()->group(group);
}

Samples load_samples(const DataArguments& arguments, bool hold_out, const PlanArguments& plan) {
    const auto load = [&](const DataOptions& options) {
        Dataset data = plan.dry_run ? load_shape(options) : load_data(options);
        if (!data.has_targets() && plan.targets > 0) data.y = HostMatrix<double>::without_values(data.samples(), plan.targets);
        return data;
    };
    Samples samples;
    samples.train = load(arguments.data);
    if (!arguments.test.empty()) {
        DataOptions options;
        options.source = arguments.test;
        options.target = arguments.data.target;
        options.labels = arguments.test_labels;
        options.task = !samples.train.has_targets()     ? arguments.data.task
                       : samples.train.classification() ? Task::classification
                                                        : Task::regression;
        options.classes = samples.train.classes;
        samples.test = load(options);
        if (samples.test->features() != samples.train.features())
            throw Error(ErrorCode::shape_mismatch, fmt::format("--test {} has {} features and --data {} has {}", arguments.test,
                                                               samples.test->features(), arguments.data.source, samples.train.features()));
    } else if (hold_out) {
        auto [train, test] = split(samples.train, arguments.split, arguments.split_seed);
        samples.train = std::move(train);
        samples.test = std::move(test);
    }
    const Normalization normalization =
        arguments.normalization.empty() ? samples.train.default_normalization : parse_normalization(arguments.normalization);
    if (plan.dry_run) {
        samples.normalizer = {normalization, samples.train.features(), {}};
        return samples;
    }
    samples.normalizer = make_normalizer(normalization, samples.train);
    samples.normalizer.apply(samples.train);
    if (samples.test) samples.normalizer.apply(*samples.test);
    return samples;
}

std::optional<Weights> load_weights(const NetworkArguments& arguments) {
    if (arguments.weights.empty()) return std::nullopt;
    return read_weights(arguments.weights);
}

namespace {

void refuse_shape_beside_weights(const NetworkArguments& a, const Architecture& architecture) {
    if (a.width) throw bad("--width contradicts --weights, which gives every width; leave it out");
    if (!a.hidden.empty() && a.hidden != architecture.hidden)
        throw bad(fmt::format("--hidden {} disagrees with --weights, whose hidden widths are {}", fmt::join(a.hidden, ","),
                              fmt::join(architecture.hidden, ",")));
    if (a.depth && *a.depth != architecture.depth())
        throw bad(fmt::format("--depth {} disagrees with --weights, which has {} layers", *a.depth, architecture.depth()));
    if (a.outputs && *a.outputs != architecture.outputs)
        throw bad(fmt::format("--outputs {} disagrees with --weights, which has {}", *a.outputs, architecture.outputs));
}

std::vector<Index> hidden_widths(const NetworkArguments& a) {
    constexpr Index default_depth = 3, default_width = 512;
    if (!a.hidden.empty()) {
        if (a.width) throw bad("--width and --hidden exclude each other: --hidden lists every hidden width");
        const auto implied = static_cast<Index>(a.hidden.size()) + 1;
        if (a.depth && *a.depth != implied)
            throw bad(fmt::format(
                "--depth {} needs {} hidden widths, but --hidden lists {} (depth counts affine layers, so --hidden gives depth {})",
                *a.depth, *a.depth - 1, a.hidden.size(), implied));
        return a.hidden;
    }
    const Index depth = a.depth.value_or(default_depth);
    if (depth < 1) throw bad(fmt::format("--depth must be 1 or more, not {}", depth));
    constexpr Index most_layers = 100'000'000;
    if (depth > most_layers) throw bad(fmt::format("--depth {} is beyond {}, the most layers this program accepts", depth, most_layers));
    return std::vector<Index>(static_cast<std::size_t>(depth - 1), a.width.value_or(default_width));
}

}  // namespace

Architecture resolve_architecture(const NetworkArguments& a, Index inputs, const std::optional<Weights>& weights, Index default_outputs) {
    Architecture architecture;
    architecture.activation = parse_activation(a.activation);
    architecture.weight_std = a.weight_std;
    architecture.bias_std = a.bias_std.value_or(0);
    architecture.parametrization =
        a.parametrization.empty() ? (weights ? Parametrization::standard : Parametrization::ntk) : parse_parametrization(a.parametrization);
    const bool has_biases = weights ? !weights->biases.empty() : architecture.bias_std > 0;
    if (weights) {
        architecture = architecture_of(*weights, architecture);
        refuse_shape_beside_weights(a, architecture);
        if (architecture.inputs != inputs)
            throw Error(ErrorCode::shape_mismatch,
                        fmt::format("--weights: W1 takes {} inputs, but the data have {} features", architecture.inputs, inputs));
        if (has_biases && architecture.parametrization == Parametrization::ntk && !a.bias_std)
            throw bad("--weights with biases and --param ntk needs --b-std, the factor of beta");
    } else {
        architecture.inputs = inputs;
        architecture.hidden = hidden_widths(a);
        architecture.outputs = a.outputs.value_or(default_outputs);
    }
    architecture.biases = a.biases.empty() ? (has_biases ? Biases::trained : Biases::none) : parse_biases(a.biases);
    if (weights && has_biases && architecture.biases == Biases::none) throw bad("--biases none contradicts --weights, which has b1..bL");
    if (weights && !has_biases && architecture.biases != Biases::none)
        throw bad(fmt::format("--biases {} contradicts --weights, which has no b1..bL", to_string(architecture.biases)));
    architecture.validate();
    return architecture;
}

}  // namespace ntk::cli

#pragma once

// What the command line says, before it is checked against the data: one struct for each group of options.

#include "names.hpp"

#include <ntkcuda/data.hpp>

#include <CLI/App.hpp>

#include <optional>
#include <string>
#include <vector>

namespace ntk::cli {

struct DataArguments {
    DataOptions data;
    std::string test, test_labels, normalization;
    double split = 0.8;
    std::uint64_t split_seed = 1;
};

struct NetworkArguments {
    std::optional<Index> depth, width;
    std::vector<Index> hidden;
    std::optional<Index> outputs;
    std::string activation = "relu", biases, parametrization, weights;
    double weight_std = std::numbers::sqrt2;
    std::optional<double> bias_std;
    std::uint64_t seed = 1;
};

struct PlanArguments {
    bool dry_run = false;      ///< everything is checked and planned, and nothing computed or written
    std::string rates;         ///< a file; empty: measured
    std::vector<int> ranks{};  ///< empty: as many as there are
    Index targets = 0;         ///< of data that have none; 0: as the run itself
    Index iterations = 100;    ///< of conjugate gradients, which nobody knows before
};

struct RunArguments {
    std::string device = "auto", precision = "fp64", out, config;
    int threads = 0;
    std::optional<double> memory_gib;
    bool json = false, quiet = false;
    PlanArguments plan;

    [[nodiscard]] bool fast() const { return precision == "fast"; }
    /// Of the numbers of the backend.
    [[nodiscard]] std::size_t real_bytes() const { return precision == "fp32" ? sizeof(float) : sizeof(double); }
};

/// Options every command shares: device, precision, threads, memory, output.
void add_run_options(CLI::App& command, RunArguments& run);
/// --dry-run and what belongs to it.
void add_plan_options(CLI::App& command, PlanArguments& plan);
/// --iterations, of a command with a solver that iterates; after the others.
void add_iterations_option(CLI::App& command, PlanArguments& plan);
/// --data and what belongs to it; `with_split` adds --split and --split-seed (commands that hold out test samples).
void add_data_options(CLI::App& command, DataArguments& data, bool with_split);
/// Activation, stds, biases, parametrization, outputs, seed; `with_shape` adds --depth, --width, --hidden, --weights.
void add_network_options(CLI::App& command, NetworkArguments& network, bool with_shape);

/// Training and test samples, normalised; test is empty when there is none and no split was asked for.
struct Samples {
    Dataset train;
    std::optional<Dataset> test;
    Normalizer normalizer;  ///< what was applied to both
};
/// `hold_out`: without --test, split the data by --split and --split-seed. For a dry run shapes without values (load_shape), with as many
/// targets as it says where there are none.
[[nodiscard]] Samples load_samples(const DataArguments& arguments, bool hold_out, const PlanArguments& plan = {});

/// The network that the arguments describe, for `inputs` features. Given weights decide depth, widths, outputs and biases; what
/// the arguments say against them is an Error(invalid_argument).
[[nodiscard]] Architecture resolve_architecture(const NetworkArguments& arguments, Index inputs, const std::optional<Weights>& weights,
                                                Index default_outputs = 1);
/// The weights of --weights, if given.
[[nodiscard]] std::optional<Weights> load_weights(const NetworkArguments& arguments);

/// The command line with the settings of --config (a TOML file, or the run.json of an earlier run) put before those given by hand.
/// Throws Error(io) or Error(invalid_argument).
[[nodiscard]] std::vector<std::string> expand_config(const std::vector<std::string>& arguments);

}  // namespace ntk::cli

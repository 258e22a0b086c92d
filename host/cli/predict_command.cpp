// ntkcuda predict: closed-form regression or classification.

#include "commands.hpp"
#include "kernel_memory.hpp"
#include "report.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/closed_form.hpp>
#include <ntkcuda/depth_limit.hpp>
#include <ntkcuda/metrics.hpp>

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>

namespace ntk::cli {
namespace {

struct Arguments {
    RunArguments run;
    DataArguments data;
    NetworkArguments network;
    KernelArguments kernel;
    double ridge = 0;
    std::optional<double> time;
    bool posterior = false, initial_function = false;
};

Error bad(const std::string& message) { return {ErrorCode::invalid_argument, message}; }

void check(const Arguments& a, const Architecture& architecture, Index targets) {
    const KernelName name = parse_kernel(a.kernel.kernel);
    const Block block = parse_block(a.kernel.block);
    if (block == Block::diag) throw bad("--block diag is not a system to solve; use trace or full");
    if (a.time && a.ridge > 0) throw bad("--time and --ridge exclude each other: gradient flow has no ridge");
    if (a.posterior && name != KernelName::nngp && name != KernelName::empirical_nngp)
        throw bad("--posterior is the NNGP posterior: use --kernel nngp or empirical-nngp");
    if (a.posterior && a.time) throw bad("--posterior and --time exclude each other");
    if (a.initial_function && !is_empirical(name))
        throw bad("--initial-function needs a finite network: use --kernel empirical-ntk or empirical-nngp");
    if ((block == Block::full || a.initial_function) && architecture.outputs != targets)
        throw bad(fmt::format("{} needs one output a target: --outputs is {}, the data have {} targets",
                              block == Block::full ? "--block full" : "--initial-function", architecture.outputs, targets));
    require_widths(name, a.network, architecture);
}

template <class Real>
struct Solution {
    HostMatrix<double> predictions;              // tests x targets
    std::optional<HostMatrix<double>> variance;  // tests x 1
    SystemReport report;
    std::string solver = "cholesky";
};

/// Above this condition number the entries of a limiting kernel no longer hold what its solution needs, and differences do.
constexpr double ill_conditioned = 1e8;

/// The family of the limiting kernel where its solution can be had from differences (normalized_system.hpp): a plain system, float64, ntk
/// parametrization, and a kernel that is a function of the angle.
std::optional<KernelFamily> family_by_differences(const Arguments& a, const Samples& samples, const Architecture& architecture) {
    const KernelName name = parse_kernel(a.kernel.kernel);
    if (is_empirical(name) || a.ridge > 0 || a.time || a.posterior || a.kernel.block == "full" ||
        architecture.parametrization != Parametrization::ntk)
        return std::nullopt;
    KernelFamily family;
    family.dual = architecture.activation;
    family.weight_std = architecture.weight_std;
    family.bias_std = architecture.biases == Biases::none ? 0 : architecture.bias_std;
    family.trained_biases = architecture.biases == Biases::trained;
    family.kernel = name == KernelName::ntk ? InfiniteKernel::ntk : InfiniteKernel::nngp;
    return angle_alone(family, samples.train.x, samples.test->x) ? std::optional(family) : std::nullopt;
}

double norm(const HostMatrix<double>& x, Index row) {
    double sum = 0;
    for (Index j = 0; j < x.cols(); ++j) sum += x(row, j) * x(row, j);
    return std::sqrt(sum);
}

DepthOptions differences(const KernelFamily& family, Index depth) {
    DepthOptions options;
    options.family = family;
    options.depths = {depth};
    return options;
}

/// u(x) y from the differences 1 - K. Unequal norms (homogeneous kernels only) enter by their ratio.
/// Throws Error(not_positive_definite) where these do not resolve it either.
Solution<double> solve_by_differences(const std::shared_ptr<Backend<double>>& backend, const KernelFamily& family, const Samples& samples,
                                      Index depth) {
    const DepthResult result = depth_limit(backend, samples.train, &*samples.test, differences(family, depth));
    const DepthPoint& point = result.points.front();
    if (!point.closed_form_note.empty()) throw Error(ErrorCode::not_positive_definite, point.closed_form_note);
    const HostMatrix<double>&u = result.weights.front(), &y = samples.train.y;
    const bool by_norm = family.dual.homogeneous() && family.bias_std == 0;
    Solution<double> solution;
    solution.predictions = HostMatrix<double>(u.rows(), y.cols());
    for (Index i = 0; i < u.rows(); ++i)
        for (Index j = 0; j < u.cols(); ++j) {
            const double weight = u(i, j) * (by_norm ? norm(samples.test->x, i) / norm(samples.train.x, j) : 1);
            for (Index t = 0; t < y.cols(); ++t) solution.predictions(i, t) += weight * y(j, t);
        }
    solution.report.condition = std::pow(10, point.log10_lambda_max - point.log10_lambda_min);
    solution.report.condition_is_estimate = false;
    solution.report.log_determinant = point.log_determinant;
    solution.solver = "bordered";
    return solution;
}

/// What prediction takes at once: the symmetric kernel is made, then the cross kernel beside it, then the system is solved in place.
double predict_bytes(const Arguments& a, const KernelMemory& memory, const Samples& samples, std::size_t real_size) {
    const Index n = samples.train.samples(), m = samples.test->samples();
    const double kernel = memory.result(n, 0), cross = memory.result(m, n), real = static_cast<double>(real_size);
    const double features = static_cast<double>(samples.train.features()) * real;
    double solving = kernel + cross + static_cast<double>(n + m) * features;
    solving += 4 * static_cast<double>(n * samples.train.y.cols()) * real;           // targets, and the weights of the samples
    if (a.time) solving += (memory.on_cpu() ? 2 : 3) * kernel;                       // work space of the eigenvectors
    if (a.posterior) solving += cross;                                               // its rows, solved
    if (a.posterior || a.initial_function) solving += memory.making(n, 0) - kernel;  // one more pass
    return memory.fixed(n + m) + std::max({memory.making(n, 0) + static_cast<double>(m) * features, kernel + memory.making(m, n), solving});
}

template <class Real>
Solution<Real> solve(const Arguments& a, Run& run, const Samples& samples, const Architecture& architecture,
                     const std::optional<Weights>& weights) {
    const auto backend = run.backend<Real>();
    const Index n = samples.train.samples(), m = samples.test->samples(), targets = samples.train.y.cols();
    const Block block = parse_block(a.kernel.block);
    const Index r = rows_per_sample(block, architecture);
    KernelMemory memory(*backend, a.kernel, architecture, weights.has_value(), targets);
    memory.limit_jacobian_block(run);
    run.require_memory(fmt::format("prediction from {} samples", n), predict_bytes(a, memory, samples, sizeof(Real)));
    std::optional<KernelFamily> family;
    if constexpr (std::is_same_v<Real, double>) family = family_by_differences(a, samples, architecture);
    if (family &&
        depth_memory(differences(*family, architecture.depth()), samples.train.x, samples.test->x).device > run.memory_available())
        family.reset();
    const Matrix<Real> train = upload(backend, samples.train.x), test = upload(backend, samples.test->x);
    std::optional<KernelSource<Real>> source;
    auto [kernel, cross] = run.timed("kernel", true, [&] {
        source.emplace(backend, a.kernel, architecture, a.network.seed, weights);
        source->limit_jacobian_block(memory.jacobian_block());
        auto pair = std::pair{source->symmetric(train), source->cross(test, train)};
        backend->synchronize();
        return pair;
    });
    const double resolution = kernel_resolution(a.kernel, kernel.rows());
    if (a.run.fast()) run.report_resolution(resolution);
    return run.timed("solve", true, [&] {
        Matrix<Real> y = upload(backend, samples.train.y), start;
        if (a.initial_function) {
            backend->axpy(-1, source->initial_function(train).view(), y.view());
            start = source->initial_function(test);
        }
        Matrix<Real> stacked(backend, n * r, block == Block::full ? 1 : targets);
        backend->copy(block == Block::full ? y.view().reshaped(n * targets, 1) : y.view(), stacked.view());
        Solution<Real> solution;
        Matrix<Real> predicted;
        if (a.time) {
            const GradientFlow<Real> flow(std::move(kernel), resolution);
            predicted = flow.predict(cross, stacked, *a.time);
            solution.report = flow.report();
        } else {
            std::optional<KernelSystem<Real>> factorised;
            std::exception_ptr refusal;
            try {
                factorised.emplace(std::move(kernel), a.ridge, resolution);
            } catch (const Error& e) {
                if (!family || e.code() != ErrorCode::not_positive_definite) throw;
                refusal = std::current_exception();
            }
            if constexpr (std::is_same_v<Real, double>)
                if (family && (refusal || factorised->report().condition > ill_conditioned)) try {
                        return solve_by_differences(backend, *family, samples, architecture.depth());
                    } catch (const Error& e) {
                        if (e.code() != ErrorCode::not_positive_definite) throw;
                    }
            if (refusal) std::rethrow_exception(refusal);  // its advice is about the kernel that was asked for
            const KernelSystem<Real>& system = factorised.value();
            predicted = system.predict(cross, stacked);
            solution.report = system.report();
            if (a.posterior) solution.variance = download(system.posterior_variance(cross, source->diagonal(test))).template cast<double>();
        }
        if (a.initial_function) backend->axpy(1, start.view().reshaped(predicted.rows(), predicted.cols()), predicted.view());
        const auto flat = download(predicted);
        solution.predictions = HostMatrix<double>(m, targets, std::vector<double>(flat.data(), flat.data() + flat.size()));
        return solution;
    });
}

/// One line a test sample: what was expected (if known), what was predicted, and the variance.
std::string as_csv(const Dataset& test, const Dataset& train, const HostMatrix<double>& predictions,
                   const std::optional<HostMatrix<double>>& variance) {
    const bool classes = train.classification(), truth = test.has_targets();
    std::string text = "sample";
    if (truth && classes) text += ",class";
    if (classes) text += ",predicted_class";
    for (Index t = 0; t < predictions.cols(); ++t) {
        if (truth && !classes) text += fmt::format(",target_{}", t + 1);
        text += classes ? fmt::format(",score_{}", train.classes[static_cast<std::size_t>(t)]) : fmt::format(",predicted_{}", t + 1);
    }
    text += variance ? ",variance\n" : "\n";
    for (Index i = 0; i < predictions.rows(); ++i) {
        text += std::to_string(i + 1);
        if (truth && classes) text += "," + train.classes[static_cast<std::size_t>(test.label[static_cast<std::size_t>(i)])];
        if (classes) text += "," + train.classes[static_cast<std::size_t>(predicted_class(predictions, i))];
        for (Index t = 0; t < predictions.cols(); ++t) {
            if (truth && !classes) text += fmt::format(",{}", test.y(i, t));
            text += fmt::format(",{}", predictions(i, t));
        }
        text += variance ? fmt::format(",{}\n", (*variance)(i, 0)) : "\n";
    }
    return text;
}

void add_results(Run& run, Report& report, const Samples& samples, const HostMatrix<double>& predictions, const SystemReport& system,
                 const std::string& solver) {
    const Dataset& test = *samples.test;
    const std::string condition_name = system.condition_is_estimate ? "1-norm estimate" : "lambda_max / lambda_min";
    run.results.update({{"condition", system.condition},
                        {"condition_kind", condition_name},
                        {"log_determinant", system.log_determinant},
                        {"solver", solver}});
    Rows rows{{"quantity", "value"}};
    if (test.has_targets()) {
        if (samples.train.classification()) {
            const double correct = accuracy(predictions, test);
            run.results["accuracy"] = correct;
            rows.push_back({"test accuracy", fmt::format("{:.2f} %", 100 * correct)});
        }
        const double error = rmse(predictions, test.y);
        run.results["rmse"] = error;
        rows.push_back({"test RMSE", fmt::format("{:.6g}", error)});
    }
    rows.push_back({"condition number", fmt::format("{:.4g} ({})", system.condition, condition_name)});
    rows.push_back({"log determinant", fmt::format("{:.10g}", system.log_determinant)});
    report.add_table("Closed-form prediction", rows);
}

template <class Real>
void compute(const Arguments& a, Run& run) {
    const Samples samples = run.timed("data", false, [&] { return load_samples(a.data, true); });
    run.describe(samples);
    if (!samples.train.has_targets())
        throw bad(fmt::format("predict needs targets: {} has none (--labels gives them for .npy and IDX, --target names a CSV column)",
                              samples.train.source));
    const auto weights = load_weights(a.network);
    const Index targets = samples.train.y.cols();
    const bool output_per_target = a.kernel.block == "full" || a.initial_function;
    const Architecture architecture = resolve_architecture(a.network, samples.train.features(), weights, output_per_target ? targets : 1);
    check(a, architecture, targets);
    run.parameters.update(data_parameters(a.data, samples));
    if (a.data.test.empty()) run.parameters.update(Json{{"split", a.data.split}, {"split-seed", a.data.split_seed}});
    run.parameters.update(network_parameters(a.network, architecture));

    const Solution<Real> solution = solve<Real>(a, run, samples, architecture, weights);
    Report report(run, a.run.out);
    add_results(run, report, samples, solution.predictions, solution.report, solution.solver);
    if (solution.solver == "bordered")
        run.say(
            "solver    bordered: the kernel is too near the matrix of ones for its entries; condition and determinant are of the "
            "kernel over its diagonal");
    std::vector<std::string> files{"predictions.npy", "predict.csv"};
    run.timed("write", false, [&] {
        write_npy(report.path("predictions.npy"), solution.predictions);
        write_text(report.path("predict.csv"), as_csv(*samples.test, samples.train, solution.predictions, solution.variance));
        if (!solution.variance) return;
        write_npy(report.path("variance.npy"), *solution.variance);
        files.push_back("variance.npy");
    });
    report.finish(files);
}

}  // namespace

void add_predict_command(CLI::App& program) {
    auto a = std::make_shared<Arguments>();
    CLI::App* command = program.add_subcommand("predict", "closed-form regression or classification with any of the kernels");
    add_data_options(*command, a->data, true);
    add_network_options(*command, a->network, true);
    add_kernel_options(*command, a->kernel, "ntk");
    const auto group = "Closed form";
    command->add_option("--ridge", a->ridge, "lambda of (K + lambda I)")
        ->capture_default_str()
        ->check(CLI::NonNegativeNumber)
        ->group(group);
    command->add_option("--time", a->time, "gradient flow to time T instead of the limit")->check(CLI::PositiveNumber)->group(group);
    command->add_flag("--posterior", a->posterior, "NNGP posterior variance")->group(group);
    command->add_flag("--initial-function", a->initial_function, "start from the network's own f_0 instead of 0")->group(group);
    add_run_options(*command, a->run);
    command->footer(
        "Examples:\n  ntkcuda predict --depth 5 --ridge 1e-6 --out digits\n"
        "  ntkcuda predict --data train.csv --test test.csv --kernel nngp --posterior --ridge 0.01 --out run");
    command->callback([a] {
        if (a->run.out.empty()) throw bad("--out DIRECTORY is needed: where predictions.npy, predict.csv and run.json go");
        const auto held = hold_output_directory(a->run.out);
        Run run("predict", a->run);
        if (a->run.fast()) a->kernel.gram = GramPrecision::half;
        run.parameters.update(Json{{"kernel", a->kernel.kernel},
                                   {"block", a->kernel.block},
                                   {"method", a->kernel.method},
                                   {"ridge", a->ridge},
                                   {"posterior", a->posterior},
                                   {"initial-function", a->initial_function}});
        if (a->time) run.parameters["time"] = *a->time;
        with_precision(a->run, Fast::taken, [&]<class Real>(std::type_identity<Real>) { compute<Real>(*a, run); });
    });
}

}  // namespace ntk::cli

// ntkcuda predict: closed-form regression or classification.

#include "commands.hpp"
#include "distribution.hpp"
#include "fit_file.hpp"
#include "matrix_free_solver.hpp"
#include "plan_outline.hpp"
#include "predict_memory.hpp"
#include "predict_output.hpp"
#include "value_list.hpp"

#include <ntkcuda/depth_limit.hpp>

#include <CLI/App.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>

namespace ntk::cli {
namespace {

Error bad(const std::string& message) { return {ErrorCode::invalid_argument, message}; }

void check(const PredictArguments& a, const Architecture& architecture, Index targets) {
    const KernelName name = parse_kernel(a.kernel.kernel);
    const Block block = parse_block(a.kernel.block);
    if (block == Block::diag) throw bad("--block diag is not a system to solve; use trace or full");
    if (a.posterior && name != KernelName::nngp && name != KernelName::empirical_nngp)
        throw bad("--posterior is the NNGP posterior: use --kernel nngp or empirical-nngp");
    if (a.initial_function && !is_empirical(name))
        throw bad("--initial-function needs a finite network: use --kernel empirical-ntk or empirical-nngp");
    if ((block == Block::full || a.initial_function) && architecture.outputs != targets)
        throw bad(fmt::format("{} needs one output a target: --outputs is {}, the data have {} targets",
                              block == Block::full ? "--block full" : "--initial-function", architecture.outputs, targets));
    if (a.path() && rows_per_sample(block, architecture) > 1)
        throw bad("several ridges or times leave out one sample at a time, and --block full has several rows a sample; use --block trace");
    require_widths(name, a.network, architecture);
}

/// Above this condition number the entries of a limiting kernel no longer hold what its solution needs, and differences do.
constexpr double ill_conditioned = 1e8;

/// The family of the limiting kernel where its solution can be had from differences (normalized_system.hpp): a plain system, float64, ntk
/// parametrization, and a kernel that is a function of the angle.
std::optional<KernelFamily> family_by_differences(const PredictArguments& a, const Samples& samples, const Architecture& architecture) {
    const KernelName name = parse_kernel(a.kernel.kernel);
    if (is_empirical(name) || a.ridges.back() > 0 || !a.times.empty() || a.posterior || a.kernel.block == "full" ||
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
Solution solve_by_differences(const std::shared_ptr<Backend<double>>& backend, const KernelFamily& family, const Samples& samples,
                              Index depth) {
    const DepthResult result = depth_limit(backend, samples.train, &*samples.test, differences(family, depth));
    const DepthPoint& point = result.points.front();
    if (!point.closed_form_note.empty()) throw Error(ErrorCode::not_positive_definite, point.closed_form_note);
    const HostMatrix<double>&u = result.weights.front(), &y = samples.train.y;
    const bool by_norm = family.dual.homogeneous() && family.bias_std == 0;
    Solution solution;
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

constexpr const char* no_coefficients =
    "--save-fit: the kernel is too near the matrix of ones for coefficients of its entries to be kept (its solution came from "
    "differences); "
    "give a --ridge";

/// What the root finds, on every rank.
bool agreed(bool on_this_rank) {
    const auto mine = static_cast<std::byte>(on_this_rank);
    return ranks().broadcast(std::span(&mine, 1)).front() != std::byte{0};
}

/// The same on the root alone, which is all that writes a solution; none, for every rank, where the differences do not resolve it.
std::optional<Solution> differences_on_root(const std::shared_ptr<Backend<double>>& backend, const KernelFamily& family,
                                            const Samples& samples, Index depth) {
    std::optional<Solution> solution;
    bool found = false;
    on_root([&] {
        try {
            solution = solve_by_differences(backend, family, samples, depth);
            found = true;
        } catch (const Error& e) {
            if (e.code() != ErrorCode::not_positive_definite) throw;
        }
    });
    if (!agreed(found)) return std::nullopt;
    return solution ? std::move(solution) : Solution();
}

/// Cholesky, and where the kernel is too ill-conditioned for it the differences, if it has them. `factorise` returns the condition of the
/// system, and `finish` the solution from its factor.
template <class Real, class Factorise, class Finish>
Solution cholesky_or_differences(const PredictTask<Real>& task, const Factorise& factorise, const Finish& finish) {
    const Samples& samples = task.samples;
    const Index depth = task.architecture.depth();
    std::optional<KernelFamily> family;
    if constexpr (std::is_same_v<Real, double>) family = family_by_differences(task.arguments, samples, task.architecture);
    if (family &&
        !agreed(depth_memory(differences(*family, depth), samples.train.x, samples.test->x).device <= task.run.memory_available()))
        family.reset();
    double condition = std::numeric_limits<double>::infinity();
    std::exception_ptr refusal;
    try {
        condition = factorise();
    } catch (const Error& e) {
        if (!family || e.code() != ErrorCode::not_positive_definite) throw;
        refusal = std::current_exception();
    }
    if constexpr (std::is_same_v<Real, double>)
        if (family && condition > ill_conditioned)
            if (auto solution = differences_on_root(task.backend, *family, samples, depth)) return std::move(*solution);
    if (refusal) std::rethrow_exception(refusal);  // its advice is about the kernel that was asked for
    return finish();
}

template <class Real>
Solution solve_cholesky(const PredictTask<Real>& task, Problem<Real> problem, const TestDiagonal<Real>& diagonal) {
    std::optional<KernelSystem<Real>> system;
    return cholesky_or_differences(
        task,
        [&] {
            system.emplace(std::move(problem.kernel), task.arguments.ridges.front(), problem.resolution);
            return system->report().condition;
        },
        [&] { return solve_factorised(*system, problem, diagonal); });
}

template <class Real>
Solution solve_together(const PredictTask<Real>& task) {
    std::unique_ptr<DistributedSolver> solver;
    return cholesky_or_differences(
        task,
        [&] {
            solver = distribution()->factorise(task);
            return solver->condition();
        },
        [&] { return solver->solve(); });
}

/// A row for each test, of predictions that have one for each output (--block full).
void shape_predictions(Solution& solution, Index tests, Index targets) {
    const HostMatrix<double>& flat = solution.predictions;
    if (!flat.empty())
        solution.predictions = HostMatrix<double>(tests, targets, std::vector<double>(flat.data(), flat.data() + flat.size()));
}

/// The network's start at many samples, some at a time.
template <class Real>
Matrix<Real> initial_function(const KernelSource<Real>& source, Matrix<Real>& x, Index outputs) {
    constexpr Index batch = 1024;
    Matrix<Real> start(x.backend(), x.rows(), outputs);
    for (Index first = 0; first < x.rows(); first += batch) {
        const Index count = std::min(batch, x.rows() - first);
        const auto some = Matrix<Real>::borrow(x.backend(), x.view().row_range(first, count));
        x.backend()->copy(source.initial_function(some).view(), start.view().row_range(first, count));
    }
    return start;
}

/// The targets of the system, and where the network starts.
template <class Real>
void set_targets(const PredictArguments& a, const KernelSource<Real>& source, const Samples& samples, Matrix<Real>& train,
                 Matrix<Real>& test, Problem<Real>& problem) {
    const auto& backend = train.backend();
    const Index n = train.rows(), targets = samples.train.y.cols();
    Matrix<Real> y = upload(backend, samples.train.y);
    if (a.initial_function) {
        problem.train_start = initial_function(source, train, targets);
        problem.test_start = initial_function(source, test, targets);
        backend->axpy(-1, problem.train_start.view(), y.view());
    }
    const bool full = a.kernel.block == "full";
    problem.targets = Matrix<Real>(backend, full ? n * targets : n, full ? 1 : targets);
    backend->copy(full ? y.view().reshaped(n * targets, 1) : y.view(), problem.targets.view());
}

/// By the kernel matrix: Cholesky, an eigendecomposition, or differences.
template <class Real>
Solution solve_matrix(const PredictTask<Real>& task, KernelSource<Real>& source, Matrix<Real>& train, Matrix<Real>& test) {
    const PredictArguments& a = task.arguments;
    Problem<Real> problem;
    task.run.timed("kernel", true, [&] {
        Progress bar(task.run, fmt::format("kernel: {}", steps_of(parse_kernel(a.kernel.kernel))));
        source.on_progress([&](Index done, Index total) { bar(done, total); });
        problem.kernel = source.symmetric(train);
        source.on_progress({});
        problem.cross = source.cross(test, train);
        train.backend()->synchronize();
    });
    problem.resolution = kernel_resolution(a.kernel, problem.kernel.rows());
    if (a.run.fast()) task.run.report_resolution(problem.resolution);
    return task.run.timed("solve", true, [&] {
        set_targets(a, source, task.samples, train, test, problem);
        if (a.spectral()) return solve_by_spectrum(a, std::move(problem), task.samples.train, &*task.samples.test);
        TestDiagonal<Real> diagonal;
        if (a.posterior) diagonal = [&] { return source.diagonal(test); };
        return solve_cholesky(task, std::move(problem), diagonal);
    });
}

/// On each rank, so that all choose the same solver.
double least_available(const Run& run) {
    const std::vector<double> all = of_every_rank(run.ranks(), run.memory_available());
    return *std::min_element(all.begin(), all.end());
}

template <class Real>
Solution solve(const PredictArguments& a, Run& run, const Samples& samples, const Architecture& architecture,
               const std::optional<Weights>& weights) {
    const auto backend = run.backend<Real>();
    const Index n = samples.train.samples(), m = samples.test->samples(), targets = samples.train.y.cols();
    const PredictTask<Real> task{a, run, samples, architecture, weights, backend};
    KernelMemory memory(*backend, a.kernel, architecture, weights.has_value(), targets);
    memory.fit_to(run);
    const SampleCounts size{n, m, samples.train.features(), targets};
    if (run.planning()) {
        show_plan(run, backend, predict_outline(run, backend, a, architecture, memory, size));
        return {};
    }
    const SolverChoice choice =
        choose_solver(a, SolverQuestion<Real>{backend, architecture, memory, size, run.ranks().size(), least_available(run)});
    run.require_memory(fmt::format("prediction from {} samples by {}", n, choice.name), choice.bytes);
    run.say(fmt::format("solver    {}: {}", choice.name, choice.why));
    if (distribution() && choice.solver == Solver::cholesky) {
        Solution solution = solve_together(task);
        shape_predictions(solution, m, targets);
        return solution;
    }
    Matrix<Real> train = upload(backend, samples.train.x), test = upload(backend, samples.test->x);
    KernelSource<Real> source(backend, a.kernel, architecture, a.network.seed, weights);
    source.limit_jacobian_block(memory.jacobian_block());
    Solution solution;
    if (choice.solver == Solver::cholesky) {
        solution = solve_matrix(task, source, train, test);
        if (solution.path) return solution;
    } else {
        Problem<Real> problem;
        set_targets(a, source, samples, train, test, problem);
        solution = solve_matrix_free(a, run, choice, source, train, test, problem);
    }
    shape_predictions(solution, m, targets);
    return solution;
}

void save_fit(const PredictArguments& a, Samples samples, const Architecture& architecture, std::optional<Weights> weights,
              const Solution& solution) {
    SavedFit fit;
    fit.kernel = a.kernel;
    fit.precision = a.run.precision;
    fit.architecture = architecture;
    if (is_empirical(parse_kernel(a.kernel.kernel)))
        fit.weights = weights ? std::move(weights) : std::optional(draw_weights(architecture, a.network.seed));
    fit.normalizer = std::move(samples.normalizer);
    fit.source = samples.train.source;
    fit.classes = std::move(samples.train.classes);
    fit.targets = samples.train.y.cols();
    fit.initial_function = a.initial_function;
    fit.solver = solution.path ? Json{{a.times.empty() ? "ridge" : "time", solution.path->chosen_point().value}} : solver_parameters(a);
    fit.report = solution.report;
    fit.inputs = std::move(samples.train.x);
    fit.coefficients = solution.coefficients;
    fit.factor = solution.factor;
    write_fit(a.save_fit, fit);
}

template <class Real>
void compute(const PredictArguments& a, Run& run) {
    const Samples samples = run.load(a.data, true);
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

    const Solution solution = solve<Real>(a, run, samples, architecture, weights);
    if (run.planning() || !run.writes()) return;
    if (!a.save_fit.empty()) {
        if (solution.solver == "bordered") throw Error(ErrorCode::not_positive_definite, no_coefficients);
        run.timed("write", false, [&] { save_fit(a, samples, architecture, weights, solution); });
        run.say(fmt::format("fit       {}", a.save_fit));
    }
    finish_prediction(run, samples.train, *samples.test, solution);
}

void predict_from_samples(PredictArguments a) {
    check_solver(a);
    if (!a.save_fit.empty()) require_fit_path(a.save_fit);
    const auto held = hold_output(a.run, "predictions.npy, predict.csv and run.json");
    Run run("predict", a.run);
    if (a.run.fast()) a.kernel.gram = GramPrecision::half;
    run.parameters.update(Json{{"kernel", a.kernel.kernel},
                               {"block", a.kernel.block},
                               {"method", a.kernel.method},
                               {"passes", a.kernel.passes},
                               {"posterior", a.posterior},
                               {"initial-function", a.initial_function}});
    run.parameters.update(solver_parameters(a));
    run.parameters.update(Json{{"solver", a.solver}, {"max-iterations", a.max_iterations}});
    if (a.tolerance) run.parameters["tolerance"] = *a.tolerance;
    if (!a.save_fit.empty()) run.parameters["save-fit"] = a.save_fit;
    with_precision(a.run, Fast::taken, [&]<class Real>(std::type_identity<Real>) { compute<Real>(a, run); });
}

/// Throws Error(invalid_argument) naming an option on the command line that neither `allowed` nor every run has.
void require_only(const CLI::App& command, const std::string& why, std::vector<std::string> allowed) {
    for (const char* name : {"--device", "--precision", "--threads", "--memory", "--out", "--json", "--quiet", "--config"})
        allowed.emplace_back(name);
    for (const CLI::Option* option : command.get_options())
        if (option->count() > 0 && std::find(allowed.begin(), allowed.end(), option->get_name()) == allowed.end())
            throw bad(fmt::format("{}: leave out {}", why, option->get_name()));
}

void add_solver_options(CLI::App& command, PredictArguments& a) {
    const auto group = "Closed form";
    command
        .add_option_function<std::string>(
            "--ridge",
            [&a](const std::string& text) {
                a.ridges = parse_values("--ridge", text);
                if (!std::isfinite(a.ridges.back())) throw bad(fmt::format("--ridge '{}': a ridge is finite", text));
            },
            "lambda of (K + lambda I); several (0,1e-6,1e-3 or 1e-8:1:log) are compared by leave-one-out")
        ->default_str("0")
        ->group(group);
    command
        .add_option_function<std::string>(
            "--time",
            [&a](const std::string& text) {
                a.times = parse_values("--time", text);
                if (a.times.front() == 0) throw bad(fmt::format("--time '{}': a time is > 0", text));
            },
            "gradient flow to time T, or to several, instead of the limit")
        ->group(group);
    command
        .add_option("--solver", a.solver, "cholesky, cg (no kernel matrix), features (of finite networks), or auto: the first that fits")
        ->capture_default_str()
        ->check(CLI::IsMember({"auto", "cholesky", "cg", "features"}))
        ->group(group);
    command.add_option("--tolerance", a.tolerance, "cg: the relative residual to reach [1e-8; fp32: 1e-4]")->group(group);
    command.add_option("--max-iterations", a.max_iterations, "cg: refused beyond")->capture_default_str()->group(group);
    command.add_flag("--posterior", a.posterior, "posterior variance (NNGP kernels, and kernels given as files)")->group(group);
    command.add_flag("--initial-function", a.initial_function, "start from the network's own f_0 instead of 0")->group(group);
}

void add_file_options(CLI::App& command, PredictArguments& a) {
    command.add_option("--save-fit", a.save_fit, "keep what predictions at new points need: FIT.npz")->group("Fit");
    command.add_option("--fit", a.fit, "predict --test from a kept fit; it has kernel, network and normalisation")->group("Fit");
    const auto group = "Kernel from files";
    command.add_option("--train-kernel", a.kernel_files.train, "a kernel of your own, samples x samples (.npy), with --labels or --data")
        ->group(group);
    command.add_option("--test-kernel", a.kernel_files.test, "its cross kernel, tests x samples (.npy); without it: leave-one-out scores")
        ->group(group);
    command.add_option("--test-diagonal", a.kernel_files.diagonal, "the kernel of each test with itself (.npy), for --posterior")
        ->group(group);
}

void run_predict(const CLI::App& command, const PredictArguments& a) {
    const auto given = [&](const char* option) { return command.get_option(option)->count() > 0; };
    if (given("--fit")) {
        require_only(command, "--fit has the samples, the kernel and its solution",
                     {"--fit", "--test", "--test-labels", "--target", "--posterior"});
        return on_root([&] { predict_from_fit(a, given("--precision")); });
    }
    if (given("--train-kernel")) {
        require_only(command, "--train-kernel is the kernel, and has no network and no new points",
                     {"--train-kernel", "--test-kernel", "--test-diagonal", "--data", "--test", "--labels", "--test-labels", "--target",
                      "--task", "--samples", "--ridge", "--time", "--posterior"});
        return on_root([&] { predict_from_kernel_files(a, given("--data")); });
    }
    for (const char* option : {"--test-kernel", "--test-diagonal"})
        if (given(option)) throw bad(fmt::format("{} belongs to --train-kernel", option));
    if (!distribution() || (a.solver != "features" && distribution()->shares(a))) return predict_from_samples(a);
    on_root([&] { predict_from_samples(a); });
}

}  // namespace

void check_solver(const PredictArguments& a) {
    if (!a.times.empty() && a.ridges.back() > 0) throw bad("--time and --ridge exclude each other: gradient flow has no ridge");
    if (a.posterior && !a.times.empty()) throw bad("--posterior and --time exclude each other");
    if (a.posterior && a.path()) throw bad("--posterior is of one ridge: choose among several without it first");
    if (a.tolerance && a.solver != "auto" && a.solver != "cg") throw bad("--tolerance belongs to --solver cg");
}

Json solver_parameters(const PredictArguments& a) {
    const auto one_or_all = [](const std::vector<double>& values) { return values.size() == 1 ? Json(values.front()) : Json(values); };
    return a.times.empty() ? Json{{"ridge", one_or_all(a.ridges)}} : Json{{"time", one_or_all(a.times)}};
}

void add_predict_command(CLI::App& program) {
    auto a = std::make_shared<PredictArguments>();
    CLI::App* command = program.add_subcommand("predict", "closed-form regression or classification with any of the kernels");
    add_data_options(*command, a->data, true);
    add_network_options(*command, a->network, true);
    add_kernel_options(*command, a->kernel, "ntk");
    add_solver_options(*command, *a);
    add_file_options(*command, *a);
    add_run_options(*command, a->run);
    add_plan_options(*command, a->run.plan);
    add_iterations_option(*command, a->run.plan);
    command->footer(
        "Examples:\n  ntkcuda predict --depth 5 --ridge 1e-6 --out digits\n"
        "  ntkcuda predict --data train.csv --test test.csv --kernel nngp --posterior --ridge 0.01 --out run\n"
        "  ntkcuda predict --ridge 1e-8:1:log --out ridges        (one eigendecomposition; the best by leave-one-out)\n"
        "  ntkcuda predict --time 0.01:100:log --out times\n"
        "  ntkcuda predict --data X.npy --labels y.npy --kernel empirical-ntk --ridge 1 --memory 4 --out big   (conjugate gradients)\n"
        "  ntkcuda predict --data train.csv --ridge 1e-3 --save-fit fit.npz --out run\n"
        "  ntkcuda predict --fit fit.npz --test new.csv --out new\n"
        "  ntkcuda predict --train-kernel K.npy --test-kernel k.npy --labels y.npy --ridge 1e-6,1e-3 --out run");
    command->callback([a, command] { run_predict(*command, *a); });
}

}  // namespace ntk::cli

// ntkcuda predict --train-kernel: the closed form of kernels given as files.

#include "predict.hpp"
#include "predict_output.hpp"

#include <ntkcuda/array_file.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ntk::cli {
namespace {

Error bad(const std::string& message) { return {ErrorCode::invalid_argument, message}; }

HostMatrix<double> read_matrix(const std::string& path, const std::string& expected) {
    Array array = read_npy(path);
    if (array.shape.size() != 2 || array.values.empty())
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("{}: has shape ({}): expected {}", path, fmt::join(array.shape, ", "), expected));
    HostMatrix<double> matrix = std::move(array).as_matrix();
    for (Index e = 0; e < matrix.size(); ++e)
        if (!std::isfinite(matrix.data()[e]))
            throw Error(ErrorCode::io, fmt::format("{}: entry [{}, {}] is not finite", path, e / matrix.cols(), e % matrix.cols()));
    return matrix;
}

/// The rounding of a float32 kernel is taken for symmetric, and said; more is not.
void check_symmetry(Run& run, const std::string& path, const HostMatrix<double>& kernel) {
    double largest = 0, scale = 0;
    Index row = 0, col = 0;
    for (Index i = 0; i < kernel.rows(); ++i) {
        scale = std::max(scale, std::abs(kernel(i, i)));
        for (Index j = 0; j < i; ++j)
            if (const double difference = std::abs(kernel(i, j) - kernel(j, i)); difference > largest) {
                largest = difference;
                row = i;
                col = j;
            }
    }
    constexpr double single = 64 * std::numeric_limits<float>::epsilon();
    if (largest > single * scale)
        throw bad(
            fmt::format("{}: is not symmetric: entries [{}, {}] and [{}, {}] differ by {:.3g}, the most of all; expected the kernel "
                        "of the training samples with themselves, where at most {:.1e} is rounding",
                        path, row, col, col, row, largest, single * scale));
    if (largest > 0)
        run.warn(fmt::format("{}: symmetric to {:.1e} of its diagonal only; its lower triangle is used", path, largest / scale));
}

HostMatrix<double> read_train_kernel(Run& run, const std::string& path) {
    HostMatrix<double> kernel = read_matrix(path, "samples x samples");
    if (kernel.rows() != kernel.cols())
        throw Error(
            ErrorCode::shape_mismatch,
            fmt::format("--train-kernel {}: is {} x {}, and not square: expected samples x samples (a cross kernel is --test-kernel)", path,
                        kernel.rows(), kernel.cols()));
    check_symmetry(run, path, kernel);
    return kernel;
}

HostMatrix<double> read_test_kernel(const std::string& path, Index samples) {
    HostMatrix<double> kernel = read_matrix(path, "tests x samples");
    if (kernel.cols() != samples)
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("--test-kernel {}: is {} x {}: expected tests x {}, a column for each sample of --train-kernel{}", path,
                                kernel.rows(), kernel.cols(), samples, kernel.rows() == samples ? "; is it transposed?" : ""));
    return kernel;
}

HostMatrix<double> read_diagonal(const std::string& path, Index tests) {
    Array array = read_npy(path);
    if (static_cast<Index>(array.values.size()) != tests || array.shape.size() > 2)
        throw Error(ErrorCode::shape_mismatch, fmt::format("--test-diagonal {}: has shape ({}): expected {} values, one for each test",
                                                           path, fmt::join(array.shape, ", "), tests));
    return {tests, 1, std::move(array.values)};
}

struct Targets {
    Dataset train;
    std::optional<Dataset> test;
};

void require_samples(const std::string& option, const Dataset& data, Index expected, const std::string& kernel) {
    if (data.samples() != expected)
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("{} {} has {} samples, and {} has {} rows", option, data.source, data.samples(), kernel, expected));
}

/// From --data and --test where they are given, else from the labels alone.
Targets load_targets(const PredictArguments& a, bool with_data, Index samples, Index tests) {
    Targets targets;
    if (with_data) {
        DataArguments data = a.data;
        data.normalization = "none";
        Samples loaded = load_samples(data, false);
        targets = {std::move(loaded.train), std::move(loaded.test)};
        require_samples("--data", targets.train, samples, a.kernel_files.train);
        if (targets.test) require_samples("--test", *targets.test, tests, a.kernel_files.test);
    } else {
        targets.train = ntk::load_targets(a.data.data, samples);
        if (!a.data.test_labels.empty()) {
            DataOptions options;
            options.labels = a.data.test_labels;
            options.classes = targets.train.classes;
            options.task = targets.train.classification() ? Task::classification : Task::regression;
            targets.test = ntk::load_targets(options, tests);
        }
    }
    if (tests > 0 && !targets.test) {  // tests of which only the kernel is known
        targets.test.emplace();
        targets.test->source = a.kernel_files.test;
        targets.test->x = HostMatrix<double>(tests, 0);
    }
    return targets;
}

void check(const PredictArguments& a, bool with_data) {
    check_solver(a);
    const KernelFileArguments& files = a.kernel_files;
    if (!with_data && a.data.data.labels.empty())
        throw bad("--train-kernel needs targets: --labels FILE, or the --data that the kernel was made of");
    if (!with_data && !a.data.test.empty()) throw bad("--test gives targets beside --data; use --test-labels");
    if (files.test.empty()) {
        if (!a.data.test.empty() || !a.data.test_labels.empty()) throw bad("--test and --test-labels need --test-kernel");
        if (!a.times.empty())
            throw bad("--time needs --test-kernel: without tests there is leaving one out, which has no closed form for gradient flow");
    }
    if (a.posterior != !files.diagonal.empty())
        throw bad("--posterior and --test-diagonal belong together: the variance of a test starts from the kernel of the test with itself");
    if (a.posterior && files.test.empty()) throw bad("--posterior needs --test-kernel");
}

void describe(Run& run, const PredictArguments& a, const Targets& targets, Index samples, Index tests) {
    const Dataset& train = targets.train;
    run.data = {{"source", a.kernel_files.train},
                {"samples", samples},
                {"test_samples", tests},
                {"task", train.classification() ? "classification" : "regression"},
                {"classes", train.classes}};
    run.say(fmt::format("kernel    {}: {} samples{}, {}", a.kernel_files.train, samples, tests ? fmt::format(" + {} test", tests) : "",
                        train.classification() ? fmt::format("classification, {} classes", train.classes.size())
                                               : fmt::format("regression, {} targets", train.y.cols())));
}

template <class Real>
void compute(const PredictArguments& a, Run& run, bool with_data) {
    const KernelFileArguments& files = a.kernel_files;
    HostMatrix<double> kernel, cross, diagonal;
    const Targets targets = run.timed("data", false, [&] {
        kernel = read_train_kernel(run, files.train);
        if (!files.test.empty()) cross = read_test_kernel(files.test, kernel.rows());
        if (!files.diagonal.empty()) diagonal = read_diagonal(files.diagonal, cross.rows());
        return load_targets(a, with_data, kernel.rows(), cross.rows());
    });
    if (!targets.train.has_targets()) throw bad(fmt::format("--data {} has no targets: --labels FILE gives them", targets.train.source));
    describe(run, a, targets, kernel.rows(), cross.rows());

    const auto backend = run.backend<Real>();
    const bool by_spectrum = a.spectral() || cross.empty();
    const double bytes = static_cast<double>(kernel.size() * (by_spectrum ? 4 : 1) + 2 * cross.size()) * sizeof(Real);
    run.require_memory(fmt::format("prediction from {} samples", kernel.rows()), bytes);
    const Dataset* test = targets.test ? &*targets.test : nullptr;
    const Solution solution = run.timed("solve", true, [&] {
        Problem<Real> problem;
        problem.kernel = upload(backend, kernel);
        backend->mirror_lower(problem.kernel.view());
        if (test) problem.cross = upload(backend, cross);
        problem.targets = upload(backend, targets.train.y);
        if (by_spectrum) return solve_by_spectrum(a, std::move(problem), targets.train, test);
        const KernelSystem<Real> system(std::move(problem.kernel), a.ridges.front());
        TestDiagonal<Real> prior;
        if (a.posterior) prior = [&] { return upload(backend, diagonal); };
        return solve_factorised(system, problem, prior);
    });
    finish_prediction(run, targets.train, test ? *test : Dataset(), solution);
}

}  // namespace

void predict_from_kernel_files(const PredictArguments& a, bool with_data) {
    check(a, with_data);
    const auto held = hold_output(a.run, "predictions.npy, predict.csv and run.json");
    Run run("predict", a.run);
    const auto add = [&](const char* name, const std::string& value) {
        if (!value.empty()) run.parameters[name] = value;
    };
    add("train-kernel", a.kernel_files.train);
    add("test-kernel", a.kernel_files.test);
    add("test-diagonal", a.kernel_files.diagonal);
    if (with_data) add("data", a.data.data.source);
    add("test", a.data.test);
    add("labels", a.data.data.labels);
    add("test-labels", a.data.test_labels);
    add("target", a.data.data.target.value_or(""));
    if (a.data.data.samples) run.parameters["samples"] = *a.data.data.samples;
    if (a.data.data.task != Task::automatic)
        run.parameters["task"] = a.data.data.task == Task::classification ? "classification" : "regression";
    run.parameters["posterior"] = a.posterior;
    run.parameters.update(solver_parameters(a));
    with_precision(a.run, Fast::refused, [&]<class Real>(std::type_identity<Real>) { compute<Real>(a, run, with_data); });
}

}  // namespace ntk::cli

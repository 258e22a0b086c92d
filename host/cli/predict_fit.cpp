// ntkcuda predict --fit: predictions at new points from a fit that an earlier run has saved.

#include "fit_file.hpp"
#include "kernel_memory.hpp"
#include "predict.hpp"
#include "predict_output.hpp"

#include <fmt/format.h>

namespace ntk::cli {
namespace {

Error bad(const std::string& message) { return {ErrorCode::invalid_argument, message}; }

Dataset load_tests(const DataArguments& arguments, const SavedFit& fit) {
    DataOptions options;
    options.source = arguments.test;
    options.target = arguments.data.target;
    options.labels = arguments.test_labels;
    options.task = fit.classes.empty() ? Task::regression : Task::classification;
    options.classes = fit.classes;
    Dataset test = load_data(options);
    fit.normalizer.apply(test);
    return test;
}

void describe(Run& run, const std::string& path, const SavedFit& fit, const Dataset& test) {
    run.data = {{"source", fit.source},
                {"samples", fit.inputs.rows()},
                {"features", fit.inputs.cols()},
                {"test_samples", test.samples()},
                {"task", fit.classes.empty() ? "regression" : "classification"},
                {"classes", fit.classes},
                {"normalize", to_string(fit.normalizer.normalization)}};
    run.results["solver_of_fit"] = fit.solver;
    run.say(fmt::format("fit       {}: {} kernel of {} samples x {} features of {}, {}", path, fit.kernel.kernel, fit.inputs.rows(),
                        fit.inputs.cols(), fit.source, fit.solver.dump()));
    run.say(fmt::format("data      {}: {} tests; normalisation {}, as in the fit", test.source, test.samples(),
                        to_string(fit.normalizer.normalization)));
}

template <class Real>
Solution solve(const PredictArguments& a, Run& run, const SavedFit& fit, const Dataset& test) {
    const auto backend = run.backend<Real>();
    const Index n = fit.inputs.rows(), m = test.samples();
    KernelMemory memory(*backend, fit.kernel, fit.architecture, fit.weights.has_value(), fit.targets);
    memory.fit_to(run);
    const double factor = a.posterior ? static_cast<double>(fit.factor->size()) * sizeof(Real) + memory.result(m, n) : 0;
    run.require_memory(fmt::format("prediction from {} samples", n), memory.fixed(n + m) + memory.making(m, n) + factor);
    return run.timed("kernel", true, [&] {
        KernelSource<Real> source(backend, fit.kernel, fit.architecture, 0, fit.weights);
        source.limit_jacobian_block(memory.jacobian_block());
        const Matrix<Real> train = upload(backend, fit.inputs), x = upload(backend, test.x),
                           coefficients = upload(backend, fit.coefficients);
        const Matrix<Real> cross = source.cross(x, train), start = fit.initial_function ? source.initial_function(x) : Matrix<Real>();
        Solution solution;
        const HostMatrix<double> flat = predict(cross, coefficients, start);
        solution.predictions = HostMatrix<double>(m, fit.targets, std::vector<double>(flat.data(), flat.data() + flat.size()));
        solution.report = fit.report;
        solution.solver = "fit";
        if (a.posterior) {
            const auto system = KernelSystem<Real>::from_factor(upload(backend, *fit.factor), fit.report);
            solution.variance = download(system.posterior_variance(cross, source.diagonal(x))).template cast<double>();
        }
        return solution;
    });
}

}  // namespace

void predict_from_fit(PredictArguments a, bool precision_given) {
    if (a.data.test.empty()) throw bad("--fit needs --test: the new points");
    const auto held = hold_output(a.run, "predictions.npy, predict.csv and run.json");
    const SavedFit fit = read_fit(a.fit);
    if (precision_given && a.run.precision != fit.precision)
        throw bad(fmt::format("--precision {} contradicts the fit, which is of {}; leave it out", a.run.precision, fit.precision));
    if (a.posterior && !fit.factor)
        throw bad(fmt::format("--posterior needs the Cholesky factor, and {} has none: save the fit of a run with --posterior", a.fit));
    a.run.precision = fit.precision;
    Run run("predict", a.run);
    run.parameters.update(Json{{"fit", a.fit}, {"test", a.data.test}, {"posterior", a.posterior}});
    if (!a.data.test_labels.empty()) run.parameters["test-labels"] = a.data.test_labels;
    if (a.data.data.target) run.parameters["target"] = *a.data.data.target;
    const Dataset test = run.timed("data", false, [&] { return load_tests(a.data, fit); });
    describe(run, a.fit, fit, test);
    Dataset train;
    train.classes = fit.classes;
    with_precision(a.run, Fast::taken,
                   [&]<class Real>(std::type_identity<Real>) { finish_prediction(run, train, test, solve<Real>(a, run, fit, test)); });
}

}  // namespace ntk::cli

#include "predict_output.hpp"

#include <ntkcuda/array_file.hpp>

#include <fmt/format.h>

#include <cmath>

namespace ntk::cli {
namespace {

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

void add_results(Run& run, Report& report, const Dataset& test, const Solution& solution) {
    const SystemReport& system = solution.report;
    const std::string condition_name = !solution.condition_kind.empty() ? solution.condition_kind
                                       : system.condition_is_estimate   ? "1-norm estimate"
                                                                        : "lambda_max / lambda_min";
    const bool determinant = !std::isnan(system.log_determinant);  // one that is not known is not said
    run.results.update({{"condition", system.condition}, {"condition_kind", condition_name}, {"solver", solution.solver}});
    if (determinant) run.results["log_determinant"] = system.log_determinant;
    run.results.update(solution.facts);
    Rows rows{{"quantity", "value"}};
    if (test.has_targets()) {
        const Scores scores = scores_of(solution.predictions, test);
        if (scores.accuracy) {
            run.results["accuracy"] = *scores.accuracy;
            rows.push_back({"test accuracy", fmt::format("{:.2f} %", 100 * *scores.accuracy)});
        }
        run.results["rmse"] = scores.rmse;
        rows.push_back({"test RMSE", fmt::format("{:.6g}", scores.rmse)});
    }
    rows.push_back({"condition number", fmt::format("{:.4g} ({})", system.condition, condition_name)});
    if (determinant) rows.push_back({"log determinant", fmt::format("{:.10g}", system.log_determinant)});
    rows.insert(rows.end(), solution.rows.begin(), solution.rows.end());
    report.add_table("Closed-form prediction", rows);
}

}  // namespace

void finish_prediction(Run& run, const Dataset& train, const Dataset& test, const Solution& solution) {
    Report report(run, run.arguments().out);
    std::vector<std::string> files;
    if (solution.path) files = add_path(run, report, *solution.path);
    add_results(run, report, test, solution);
    if (solution.solver == "bordered")
        run.say(
            "solver    bordered: the kernel is too near the matrix of ones for its entries; condition and determinant are of the "
            "kernel over its diagonal");
    run.timed("write", false, [&] {
        if (solution.predictions.empty()) return;
        write_npy(report.path("predictions.npy"), solution.predictions);
        write_text(report.path("predict.csv"), as_csv(test, train, solution.predictions, solution.variance));
        files.insert(files.begin(), {"predictions.npy", "predict.csv"});
        if (!solution.variance) return;
        write_npy(report.path("variance.npy"), *solution.variance);
        files.push_back("variance.npy");
    });
    report.finish(files);
}

}  // namespace ntk::cli

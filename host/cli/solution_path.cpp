#include "solution_path.hpp"

#include <ntkcuda/array_file.hpp>

#include <fmt/format.h>

#include <cmath>

namespace ntk::cli {
namespace {

const char* name_of(PathKind kind) { return kind == PathKind::ridge ? "ridge" : "time"; }

template <class Real>
HostMatrix<double> left_out_predictions(const Spectrum<Real>& spectrum, const Matrix<Real>& coefficients, double ridge,
                                        const HostMatrix<double>& y) {
    HostMatrix<double> predictions = spectrum.leave_one_out(coefficients, ridge);
    for (Index e = 0; e < predictions.size(); ++e) predictions.data()[e] = y.data()[e] - predictions.data()[e];
    return predictions;
}

/// The three kinds of scores, and how columns, table and figure call them.
struct Kind {
    const char *column, *title;
    std::optional<Scores> (*scores)(const PathPoint&);
    const char* style;  // of its curve
};
constexpr Kind kinds[] = {
    {"train", "training", [](const PathPoint& p) { return std::optional(p.train); }, "dashtype 3 linecolor 'gray50' pointtype 1"},
    {"leave_one_out", "leave-one-out", [](const PathPoint& p) { return p.leave_one_out; }, "dashtype 2 linecolor 1 pointtype 4"},
    {"test", "test", [](const PathPoint& p) { return p.test; }, "linecolor 2 pointtype 7"}};

std::vector<Kind> kinds_of(const PathPoint& point) {
    std::vector<Kind> present;
    for (const Kind& kind : kinds)
        if (kind.scores(point)) present.push_back(kind);
    return present;
}

bool classification(const Path& path) { return path.points.front().train.accuracy.has_value(); }

std::string as_csv(const Path& path) {
    const auto present = kinds_of(path.points.front());
    std::string text = fmt::format("{},degrees_of_freedom,condition,log_determinant", name_of(path.kind));
    for (const Kind& kind : present) {
        text += fmt::format(",{}_rmse", kind.column);
        if (classification(path)) text += fmt::format(",{}_accuracy", kind.column);
    }
    text += "\n";
    for (const PathPoint& point : path.points) {
        text += fmt::format("{},{},{},{}", point.value, point.degrees_of_freedom, point.report.condition, point.report.log_determinant);
        for (const Kind& kind : present) {
            const Scores scores = *kind.scores(point);
            text += fmt::format(",{}", scores.rmse);
            if (scores.accuracy) text += fmt::format(",{}", *scores.accuracy);
        }
        text += "\n";
    }
    return text;
}

Rows as_table(const Path& path) {
    const auto present = kinds_of(path.points.front());
    Rows rows{{name_of(path.kind), "degrees of freedom"}};
    for (const Kind& kind : present) rows[0].push_back(fmt::format("{} RMSE", kind.title));
    for (const Kind& kind : present)
        if (classification(path)) rows[0].push_back(fmt::format("{} accuracy", kind.title));
    for (const PathPoint& point : path.points) {
        rows.push_back({fmt::format("{:.6g}", point.value), fmt::format("{:.6g}", point.degrees_of_freedom)});
        for (const Kind& kind : present) rows.back().push_back(fmt::format("{:.6g}", kind.scores(point)->rmse));
        for (const Kind& kind : present)
            if (const auto accuracy = kind.scores(point)->accuracy) rows.back().push_back(fmt::format("{:.2f} %", 100 * *accuracy));
    }
    return rows;
}

/// On a logarithmic axis, without the values that it has no place for.
void add_figure(Report& report, const Path& path) {
    const auto present = kinds_of(path.points.front());
    const bool classes = classification(path);
    std::string data = "# value";
    for (const Kind& kind : present) data += fmt::format(" {}", kind.column);
    data += "\n";
    std::size_t drawn = 0;
    for (const PathPoint& point : path.points) {
        if (point.value == 0 || std::isinf(point.value)) continue;
        ++drawn;
        data += fmt::format("{}", point.value);
        for (const Kind& kind : present) {
            const Scores scores = *kind.scores(point);
            data += fmt::format(" {}", classes ? *scores.accuracy : scores.rmse);
        }
        data += "\n";
    }
    if (drawn < 2) return;
    std::string script = fmt::format(
        "set logscale x\nset format x '10^{{%T}}'\nset xlabel '{}'\nset ylabel '{}'\nset key outside top center horizontal\nset "
        "grid\nset offsets 0, 0, graph 0.04, graph 0.04\nplot ",
        name_of(path.kind), classes ? "accuracy" : "RMSE");
    for (std::size_t k = 0; k < present.size(); ++k)
        script += fmt::format("{}data using 1:{} with linespoints linewidth 2 {} title '{}'", k ? ", " : "", k + 2, present[k].style,
                              present[k].title);
    report.add_figure(fmt::format("{} against the {}", classes ? "Accuracy" : "RMSE", name_of(path.kind)), "path", data, script);
}

void add_choice(Run& run, Report& report, const Path& path) {
    const PathPoint& point = path.chosen_point();
    const std::string by = path.kind == PathKind::ridge ? "the least leave-one-out RMSE" : "the longest time";
    run.results.update({{"chosen", {{name_of(path.kind), point.value}, {"by", by}}}, {"degrees_of_freedom", point.degrees_of_freedom}});
    if (point.leave_one_out) {
        run.results["leave_one_out_rmse"] = point.leave_one_out->rmse;
        if (point.leave_one_out->accuracy) run.results["leave_one_out_accuracy"] = *point.leave_one_out->accuracy;
    }
    report.add_note(fmt::format("chosen    {} {:.6g}: {} of {}{}", name_of(path.kind), point.value, by, path.points.size(),
                                path.kind == PathKind::ridge ? "" : " (a flow has no closed form for leaving one out)"));
}

void write_all_predictions(const std::string& file, const std::vector<HostMatrix<double>>& predictions) {
    std::vector<double> all;
    for (const auto& one : predictions) all.insert(all.end(), one.data(), one.data() + one.size());
    write_npy(file, {static_cast<Index>(predictions.size()), predictions.front().rows(), predictions.front().cols()}, all.data());
}

}  // namespace

template <class Real>
HostMatrix<double> predict(const Matrix<Real>& kernel, const Matrix<Real>& coefficients, const Matrix<Real>& start) {
    const auto& backend = coefficients.backend();
    Matrix<Real> predicted(backend, kernel.rows(), coefficients.cols());
    backend->gemm(Transpose::no, Transpose::no, 1, kernel.view(), coefficients.view(), 0, predicted.view());
    if (!start.empty()) backend->axpy(1, start.view().reshaped(predicted.rows(), predicted.cols()), predicted.view());
    return download(predicted).template cast<double>();
}

Scores scores_of(const HostMatrix<double>& predictions, const Dataset& truth) {
    Scores scores{rmse(predictions, truth.y), std::nullopt};
    if (truth.classification()) scores.accuracy = accuracy(predictions, truth);
    return scores;
}

template <class Real>
Path follow_path(const Spectrum<Real>& spectrum, const Problem<Real>& problem, const Predictor<Real>& predict_tests, PathKind kind,
                 const std::vector<double>& values, const Dataset& train, const Dataset* test) {
    const bool ridges = kind == PathKind::ridge;
    Path path{kind, {}, 0, {}, {}};
    for (const double value : values) {
        const auto y = problem.targets.view();
        const Matrix<Real> coefficients = ridges ? spectrum.ridge_coefficients(y, value) : spectrum.flow_coefficients(y, value);
        PathPoint point;
        point.value = value;
        point.degrees_of_freedom = ridges ? spectrum.ridge_degrees_of_freedom(value) : spectrum.flow_degrees_of_freedom(value);
        point.report = spectrum.report(ridges ? value : 0);
        Matrix<Real> fitted = spectrum.apply([](double lambda) { return lambda; }, coefficients.view());
        if (!problem.train_start.empty()) fitted.backend()->axpy(1, problem.train_start.view(), fitted.view());
        point.train = scores_of(download(fitted).template cast<double>(), train);
        if (ridges) point.leave_one_out = scores_of(left_out_predictions(spectrum, coefficients, value, train.y), train);
        if (test) {
            path.predictions.push_back(predict_tests(coefficients));
            if (test->has_targets()) point.test = scores_of(path.predictions.back(), *test);
        }
        if (path.points.empty() || !ridges || point.leave_one_out->rmse < path.chosen_point().leave_one_out->rmse) {
            path.chosen = path.points.size();
            path.coefficients = download(coefficients).template cast<double>();
        }
        path.points.push_back(point);
    }
    return path;
}

std::vector<std::string> add_path(Run& run, Report& report, const Path& path) {
    std::vector<std::string> files{fmt::format("{}s.csv", name_of(path.kind))};
    write_text(report.path(files.front()), as_csv(path));
    if (!path.predictions.empty()) {
        write_all_predictions(report.path("predictions_path.npy"), path.predictions);
        files.emplace_back("predictions_path.npy");
    }
    report.add_table(path.kind == PathKind::ridge ? "Ridges" : "Stopping times", as_table(path));
    add_choice(run, report, path);
    add_figure(report, path);
    return files;
}

template HostMatrix<double> predict(const Matrix<float>&, const Matrix<float>&, const Matrix<float>&);
template HostMatrix<double> predict(const Matrix<double>&, const Matrix<double>&, const Matrix<double>&);
template Path follow_path(const Spectrum<float>&, const Problem<float>&, const Predictor<float>&, PathKind, const std::vector<double>&,
                          const Dataset&, const Dataset*);
template Path follow_path(const Spectrum<double>&, const Problem<double>&, const Predictor<double>&, PathKind, const std::vector<double>&,
                          const Dataset&, const Dataset*);

}  // namespace ntk::cli

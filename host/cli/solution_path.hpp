#pragma once

// Many ridges, or many stopping times, of one kernel: scores of each, and the one that leaving one out prefers.

#include "report.hpp"

#include <ntkcuda/kernel_spectrum.hpp>
#include <ntkcuda/metrics.hpp>

#include <functional>
#include <optional>

namespace ntk::cli {

/// A kernel and what its closed form is made of.
template <class Real>
struct Problem {
    Matrix<Real> kernel;                   ///< n x n
    Matrix<Real> cross;                    ///< tests x n; no rows without tests
    Matrix<Real> targets;                  ///< n x targets, less f_0
    Matrix<Real> train_start, test_start;  ///< f_0 there, in the shapes of the targets and of the predictions; empty: 0
    double resolution = 0;                 ///< as in KernelSystem
};

/// start + kernel coefficients.
template <class Real>
[[nodiscard]] HostMatrix<double> predict(const Matrix<Real>& kernel, const Matrix<Real>& coefficients, const Matrix<Real>& start);

struct Scores {
    double rmse = 0;
    std::optional<double> accuracy;  ///< of classes
};
[[nodiscard]] Scores scores_of(const HostMatrix<double>& predictions, const Dataset& truth);

enum class PathKind { ridge, time };

struct PathPoint {
    double value = 0, degrees_of_freedom = 0;
    SystemReport report;
    Scores train;
    std::optional<Scores> leave_one_out;  ///< of a ridge
    std::optional<Scores> test;           ///< of tests with targets
};

struct Path {
    PathKind kind = PathKind::ridge;
    std::vector<PathPoint> points;
    std::size_t chosen = 0;                       ///< the least leave-one-out RMSE of the ridges, the last of the times
    std::vector<HostMatrix<double>> predictions;  ///< of each value; none without tests
    HostMatrix<double> coefficients;              ///< of the chosen value

    [[nodiscard]] const PathPoint& chosen_point() const { return points[chosen]; }
    [[nodiscard]] HostMatrix<double> chosen_predictions() const { return predictions.empty() ? HostMatrix<double>() : predictions[chosen]; }
};

/// At the tests, from coefficients of the system.
template <class Real>
using Predictor = std::function<HostMatrix<double>(const Matrix<Real>& coefficients)>;

/// Of `problem` the targets and the start are read. `train`: targets as they are, f_0 not subtracted. `test` may be null, or have no
/// targets.
template <class Real>
[[nodiscard]] Path follow_path(const Spectrum<Real>& spectrum, const Problem<Real>& problem, const Predictor<Real>& predict_tests,
                               PathKind kind, const std::vector<double>& values, const Dataset& train, const Dataset* test);

/// The table, the figure, ridges.csv or times.csv, predictions_path.npy, and the choice in the results of the run. Returns the files.
std::vector<std::string> add_path(Run& run, Report& report, const Path& path);

}  // namespace ntk::cli

#pragma once

/// \file compare.hpp
/// Finite width against the limit over depths x widths x seeds.

#include <ntkcuda/closed_form.hpp>
#include <ntkcuda/data.hpp>
#include <ntkcuda/infinite_width.hpp>
#include <ntkcuda/network.hpp>

#include <functional>
#include <vector>

namespace ntk {

struct CompareOptions {
    Architecture base;              ///< activation, stds, biases, parametrization, outputs; hidden widths are replaced
    std::vector<Index> depths{2, 3, 5, 9};
    std::vector<Index> widths{64, 256, 1024};
    Index seeds = 20;
    std::uint64_t seed = 1;         ///< network s of a cell is network number s of this seed
    double ridge = 0;               ///< of both closed-form predictors
};

/// Mean over seeds, sample standard deviation, and standard error of the mean.
struct Spread {
    double mean = 0, deviation = 0, standard_error = 0;
};

/// One kernel block (train x train, or test x train) of one depth and width. Relative means divided by the Frobenius norm of the limit.
struct KernelError {
    Spread relative;     ///< ||Theta_s - Theta_inf||_F / ||Theta_inf||_F over seeds
    Spread largest;      ///< max |entry of Theta_s - Theta_inf| / max |entry of Theta_inf|
    double bias = 0;     ///< relative norm of E Theta - Theta_inf: unbiased estimate of its square, root taken; negative square: 0 with bias_resolved false
    double bias_error = 0;     ///< standard error of `bias` (jackknife over seeds)
    bool bias_resolved = false;  ///< whether the bias stands out of the noise of the mean by two standard errors
    double fluctuation = 0;      ///< relative root mean square of Theta_s - E Theta (unbiased)
    double fluctuation_error = 0;
};

struct CompareCell {
    Index depth = 0, width = 0;
    KernelError train, test;     ///< train x train and test x train kernels
    Spread predictor_distance;   ///< ||f_s - f_inf||_F / ||f_inf||_F on the test points
    Spread accuracy_finite;      ///< classification: accuracy, regression: RMSE, of the finite-width kernel's predictor
    double accuracy_infinite = 0;
};

/// Least-squares slope of log error against log width at one depth, weighted by the errors.
struct Slope {
    Index depth = 0;
    double fluctuation = 0, fluctuation_error = 0;  ///< theory: -1/2
    double bias = 0, bias_error = 0;                ///< theory: -1; NaN when fewer than two widths resolve the bias
};

struct CompareResult {
    std::vector<CompareCell> cells;  ///< depth-major
    std::vector<Slope> slopes;
};

/// Runs the sweep. Data are normalised already; `progress(done, total)` is called after every network.
template <class Real>
[[nodiscard]] CompareResult compare(const std::shared_ptr<Backend<Real>>& backend, const Dataset& train, const Dataset& test, const CompareOptions& options,
                                    const std::function<void(Index done, Index total)>& progress = {});

}  // namespace ntk

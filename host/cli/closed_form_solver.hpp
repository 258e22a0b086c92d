#pragma once

// The solutions that `predict` offers, of a kernel wherever it comes from.

#include "predict.hpp"
#include "solution_path.hpp"

#include <ntkcuda/closed_form.hpp>

#include <functional>

namespace ntk::cli {

struct Solution {
    HostMatrix<double> predictions;              ///< tests x targets
    std::optional<HostMatrix<double>> variance;  ///< tests x 1
    SystemReport report;
    std::string solver = "cholesky";
    std::string condition_kind{};              ///< empty: as the report says
    Json facts = Json::object();               ///< of the solver, for the results
    Rows rows{};                               ///< the same for people
    HostMatrix<double> coefficients;           ///< alpha of f(x) = k(x)^T alpha, as the system has them
    std::optional<HostMatrix<double>> factor;  ///< of Cholesky, beside a variance; the upper triangle is zero
    std::optional<Path> path;
};

/// The prior variance of the tests; none: no posterior is wanted.
template <class Real>
using TestDiagonal = std::function<Matrix<Real>()>;

template <class Real>
[[nodiscard]] Solution solve_factorised(const KernelSystem<Real>& system, const Problem<Real>& problem, const TestDiagonal<Real>& diagonal);

/// The stopping time, or all ridges or times, of `arguments` from one eigendecomposition. As follow_path; without tests a single value is a
/// path, too.
template <class Real>
[[nodiscard]] Solution solve_by_spectrum(const PredictArguments& arguments, const Spectrum<Real>& spectrum, const Problem<Real>& problem,
                                         const Predictor<Real>& predict_tests, const Dataset& train, const Dataset* test);
/// The same of the kernel of the problem on one device.
template <class Real>
[[nodiscard]] Solution solve_by_spectrum(const PredictArguments& arguments, Problem<Real> problem, const Dataset& train,
                                         const Dataset* test);

}  // namespace ntk::cli

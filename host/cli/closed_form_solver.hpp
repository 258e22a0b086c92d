#pragma once

// The solutions that `predict` offers, of a kernel wherever it comes from.

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

template <class Real>
[[nodiscard]] Solution solve_flow(Problem<Real> problem, double time);

/// All ridges, or all times, from one eigendecomposition.
template <class Real>
[[nodiscard]] Solution solve_path(Problem<Real> problem, PathKind kind, const std::vector<double>& values, const Dataset& train,
                                  const Dataset* test);

}  // namespace ntk::cli

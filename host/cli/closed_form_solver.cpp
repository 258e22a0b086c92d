#include "closed_form_solver.hpp"

namespace ntk::cli {
namespace {

template <class Real>
HostMatrix<double> lower_triangle(const Matrix<Real>& factor) {
    HostMatrix<double> lower = download(factor).template cast<double>();
    for (Index i = 0; i < lower.rows(); ++i)
        for (Index j = i + 1; j < lower.cols(); ++j) lower(i, j) = 0;
    return lower;
}

}  // namespace

template <class Real>
Solution solve_factorised(const KernelSystem<Real>& system, const Problem<Real>& problem, const TestDiagonal<Real>& diagonal) {
    const Matrix<Real> coefficients = system.solve(problem.targets);
    Solution solution;
    solution.predictions = predict(problem.cross, coefficients, problem.test_start);
    solution.coefficients = download(coefficients).template cast<double>();
    solution.report = system.report();
    if (diagonal) {
        solution.variance = download(system.posterior_variance(problem.cross, diagonal())).template cast<double>();
        solution.factor = lower_triangle(system.factor());
    }
    return solution;
}

template <class Real>
Solution solve_flow(Problem<Real> problem, double time) {
    const KernelSpectrum<Real> spectrum(std::move(problem.kernel), problem.resolution);
    const Matrix<Real> coefficients = spectrum.flow_coefficients(problem.targets.view(), time);
    Solution solution;
    solution.predictions = predict(problem.cross, coefficients, problem.test_start);
    solution.coefficients = download(coefficients).template cast<double>();
    solution.report = spectrum.report();
    solution.solver = "eigendecomposition";
    return solution;
}

template <class Real>
Solution solve_path(Problem<Real> problem, PathKind kind, const std::vector<double>& values, const Dataset& train, const Dataset* test) {
    const KernelSpectrum<Real> spectrum(std::move(problem.kernel), problem.resolution);
    Solution solution;
    solution.path = follow_path(spectrum, problem, kind, values, train, test);
    solution.predictions = solution.path->chosen_predictions();
    solution.coefficients = std::move(solution.path->coefficients);
    solution.report = solution.path->chosen_point().report;
    solution.solver = "eigendecomposition";
    return solution;
}

template Solution solve_factorised(const KernelSystem<float>&, const Problem<float>&, const TestDiagonal<float>&);
template Solution solve_factorised(const KernelSystem<double>&, const Problem<double>&, const TestDiagonal<double>&);
template Solution solve_flow(Problem<float>, double);
template Solution solve_flow(Problem<double>, double);
template Solution solve_path(Problem<float>, PathKind, const std::vector<double>&, const Dataset&, const Dataset*);
template Solution solve_path(Problem<double>, PathKind, const std::vector<double>&, const Dataset&, const Dataset*);

}  // namespace ntk::cli

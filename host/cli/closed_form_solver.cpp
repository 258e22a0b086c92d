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
Solution solve_by_spectrum(const PredictArguments& a, const Spectrum<Real>& spectrum, const Problem<Real>& problem,
                           const Predictor<Real>& predict_tests, const Dataset& train, const Dataset* test) {
    Solution solution;
    solution.solver = "eigendecomposition";
    if (test && !a.path()) {
        const Matrix<Real> coefficients = spectrum.flow_coefficients(problem.targets.view(), a.times.front());
        solution.predictions = predict_tests(coefficients);
        solution.coefficients = download(coefficients).template cast<double>();
        solution.report = spectrum.report();
        return solution;
    }
    const PathKind kind = a.times.empty() ? PathKind::ridge : PathKind::time;
    solution.path = follow_path(spectrum, problem, predict_tests, kind, a.values(), train, test);
    solution.predictions = solution.path->chosen_predictions();
    solution.coefficients = std::move(solution.path->coefficients);
    solution.report = solution.path->chosen_point().report;
    return solution;
}

template <class Real>
Solution solve_by_spectrum(const PredictArguments& a, Problem<Real> problem, const Dataset& train, const Dataset* test) {
    const KernelSpectrum<Real> spectrum(std::move(problem.kernel), problem.resolution);
    const Predictor<Real> predict_tests = [&](const Matrix<Real>& coefficients) {
        return predict(problem.cross, coefficients, problem.test_start);
    };
    return solve_by_spectrum(a, spectrum, problem, predict_tests, train, test);
}

template Solution solve_factorised(const KernelSystem<float>&, const Problem<float>&, const TestDiagonal<float>&);
template Solution solve_factorised(const KernelSystem<double>&, const Problem<double>&, const TestDiagonal<double>&);
template Solution solve_by_spectrum(const PredictArguments&, const Spectrum<float>&, const Problem<float>&, const Predictor<float>&,
                                    const Dataset&, const Dataset*);
template Solution solve_by_spectrum(const PredictArguments&, const Spectrum<double>&, const Problem<double>&, const Predictor<double>&,
                                    const Dataset&, const Dataset*);
template Solution solve_by_spectrum(const PredictArguments&, Problem<float>, const Dataset&, const Dataset*);
template Solution solve_by_spectrum(const PredictArguments&, Problem<double>, const Dataset&, const Dataset*);

}  // namespace ntk::cli

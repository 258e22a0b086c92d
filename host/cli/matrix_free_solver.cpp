#include "matrix_free_solver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ntk::cli {
namespace {

/// The bar of an iteration that ends at a residual: as many steps are left as the logarithm of the residual has still to fall.
class ResidualProgress {
public:
    ResidualProgress(const Run& run, double tolerance, Index most) : bar_(run, "residual 1"), tolerance_(tolerance), most_(most) {}
    void operator()(Index done, double residual) {
        const double part = std::clamp(std::log(residual) / std::log(tolerance_), 0.01, 1.0);
        // One more than are done at least: the end is not here before the bar goes.
        const Index total = std::max(done + 1, std::min(most_, static_cast<Index>(std::lround(static_cast<double>(done) / part))));
        bar_.rename(fmt::format("residual {:.1e}, iteration", residual));
        bar_(done, total, bar_.elapsed() / static_cast<double>(done) * static_cast<double>(total - done));
    }

private:
    Progress bar_;
    double tolerance_;
    Index most_;
};

double tolerance_of(const PredictArguments& a, std::size_t real_size) {
    return a.tolerance.value_or(real_size < sizeof(double) ? 1e-4 : ConjugateGradientOptions{}.tolerance);
}

template <class Real>
HostMatrix<double> with_start(Matrix<Real> predicted, const Matrix<Real>& start) {
    if (!start.empty()) predicted.backend()->axpy(1, start.view().reshaped(predicted.rows(), predicted.cols()), predicted.view());
    return download(predicted).template cast<double>();
}

/// What this rank has of the rows of all.
template <class Real>
ConstMatrixView<Real> own_rows(const KernelOperator<Real>& op, ConstMatrixView<Real> all) {
    return all.row_range(op.share().first * op.rows_per_sample(), op.rows());
}

/// The rows of all ranks, on each of them.
template <class Real>
HostMatrix<double> of_all_ranks(const KernelOperator<Real>& op, const Matrix<Real>& own) {
    HostMatrix<double> all(op.all_rows(), own.cols());
    const HostMatrix<Real> mine = download(own);
    std::copy_n(mine.data(), mine.size(), all.data() + op.share().first * op.rows_per_sample() * own.cols());
    op.ranks().sum(std::span(all.data(), static_cast<std::size_t>(all.size())));
    return all;
}

template <class Real>
Solution solve_by_cg(const PredictArguments& a, Run& run, const SolverChoice& choice, const KernelSource<Real>& source,
                     const Matrix<Real>& train, const Matrix<Real>& test, const Problem<Real>& problem) {
    const double ridge = a.ridges.front();
    const auto op =
        run.timed("products", true, [&] { return source.products(train, problem.targets.cols(), choice.operator_memory, run.ranks()); });
    const PivotedCholesky<Real> preconditioner = run.timed("preconditioner", true, [&] {
        Progress bar(run, "preconditioner: column");
        return PivotedCholesky<Real>(*op, ridge, choice.rank, [&](Index done, Index total) { bar(done, total); });
    });
    const ConjugateGradientOptions options{.ridge = ridge, .tolerance = tolerance_of(a, sizeof(Real)), .max_iterations = a.max_iterations};
    const ConjugateGradientSolution<Real> solved = run.timed("solve", true, [&] {
        ResidualProgress bar(run, options.tolerance, options.max_iterations);
        return conjugate_gradient<Real>(*op, preconditioner, own_rows(*op, problem.targets.view()), options,
                                        [&](Index done, double residual) { bar(done, residual); });
    });
    const ConjugateGradientReport& report = solved.report;
    Solution solution;
    solution.solver = "cg";
    solution.predictions =
        run.timed("predict", true, [&] { return with_start(op->cross(test.view(), solved.x.view()), problem.test_start); });
    solution.coefficients = of_all_ranks(*op, solved.x);
    solution.report = {.log_determinant = std::nan(""), .condition = report.condition, .condition_is_estimate = true};
    solution.condition_kind = "upper estimate from Ritz values";
    solution.facts = {{"iterations", report.iterations},
                      {"residual", report.residual},
                      {"tolerance", options.tolerance},
                      {"estimated_error", report.relative_error},
                      {"estimated_prediction_error", report.energy_error},
                      {"ritz", {report.smallest_ritz, report.largest_ritz}},
                      {"preconditioner_rank", preconditioner.rank()},
                      {"preconditioner_shift", preconditioner.shift()},
                      {"kept", choice.products.kept},
                      {"batch", choice.products.batch},
                      {"product_flops", choice.products.product_flops}};
    solution.rows = {{"iterations", fmt::format("{} (preconditioner of rank {})", report.iterations, preconditioner.rank())},
                     {"relative residual", fmt::format("{:.2e}", report.residual)},
                     {"estimated error", fmt::format("{:.2e} (relative, energy norm)", report.relative_error)}};
    return solution;
}

template <class Real>
Solution solve_by_features(const PredictArguments& a, Run& run, const SolverChoice& choice, const KernelSource<Real>& source,
                           const Matrix<Real>& train, const Matrix<Real>& test, const Problem<Real>& problem) {
    const FeatureSystem<Real> system = run.timed("kernel", true, [&] {
        Progress bar(run, "features: sample");
        return FeatureSystem<Real>(source.features(), train.backend(), train.view(), a.ridges.front(), choice.batch,
                                   [&](Index done, Index total) { bar(done, total); });
    });
    return run.timed("solve", true, [&] {
        const Matrix<Real> weights = system.weights(problem.targets.view());
        Solution solution;
        solution.solver = "features";
        solution.predictions = with_start(system.predict(test.view(), weights), problem.test_start);
        if (!a.save_fit.empty())
            solution.coefficients = download(system.coefficients(problem.targets.view(), weights)).template cast<double>();
        solution.report = system.report();
        solution.facts = {{"features", choice.features}};
        solution.rows = {{"features", std::to_string(choice.features)}};
        return solution;
    });
}

}  // namespace

template <class Real>
Solution solve_matrix_free(const PredictArguments& arguments, Run& run, const SolverChoice& choice, const KernelSource<Real>& source,
                           const Matrix<Real>& train, const Matrix<Real>& test, const Problem<Real>& problem) {
    if (choice.solver == Solver::features) return solve_by_features(arguments, run, choice, source, train, test, problem);
    return solve_by_cg(arguments, run, choice, source, train, test, problem);
}

template Solution solve_matrix_free(const PredictArguments&, Run&, const SolverChoice&, const KernelSource<float>&, const Matrix<float>&,
                                    const Matrix<float>&, const Problem<float>&);
template Solution solve_matrix_free(const PredictArguments&, Run&, const SolverChoice&, const KernelSource<double>&, const Matrix<double>&,
                                    const Matrix<double>&, const Problem<double>&);

}  // namespace ntk::cli

#include <ntkcuda/conjugate_gradient.hpp>

#include "closed_form_checks.hpp"

#include <lapacke.h>

#include <numeric>
#include <span>
#include <utility>

namespace ntk {
namespace {

/// Iterations without a smaller residual after which it has stopped to fall.
constexpr Index patience = 300;

/// The Lanczos matrix of one column: T_kk = 1 / alpha_k + beta_{k-1} / alpha_{k-1}, T_{k,k+1} = sqrt(beta_k) / alpha_k.
class Lanczos {
public:
    void add(double alpha, double beta) {
        diagonal_.push_back(1 / alpha + carried_);
        off_diagonal_.push_back(std::sqrt(beta) / alpha);
        carried_ = beta / alpha;
    }
    /// Widens [smallest, largest] to its eigenvalues.
    void extremes(double& smallest, double& largest) const {
        if (diagonal_.empty()) return;
        std::vector<double> values = diagonal_, off = off_diagonal_;
        if (LAPACKE_dsterf_work(static_cast<lapack_int>(values.size()), values.data(), off.data()) != 0) return;
        smallest = std::min(smallest, values.front());
        largest = std::max(largest, values.back());
    }

private:
    std::vector<double> diagonal_, off_diagonal_;
    double carried_ = 0;
};

/// One column of the system, wherever its vectors are.
struct Column {
    Index number = 0;     ///< in y
    double norm = 0;      ///< |y|
    double rho = 0;       ///< r^T z
    double residual = 0;  ///< |r| / |y|
    Lanczos lanczos;
};

template <class Real>
class Iteration {
public:
    Iteration(KernelOperator<Real>& kernel, const PivotedCholesky<Real>& preconditioner, ConstMatrixView<Real> y,
              const ConjugateGradientOptions& options, const ConjugateGradientProgress& progress)
        : kernel_(kernel),
          backend_(*kernel.backend()),
          preconditioner_(preconditioner),
          y_(y),
          options_(options),
          progress_(progress),
          x_(vectors()),
          r_(vectors()),
          z_(vectors()),
          p_(vectors()),
          q_(vectors()) {
        norms_ = dots(y, y);
        for (double& norm : norms_) norm = std::sqrt(norm);
        for (const double norm : norms_)
            if (!std::isfinite(norm)) throw Error(ErrorCode::invalid_argument, "closed form: the targets are not finite");
        backend_.fill(x_.view(), 0);
        backend_.copy(y, r_.view());
    }

    ConjugateGradientSolution<Real> solve() {
        double before = std::numeric_limits<double>::infinity();
        std::vector<double> residuals(norms_.size(), 1);
        while (true) {
            start(residuals);
            while (active() > 0) step();
            residuals = true_residuals();
            const double largest = *std::max_element(residuals.begin(), residuals.end());
            report_.residual = largest;
            if (largest <= options_.tolerance) break;
            // What rounding has put between the residual of the iteration and the true one is solved for again, while that helps.
            if (!(largest < 0.5 * before)) throw_stopped("the true residual has stopped to fall", largest);
            before = largest;
        }
        finish_report();
        return {std::move(x_), report_};
    }

private:
    [[nodiscard]] Matrix<Real> vectors() const { return {kernel_.backend(), kernel_.rows(), y_.cols()}; }
    [[nodiscard]] Index active() const { return static_cast<Index>(columns_.size()); }
    [[nodiscard]] MatrixView<Real> of(Matrix<Real>& vectors) const { return vectors.view().col_range(0, active()); }

    /// a_j^T b_j for every column, over all ranks.
    [[nodiscard]] std::vector<double> dots(ConstMatrixView<Real> a, ConstMatrixView<Real> b) const {
        const Index m = a.cols();
        Matrix<Real> products(kernel_.backend(), m, m);
        backend_.gemm(Transpose::yes, Transpose::no, 1, a, b, 0, products.view());
        const HostMatrix<Real> all = download(products);
        std::vector<double> values(static_cast<std::size_t>(m));
        for (Index j = 0; j < m; ++j) values[static_cast<std::size_t>(j)] = static_cast<double>(all(j, j));
        kernel_.ranks().sum(std::span<double>(values));
        return values;
    }

    /// out = (K + ridge I) v.
    void multiply(ConstMatrixView<Real> v, MatrixView<Real> out) const {
        kernel_.apply(v, out);
        if (options_.ridge > 0) backend_.axpy(options_.ridge, v, out);
    }

    /// The columns that have not converged, from what r_ holds (in the order of y).
    void start(const std::vector<double>& residuals) {
        columns_.clear();
        for (Index j = 0; j < y_.cols(); ++j) {
            const auto at = static_cast<std::size_t>(j);
            if (norms_[at] == 0 || residuals[at] <= options_.tolerance) continue;
            if (active() != j) backend_.copy(std::as_const(r_).view().col_range(j, 1), r_.view().col_range(active(), 1));
            columns_.push_back({j, norms_[at], 0, residuals[at], {}});
        }
        best_ = std::numeric_limits<double>::infinity();
        since_best_ = 0;
        if (active() == 0) return;
        preconditioner_.apply(of(r_), of(z_));
        backend_.copy(of(z_), of(p_));
        const std::vector<double> rho = dots(of(r_), of(z_));
        for (std::size_t j = 0; j < columns_.size(); ++j) columns_[j].rho = rho[j];
    }

    void step() {
        progress_.check();
        if (report_.iterations >= options_.max_iterations) throw_stopped("it has not converged", largest_residual());
        multiply(of(p_), of(q_));
        ++report_.iterations;
        const std::vector<double> curvature = dots(of(p_), of(q_));
        std::vector<double> alpha(curvature.size());
        for (std::size_t j = 0; j < columns_.size(); ++j) {
            if (!(curvature[j] > 0) || !(columns_[j].rho > 0)) throw_curvature(curvature[j]);
            alpha[j] = columns_[j].rho / curvature[j];
            const auto at = static_cast<Index>(j);
            backend_.axpy(alpha[j], of(p_).col_range(at, 1), x_.view().col_range(columns_[j].number, 1));
            backend_.axpy(-alpha[j], of(q_).col_range(at, 1), of(r_).col_range(at, 1));
        }
        preconditioner_.apply(of(r_), of(z_));
        const std::vector<double> rho = dots(of(r_), of(z_)), squares = dots(of(r_), of(r_));
        for (std::size_t j = 0; j < columns_.size(); ++j) {
            Column& column = columns_[j];
            const double beta = rho[j] / column.rho;
            const auto at = static_cast<Index>(j);
            backend_.scale(beta, of(p_).col_range(at, 1));
            column.lanczos.add(alpha[j], std::max(0.0, beta));
            column.rho = rho[j];
            column.residual = std::sqrt(squares[j]) / column.norm;
        }
        backend_.axpy(1, of(z_), of(p_));
        const double largest = largest_residual();
        progress_(report_.iterations, largest);
        if (!std::isfinite(largest)) throw Error(ErrorCode::invalid_argument, "closed form: the kernel has entries that are not finite");
        since_best_ = largest < best_ ? 0 : since_best_ + 1;
        best_ = std::min(best_, largest);
        freeze();
        if (active() > 0 && since_best_ >= patience)
            throw_stopped(fmt::format("the residual has not fallen in {} iterations", patience), best_);
    }

    [[nodiscard]] double largest_residual() const {
        double largest = 0;
        for (const Column& column : columns_)
            largest = column.residual > largest || std::isnan(column.residual) ? column.residual : largest;
        return largest;
    }

    /// Converged columns go; the last one takes their place.
    void freeze() {
        for (std::size_t j = columns_.size(); j-- > 0;) {
            if (columns_[j].residual > options_.tolerance) continue;
            columns_[j].lanczos.extremes(report_.smallest_ritz, report_.largest_ritz);
            const Index last = active() - 1, at = static_cast<Index>(j);
            if (at != last)
                for (Matrix<Real>* vectors : {&r_, &p_})
                    backend_.copy(std::as_const(*vectors).view().col_range(last, 1), vectors->view().col_range(at, 1));
            columns_[j] = std::move(columns_.back());
            columns_.pop_back();
        }
    }

    /// r_ = y - (K + ridge I) x.
    std::vector<double> true_residuals() {
        multiply(std::as_const(x_).view(), q_.view());
        ++report_.iterations;
        backend_.copy(y_, r_.view());
        backend_.axpy(-1, std::as_const(q_).view(), r_.view());
        std::vector<double> residuals = dots(std::as_const(r_).view(), std::as_const(r_).view());
        for (std::size_t j = 0; j < residuals.size(); ++j) residuals[j] = norms_[j] > 0 ? std::sqrt(residuals[j]) / norms_[j] : 0;
        return residuals;
    }

    void finish_report() {
        if (report_.largest_ritz == 0) report_.smallest_ritz = report_.largest_ritz = 1;  // nothing to solve
        const double smallest = std::max(report_.smallest_ritz, std::numeric_limits<double>::min());
        // Of K + ridge I: M times the largest of M^{-1} (K + ridge I), or what M has and what it leaves out; and no less than the ridge.
        const double largest = std::min(report_.largest_ritz * preconditioner_.largest_eigenvalue(),
                                        preconditioner_.largest_eigenvalue() + preconditioner_.residual_trace() + options_.ridge);
        report_.condition = largest / std::max(options_.ridge, smallest * preconditioner_.shift());
        preconditioner_.apply(std::as_const(r_).view(), z_.view());
        const std::vector<double> errors = dots(std::as_const(r_).view(), std::as_const(z_).view()),
                                  energies = dots(std::as_const(x_).view(), std::as_const(q_).view());
        for (std::size_t j = 0; j < errors.size(); ++j) {
            const double error = std::sqrt(std::max(0.0, errors[j]) / smallest);
            report_.energy_error = std::max(report_.energy_error, error);
            if (energies[j] > 0) report_.relative_error = std::max(report_.relative_error, error / std::sqrt(energies[j]));
        }
    }

    [[nodiscard]] std::string advice() const {
        std::string text = options_.ridge > 0 ? fmt::format("try a ridge larger than {:.3g}", options_.ridge) : "try a ridge";
        text += fmt::format(", a preconditioner of a rank above {} (more memory), a tolerance above {:.1e}", preconditioner_.rank(),
                            options_.tolerance);
        return text + (sizeof(Real) < sizeof(double) ? ", float64" : "") + ", or Cholesky";
    }

    [[noreturn]] void throw_stopped(const std::string& what, double residual) {
        for (const Column& column : columns_) column.lanczos.extremes(report_.smallest_ritz, report_.largest_ritz);
        throw Error(
            ErrorCode::not_positive_definite,
            fmt::format("conjugate gradients: {}: after {} iterations the largest relative residual is {:.2e}, and {:.1e} was asked "
                        "for; the preconditioned system has eigenvalues from {:.2e} to {:.2e} (estimates); {}",
                        what, report_.iterations, residual, options_.tolerance, report_.smallest_ritz, report_.largest_ritz, advice()));
    }
    [[noreturn]] void throw_curvature(double curvature) const {
        throw Error(
            ErrorCode::not_positive_definite,
            fmt::format("conjugate gradients: the system of {} rows is not positive definite to rounding: a direction of "
                        "curvature {:.3g} at iteration {}, where the largest relative residual is {:.2e} and {:.1e} was asked for; {}",
                        kernel_.all_rows(), curvature, report_.iterations, largest_residual(), options_.tolerance, advice()));
    }

    KernelOperator<Real>& kernel_;
    Backend<Real>& backend_;
    const PivotedCholesky<Real>& preconditioner_;
    ConstMatrixView<Real> y_;
    const ConjugateGradientOptions& options_;
    const ConjugateGradientProgress& progress_;
    Matrix<Real> x_;              // in the order of y
    Matrix<Real> r_, z_, p_, q_;  // the active columns first
    std::vector<double> norms_;
    std::vector<Column> columns_;  // active
    double best_ = 0;
    Index since_best_ = 0;
    ConjugateGradientReport report_{.smallest_ritz = std::numeric_limits<double>::infinity(), .largest_ritz = 0};
};

template <class Real>
void check(const KernelOperator<Real>& kernel, ConstMatrixView<Real> y, const ConjugateGradientOptions& options) {
    require_shape("y", y.rows(), y.cols(), kernel.rows(), y.cols());
    require_ridge(options.ridge);
    constexpr double finest = 16 * epsilon<Real>;
    if (!(options.tolerance >= finest && options.tolerance < 1))
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("the tolerance of conjugate gradients must be from {:.1e} (what {} resolves) to 1, not {}", finest,
                                sizeof(Real) < sizeof(double) ? "float32" : "float64", options.tolerance));
    if (options.max_iterations < 1)
        throw Error(ErrorCode::invalid_argument, fmt::format("conjugate gradients need iterations, not {}", options.max_iterations));
}

}  // namespace

template <class Real>
ConjugateGradientSolution<Real> conjugate_gradient(KernelOperator<Real>& kernel, const PivotedCholesky<Real>& preconditioner,
                                                   InputView<Real> y, const ConjugateGradientOptions& options,
                                                   const ConjugateGradientProgress& progress) {
    check<Real>(kernel, y, options);
    return Iteration<Real>(kernel, preconditioner, y, options, progress).solve();
}

template ConjugateGradientSolution<float> conjugate_gradient(KernelOperator<float>&, const PivotedCholesky<float>&, ConstMatrixView<float>,
                                                             const ConjugateGradientOptions&, const ConjugateGradientProgress&);
template ConjugateGradientSolution<double> conjugate_gradient(KernelOperator<double>&, const PivotedCholesky<double>&,
                                                              ConstMatrixView<double>, const ConjugateGradientOptions&,
                                                              const ConjugateGradientProgress&);

}  // namespace ntk

#include <ntkcuda/normalized_system.hpp>

#include <ntkcuda/error.hpp>

#include "inverse_norm.hpp"

#include <Spectra/SymEigsSolver.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace ntk {
namespace {

constexpr double epsilon = std::numeric_limits<double>::epsilon();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
/// Up to this many samples the extreme eigenvalues come from dense matrices, where a Krylov space has no room.
constexpr Index dense_up_to = 64;

Matrix<double> copy_of(ConstMatrixView<double> x, const std::shared_ptr<Backend<double>>& backend) {
    Matrix<double> result(backend, x.rows(), x.cols());
    backend->copy(x, result.view());
    return result;
}

/// A symmetric operator on vectors of length n, as Spectra takes it; `apply` maps a 1 x n matrix.
template <class Apply>
struct SymmetricOperator {
    using Scalar = double;
    const std::shared_ptr<Backend<double>>& backend;
    Index n;
    const Apply& apply;

    [[nodiscard]] Eigen::Index rows() const { return n; }
    [[nodiscard]] Eigen::Index cols() const { return n; }
    void perform_op(const double* x, double* y) const {
        Matrix<double> row(backend, 1, n);
        backend->upload({x, 1, n}, row.view());
        const Matrix<double> image = apply(row);
        backend->download(image.view(), {y, 1, n});
    }
};

/// The largest (or smallest) eigenvalue by the implicitly restarted Lanczos iteration, of an operator whose spectrum is not one point.
template <class Apply>
double extreme_eigenvalue(const std::shared_ptr<Backend<double>>& backend, Index n, Spectra::SortRule which, const Apply& apply) {
    SymmetricOperator<Apply> op{backend, n, apply};
    Spectra::SymEigsSolver<SymmetricOperator<Apply>> solver(op, 1, std::min<Index>(n, 40));
    bool converged = false;
    try {
        solver.init();
        solver.compute(which, 300, 1e-13);
        converged = solver.info() == Spectra::CompInfo::Successful;
    } catch (const std::runtime_error&) {  // the small tridiagonal problem inside did not converge
    }
    if (!converged)
        throw Error(
            ErrorCode::device_failure,
            fmt::format("the Lanczos iteration for an extreme eigenvalue of {} samples did not converge; ask for all eigenvalues", n));
    return solver.eigenvalues()[0];
}

/// Eigenvalues of a symmetric matrix, ascending.
std::vector<double> eigenvalues(Matrix<double> x) {
    Matrix<double> values(x.backend(), x.rows(), 1);
    x.backend()->eigen(x.view(), values.view(), false);
    const HostMatrix<double> host = download(values);
    return {host.data(), host.data() + host.size()};
}

Matrix<double> identity(const std::shared_ptr<Backend<double>>& backend, Index n) {
    Matrix<double> result(backend, n, n);
    backend->fill(result.view(), 0);
    backend->add_to_diagonal(1, result.view());
    return result;
}

double log10_or_nan(double x) { return x > 0 ? std::log10(x) : nan; }

}  // namespace

NormalizedSystem NormalizedSystem::near_ones(Matrix<double> e, std::int64_t exponent, bool limit) {
    const int clamped = static_cast<int>(std::clamp<std::int64_t>(exponent, -2000, 2000));  // the double is 0 below -1074
    return {std::move(e), exponent, true, limit ? 0 : std::ldexp(1.0, clamped)};
}

NormalizedSystem NormalizedSystem::near_identity(Matrix<double> k) { return {std::move(k), 0, false, 0}; }

NormalizedSystem::NormalizedSystem(Matrix<double> entries, std::int64_t exponent, bool near_ones, double corner)
    : entries_(std::move(entries)), exponent_(exponent), near_ones_(near_ones), corner_(corner) {
    if (entries_.rows() != entries_.cols() || entries_.rows() == 0)
        throw Error(ErrorCode::shape_mismatch, fmt::format("closed form: the kernel is {} x {}, expected square with at least one sample",
                                                           entries_.rows(), entries_.cols()));
    const auto& backend = entries_.backend();
    ones_ = Matrix<double>(backend, samples(), 1);
    backend->fill(ones_.view(), 1);
    factor_ = assembled();
    const Norms norms = backend->norms(factor_.view());
    if (!norms.finite) throw Error(ErrorCode::invalid_argument, "closed form: the kernel has entries that are not finite");
    lu_ = backend->lu(factor_.view());
    const auto refuse = [&](const std::string& reason) {
        throw Error(ErrorCode::not_positive_definite,
                    fmt::format("the closed form of {} samples is not resolved in float64: {}; equal or, for an odd network, opposite "
                                "samples, or a kernel of low rank (a linear network with more samples than features)",
                                samples(), reason));
    };
    if (lu_.zero_pivot > 0) refuse(fmt::format("pivot {} of the system is exactly zero", lu_.zero_pivot));
    Matrix<double> row(backend, 1, order());
    error_ = epsilon * norms.one * inverse_one_norm<double>(order(), [&](HostMatrix<double>& x) {
                 backend->upload(ConstMatrixView<double>(x.view()).reshaped(1, order()), row.view());
                 backend->lu_solve_rows(factor_.view(), lu_, row.view());
                 backend->download(row.view(), x.view().reshaped(1, order()));
             });
    if (!(error_ < 0.1)) refuse(fmt::format("the condition number of its system is about {:.1e}", error_ / epsilon));
}

Matrix<double> NormalizedSystem::assembled() const {
    const auto& backend = entries_.backend();
    const Index n = samples();
    Matrix<double> result(backend, order(), order());
    const MatrixView<double> block = result.view().row_range(0, n).col_range(0, n);
    backend->copy(entries_.view(), block);
    if (!near_ones_) return result;
    backend->scale(-1, block);
    backend->fill(result.view().row_range(n, 1), 1);
    backend->fill(result.view().col_range(n, 1), 1);
    backend->fill(result.view().row_range(n, 1).col_range(n, 1), -corner_);
    return result;
}

void NormalizedSystem::subtract_product(const Matrix<double>& x, Matrix<double>& rhs) const {
    const auto& backend = entries_.backend();
    const Index n = samples();
    const ConstMatrixView<double> u = x.view().col_range(0, n);
    const MatrixView<double> left = rhs.view().col_range(0, n);
    backend->gemm(Transpose::no, Transpose::no, near_ones_ ? 1 : -1, u, entries_.view(), 1, left);
    if (!near_ones_) return;
    const ConstMatrixView<double> m = x.view().col_range(n, 1);
    const MatrixView<double> right = rhs.view().col_range(n, 1);
    backend->gemm(Transpose::no, Transpose::yes, -1, m, ones_.view(), 1, left);
    backend->gemm(Transpose::no, Transpose::no, -1, u, ones_.view(), 1, right);
    backend->axpy(corner_, m, right);
}

Matrix<double> NormalizedSystem::weights(const Matrix<double>& cross) const {
    const Index n = samples(), tests = cross.rows();
    if (cross.cols() != n)
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("closed form: the cross kernel is {} x {}, expected {} columns", tests, cross.cols(), n));
    const auto& backend = entries_.backend();
    Matrix<double> x(backend, tests, order());
    backend->copy(cross.view(), x.view().col_range(0, n));
    if (near_ones_) {
        backend->scale(-1, x.view().col_range(0, n));
        backend->fill(x.view().col_range(n, 1), 1);
    }
    Matrix<double> residual = copy_of(x.view(), backend);
    backend->lu_solve_rows(factor_.view(), lu_, x.view());
    subtract_product(x, residual);
    backend->lu_solve_rows(factor_.view(), lu_, residual.view());
    backend->axpy(1, residual.view(), x.view());
    return copy_of(ConstMatrixView<double>(x.view()).col_range(0, n), backend);
}

Matrix<double> NormalizedSystem::inverse_times(const Matrix<double>& b) const {
    // -E u + m 1 = b and 1^T u = e m together say e b = (1 1^T - e E) u.
    const auto& backend = entries_.backend();
    const Index n = samples();
    Matrix<double> x(backend, b.rows(), order());
    backend->fill(x.view(), 0);
    backend->copy(b.view(), x.view().col_range(0, n));
    backend->lu_solve_rows(factor_.view(), lu_, x.view());
    return copy_of(ConstMatrixView<double>(x.view()).col_range(0, n), backend);
}

Matrix<double> NormalizedSystem::times(const Matrix<double>& b) const {
    const auto& backend = entries_.backend();
    Matrix<double> result(backend, b.rows(), samples());
    backend->gemm(Transpose::no, Transpose::no, near_ones_ ? -corner_ : 1, b.view(), entries_.view(), 0, result.view());
    if (near_ones_) {
        Matrix<double> sums(backend, b.rows(), 1);
        backend->gemm(Transpose::no, Transpose::no, 1, b.view(), ones_.view(), 0, sums.view());
        backend->gemm(Transpose::no, Transpose::yes, 1, sums.view(), ones_.view(), 1, result.view());
    }
    return result;
}

double NormalizedSystem::log10_unit() const { return static_cast<double>(exponent_) * std::log10(2.0); }

NormalizedReport NormalizedSystem::report(bool spectrum) const {
    const auto& backend = entries_.backend();
    const Index n = samples();
    NormalizedReport report;
    report.error = error_;
    Matrix<double> pivots(backend, order(), 1);
    backend->diagonal(factor_.view(), pivots.view());
    const HostMatrix<double> pivot = download(pivots);
    for (Index i = 0; i < order(); ++i) report.log_determinant += std::log(std::fabs(pivot(i, 0)));
    // The determinant of the bordered matrix is -e^(1 - n) det K.
    if (near_ones_) report.log_determinant += static_cast<double>((n - 1) * exponent_) * std::numbers::ln2;
    if (spectrum || n <= dense_up_to) {
        const std::vector<double> values = dense_spectrum();
        report.log10_lambda_min = values.front();
        report.log10_lambda_max = values.back();
        if (spectrum) report.log10_spectrum = values;
    } else if (near_ones_) {
        report.log10_lambda_min =
            log10_unit() - log10_or_nan(extreme_eigenvalue(backend, n, Spectra::SortRule::LargestAlge,
                                                           [&](const Matrix<double>& b) { return inverse_times(b); }));
        report.log10_lambda_max = log10_or_nan(largest_near_ones());
    } else {
        // K = I + F, with the spectrum of F spread over the scale of F.
        const double scale = backend->summarize(entries_.view(), Entries::off_diagonal, 0).max_abs;
        if (static_cast<double>(n) * scale < epsilon) return report;  // every eigenvalue is 1 (Gershgorin)
        const auto deviation = [&](const Matrix<double>& b) {
            Matrix<double> result = times(b);
            backend->axpy(-1, b.view(), result.view());
            backend->scale(1 / scale, result.view());
            return result;
        };
        report.log10_lambda_min = log10_or_nan(1 + scale * extreme_eigenvalue(backend, n, Spectra::SortRule::SmallestAlge, deviation));
        report.log10_lambda_max = log10_or_nan(1 + scale * extreme_eigenvalue(backend, n, Spectra::SortRule::LargestAlge, deviation));
    }
    return report;
}

double NormalizedSystem::largest_near_ones() const {
    const auto& backend = entries_.backend();
    // The Rayleigh quotient of the ones is short of lambda_max by the second order in e.
    constexpr double second_order_vanishes = 1e-9;
    if (corner_ > second_order_vanishes)
        return extreme_eigenvalue(backend, samples(), Spectra::SortRule::LargestAlge, [&](const Matrix<double>& b) { return times(b); });
    const auto n = static_cast<double>(samples());
    return n - corner_ * backend->summarize(entries_.view(), Entries::all, 0).sum / n;
}

std::vector<double> NormalizedSystem::dense_spectrum() const {
    const auto& backend = entries_.backend();
    const Index n = samples();
    const std::vector<double> inverse = eigenvalues(inverse_times(identity(backend, n)));
    const std::vector<double> forward = eigenvalues(times(identity(backend, n)));
    // Rounding is relative to the largest eigenvalue of the matrix that is decomposed.
    std::vector<double> result;
    for (std::size_t i = 0; i < forward.size(); ++i) {
        const double mu = inverse[forward.size() - 1 - i];
        const bool from_inverse = mu > 0 && !(forward[i] / forward.back() > mu / inverse.back());
        result.push_back(from_inverse ? log10_unit() - std::log10(mu) : log10_or_nan(forward[i]));
    }
    return result;
}

}  // namespace ntk

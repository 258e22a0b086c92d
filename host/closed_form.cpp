#include <ntkcuda/closed_form.hpp>

#include "closed_form_checks.hpp"
#include "inverse_norm.hpp"

#include <algorithm>
#include <optional>

namespace ntk {
namespace {

/// Up to here a refused system is worth its whole spectrum (4/3 n^3 flops).
constexpr Index eigenvalues_up_to = 4000;
/// Rows of a kernel that come to the host at a time when a refusal looks for equal samples.
constexpr Index panel_rows = 256;

template <class Real>
Matrix<Real> copy_of(ConstMatrixView<Real> x, const std::shared_ptr<Backend<Real>>& backend) {
    Matrix<Real> result(backend, x.rows(), x.cols());
    backend->copy(x, result.view());
    return result;
}

template <class Real>
double inverse_one_norm(const Matrix<Real>& factor) {
    const auto& backend = factor.backend();
    Matrix<Real> on_device(backend, factor.rows(), 1);
    return ntk::inverse_one_norm<Real>(factor.rows(), [&](HostMatrix<Real>& x) {
        backend->upload(x.view(), on_device.view());
        backend->cholesky_solve(factor.view(), on_device.view());
        backend->download(on_device.view(), x.view());
    });
}

/// The smallest eigenvalue from above, by inverse iteration: within 2 % of the one below unless they nearly agree.
template <class Real>
double smallest_eigenvalue_of(const Matrix<Real>& factor) {
    constexpr int most_steps = 20;
    const auto& backend = factor.backend();
    Matrix<Real> x(backend, factor.rows(), 1);
    backend->draw_normals({1, 0, 0}, 1, x.view());
    double smallest = std::numeric_limits<double>::infinity();
    for (int step = 0; step < most_steps; ++step) {
        backend->scale(1 / backend->norms(x.view()).frobenius, x.view());
        backend->cholesky_solve(factor.view(), x.view());
        const double now = 1 / backend->norms(x.view()).frobenius;
        if (now > 0.99 * smallest) return std::min(now, smallest);
        smallest = now;
    }
    return smallest;
}

/// What a refusal knows about K + ridge I: the factor's strict upper triangle still holds K, `diagonal` is that of K.
template <class Real>
struct Refused {
    Matrix<Real>& factor;
    const HostMatrix<Real>& diagonal;
    double ridge;
    double one_norm;  ///< of K + ridge I
    double resolved;  ///< the smallest eigenvalue that the entries resolve, where they are coarser than Real; else 0

    Index n() const { return factor.rows(); }
    double rounding() const { return std::max(resolved, static_cast<double>(std::max<Index>(n(), 100)) * epsilon<Real> * one_norm); }

    /// The first pair (counting from 1) whose kernel values are those of one and the same sample, to rounding.
    std::optional<std::pair<Index, Index>> equal_samples() const {
        for (Index first = 0; first < n(); first += panel_rows) {
            const Index rows = std::min(panel_rows, n() - first);
            HostMatrix<Real> panel(rows, n());
            factor.backend()->download(ConstMatrixView<Real>(factor.view()).row_range(first, rows), panel.view());
            for (Index i = first; i < first + rows; ++i)
                for (Index j = i + 1; j < n(); ++j) {
                    const double value = panel(i - first, j), tolerance = std::max(resolved, 4 * epsilon<Real> * std::fabs(value));
                    if (std::fabs(diagonal(i, 0) - value) <= tolerance && std::fabs(diagonal(j, 0) - value) <= tolerance)
                        return {{i + 1, j + 1}};
                }
        }
        return std::nullopt;
    }

    /// The smallest eigenvalue, from the restored matrix. Overwrites the factor.
    double smallest_eigenvalue() {
        HostMatrix<Real> k = download(factor);
        for (Index i = 0; i < n(); ++i) {
            k(i, i) = diagonal(i, 0) + static_cast<Real>(ridge);
            for (Index j = i + 1; j < n(); ++j) k(j, i) = k(i, j);
        }
        factor.backend()->upload(k.view(), factor.view());
        Matrix<Real> values(factor.backend(), n(), 1);
        factor.backend()->eigen(factor.view(), values.view(), false);
        return download(values)(0, 0);
    }

    /// With the leading block A = G G^T, the column a above pivot j and the pivot's Schur complement s = k_jj - a^T A^{-1} a, the vector
    /// (-A^{-1} a, 1) has Rayleigh quotient s / (1 + |A^{-1} a|^2), which bounds the smallest eigenvalue from above.
    double bound_from_pivot(Index pivot) {
        const double own = static_cast<double>(diagonal(pivot, 0)) + ridge;
        if (pivot == 0) return own;
        const auto& backend = factor.backend();
        const auto all = factor.view();
        const Matrix<Real> a = copy_of<Real>({all.data() + pivot, pivot, 1, all.stride()}, backend);
        Matrix<Real> solved = copy_of<Real>(a.view(), backend);
        backend->cholesky_solve({all.data(), pivot, pivot, all.stride()}, solved.view());
        const HostMatrix<Real> column = download(a), weights = download(solved);
        double product = 0, squares = 0;
        for (Index i = 0; i < pivot; ++i) {
            product += static_cast<double>(column(i, 0)) * static_cast<double>(weights(i, 0));
            squares += static_cast<double>(weights(i, 0)) * static_cast<double>(weights(i, 0));
        }
        return (own - product) / (1 + squares);
    }

    std::string advice(double smallest, const std::optional<std::pair<Index, Index>>& equal) const {
        std::string text = fmt::format("try a ridge of {:.1e} (--ridge)", ridge + lifting_ridge(smallest, rounding()));
        if (equal) text += fmt::format(", or remove one of the equal samples {} and {}", equal->first, equal->second);
        if (sizeof(Real) < sizeof(double) || resolved > 0) text += ", or --precision fp64";
        return text;
    }

    [[noreturn]] void throw_failed_pivot(Index pivot) {
        const auto equal = equal_samples();  // before the eigenvalue routine overwrites what it reads
        const bool by_eigenvalues = n() <= eigenvalues_up_to;
        const double smallest = by_eigenvalues ? smallest_eigenvalue() : bound_from_pivot(pivot);
        throw Error(
            ErrorCode::not_positive_definite,
            fmt::format("the kernel matrix of {} samples is not positive definite: its factorisation failed at pivot {} (sample {}, "
                        "counting from 1); its smallest eigenvalue is {}{:.3g}, where rounding amounts to {:.1e}; {}",
                        n(), pivot + 1, pivot + 1, by_eigenvalues ? "" : "at most (from that pivot) ", smallest, rounding(),
                        advice(smallest, equal)));
    }

    [[noreturn]] void throw_ill_conditioned(double condition) {
        const HostMatrix<Real> pivots = diagonal_of(factor);
        Index smallest = 0;
        for (Index i = 1; i < n(); ++i)
            if (pivots(i, 0) < pivots(smallest, 0)) smallest = i;
        throw Error(ErrorCode::not_positive_definite,
                    fmt::format("the kernel matrix of {} samples is too ill-conditioned: its condition number is about {:.1e}, and {} "
                                "resolves {:.1e}; its smallest pivot is {} (sample {}, counting from 1); {}",
                                n(), condition, sizeof(Real) < sizeof(double) ? "float32" : "float64", 1 / epsilon<Real>, smallest + 1,
                                smallest + 1, advice(0, equal_samples())));
    }

    [[noreturn]] void throw_unresolved(double smallest) {
        throw Error(
            ErrorCode::not_positive_definite,
            fmt::format("the kernel matrix of {} samples is not resolved: its smallest eigenvalue{} is {:.3g}, and entries as coarse "
                        "as these resolve {:.1e}; {}",
                        n(), ridge > 0 ? " with the ridge" : "", smallest, resolved, advice(smallest, equal_samples())));
    }
};

}  // namespace

template <class Real>
KernelSystem<Real>::KernelSystem(Matrix<Real> kernel, double ridge, double resolution) : factor_(std::move(kernel)) {
    require_ridge(ridge);
    double one_norm = checked_norms(factor_).one;
    const auto& backend = factor_.backend();
    const HostMatrix<Real> diagonal = diagonal_of(factor_);
    if (ridge > 0) {
        backend->add_to_diagonal(ridge, factor_.view());
        one_norm = backend->norms(factor_.view()).one;
    }

    Refused<Real> refused{factor_, diagonal, ridge, one_norm, resolution * mean_of(diagonal)};
    const CholeskyStatus status = backend->cholesky(factor_.view());
    if (status.failed_minor > 0) refused.throw_failed_pivot(status.failed_minor - 1);
    report_.condition = one_norm * inverse_one_norm(factor_);
    if (!(report_.condition * epsilon<Real> < 1)) refused.throw_ill_conditioned(report_.condition);
    if (resolution > 0)
        if (const double smallest = smallest_eigenvalue_of(factor_); smallest < refused.resolved) refused.throw_unresolved(smallest);
    const HostMatrix<Real> pivots = diagonal_of(factor_);
    for (Index i = 0; i < pivots.rows(); ++i) report_.log_determinant += 2 * std::log(static_cast<double>(pivots(i, 0)));
}

template <class Real>
KernelSystem<Real> KernelSystem<Real>::from_factor(Matrix<Real> factor, const SystemReport& report) {
    require_shape("the factor", factor.rows(), factor.cols(), std::max<Index>(1, factor.rows()), std::max<Index>(1, factor.rows()));
    KernelSystem system;
    system.factor_ = std::move(factor);
    system.report_ = report;
    return system;
}

template <class Real>
Matrix<Real> KernelSystem<Real>::solve(InputView<Real> y) const {
    require_shape("y", y.rows(), y.cols(), factor_.rows(), y.cols());
    Matrix<Real> x = copy_of<Real>(y, factor_.backend());
    factor_.backend()->cholesky_solve(factor_.view(), x.view());
    return x;
}

template <class Real>
Matrix<Real> KernelSystem<Real>::predict(InputView<Real> cross, InputView<Real> y) const {
    require_shape("the cross kernel", cross.rows(), cross.cols(), cross.rows(), factor_.rows());
    const Matrix<Real> weights = solve(y);
    Matrix<Real> result(factor_.backend(), cross.rows(), y.cols());
    factor_.backend()->gemm(Transpose::no, Transpose::no, 1, cross, weights.view(), 0, result.view());
    return result;
}

template <class Real>
Matrix<Real> KernelSystem<Real>::posterior_variance(InputView<Real> cross, InputView<Real> test_diagonal) const {
    require_shape("the cross kernel", cross.rows(), cross.cols(), cross.rows(), factor_.rows());
    require_shape("the tests' diagonal", test_diagonal.rows(), test_diagonal.cols(), cross.rows(), 1);
    const auto& backend = factor_.backend();
    Matrix<Real> solved = copy_of<Real>(cross, backend), explained(backend, cross.rows(), 1);
    backend->triangular_solve_rows(factor_.view(), solved.view());
    backend->row_dots(solved.view(), solved.view(), explained.view());
    Matrix<Real> variance = copy_of<Real>(test_diagonal, backend);
    const HostMatrix<Real> prior = download(variance);
    backend->axpy(-1, explained.view(), variance.view());
    require_explicable(download(variance), prior, factor_.rows(), report_.condition);
    return variance;
}

template <class Real>
GradientFlow<Real>::GradientFlow(Matrix<Real> kernel, double resolution) : spectrum_(std::move(kernel), resolution) {
    spectrum_.require_semidefinite();
    report_ = spectrum_.report();
}

template <class Real>
Matrix<Real> GradientFlow<Real>::predict(InputView<Real> cross, InputView<Real> y, double time) const {
    require_shape("the cross kernel", cross.rows(), cross.cols(), cross.rows(), spectrum_.samples());
    const Matrix<Real> coefficients = spectrum_.flow_coefficients(y, time);
    Matrix<Real> result(coefficients.backend(), cross.rows(), y.cols());
    coefficients.backend()->gemm(Transpose::no, Transpose::no, 1, cross, coefficients.view(), 0, result.view());
    return result;
}

template class KernelSystem<float>;
template class KernelSystem<double>;
template class GradientFlow<float>;
template class GradientFlow<double>;

}  // namespace ntk

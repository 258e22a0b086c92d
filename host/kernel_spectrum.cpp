#include <ntkcuda/kernel_spectrum.hpp>

#include "closed_form_checks.hpp"

#include <algorithm>

namespace ntk {
namespace {

/// Eigenvectors that come to the host at a time.
constexpr Index panel_rows = 256;

double flow_gain(double lambda, double time) { return lambda == 0 ? time : -std::expm1(-time * lambda) / lambda; }

}  // namespace

template <class Real>
KernelSpectrum<Real>::KernelSpectrum(Matrix<Real> kernel, double resolution) : vectors_(std::move(kernel)) {
    checked_norms(vectors_);
    const double coarse = resolution * mean_of(diagonal_of(vectors_));
    coarse_ = coarse > 0;
    const Index n = samples();
    Matrix<Real> values(vectors_.backend(), n, 1);
    vectors_.backend()->eigen(vectors_.view(), values.view(), true);
    const HostMatrix<Real> on_host = download(values);
    values_.assign(on_host.data(), on_host.data() + n);
    rounding_ = std::max(coarse, static_cast<double>(n) * epsilon<Real> * std::max(values_.back(), -values_.front()));
}

template <class Real>
SystemReport KernelSpectrum<Real>::report(double ridge) const {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const double smallest = values_.front() + ridge, largest = values_.back() + ridge;
    SystemReport report;
    report.condition_is_estimate = false;
    report.condition = smallest > 0 ? largest / smallest : infinity;
    for (const double lambda : values_) report.log_determinant += lambda + ridge > 0 ? std::log(lambda + ridge) : -infinity;
    return report;
}

template <class Real>
void KernelSpectrum<Real>::require_semidefinite() const {
    if (values_.front() < -rounding_)
        throw Error(ErrorCode::not_positive_definite,
                    fmt::format("the kernel matrix of {} samples is not positive semidefinite: its smallest eigenvalue is {:.3g}, where "
                                "rounding amounts to {:.1e}",
                                samples(), values_.front(), rounding_));
}

template <class Real>
void KernelSpectrum<Real>::require_resolved(double ridge) const {
    require_ridge(ridge);
    if (values_.front() + ridge > rounding_) return;
    throw Error(ErrorCode::not_positive_definite,
                fmt::format("the kernel matrix of {} samples with a ridge of {:.3g} is not positive definite to rounding: its smallest "
                            "eigenvalue is {:.3g}, where rounding amounts to {:.1e}; try ridges from {:.1e} on (--ridge){}",
                            samples(), ridge, values_.front() + ridge, rounding_, lifting_ridge(values_.front(), rounding_),
                            sizeof(Real) < sizeof(double) || coarse_ ? ", or --precision fp64" : ""));
}

template <class Real>
HostMatrix<Real> KernelSpectrum<Real>::modes(InputView<Real> y) const {
    require_shape("y", y.rows(), y.cols(), samples(), y.cols());
    Matrix<Real> result(vectors_.backend(), samples(), y.cols());
    vectors_.backend()->gemm(Transpose::no, Transpose::no, 1, vectors_.view(), y, 0, result.view());
    return download(result);
}

template <class Real>
Matrix<Real> KernelSpectrum<Real>::apply(const std::function<double(double)>& gain, InputView<Real> y) const {
    HostMatrix<Real> mode = modes(y);
    for (Index i = 0; i < mode.rows(); ++i) {
        const double factor = gain(values_[static_cast<std::size_t>(i)]);
        for (Index j = 0; j < mode.cols(); ++j) mode(i, j) = static_cast<Real>(factor * mode(i, j));
    }
    const auto& backend = vectors_.backend();
    Matrix<Real> scaled(backend, mode.rows(), mode.cols()), result(backend, mode.rows(), mode.cols());
    backend->upload(mode.view(), scaled.view());
    backend->gemm(Transpose::yes, Transpose::no, 1, vectors_.view(), scaled.view(), 0, result.view());
    backend->synchronize();  // `mode` must outlive its copy
    return result;
}

template <class Real>
Matrix<Real> KernelSpectrum<Real>::ridge_coefficients(InputView<Real> y, double ridge) const {
    require_resolved(ridge);
    return apply([&](double lambda) { return 1 / (lambda + ridge); }, y);
}

template <class Real>
Matrix<Real> KernelSpectrum<Real>::flow_coefficients(InputView<Real> y, double time) const {
    if (!(time > 0)) throw Error(ErrorCode::invalid_argument, fmt::format("the time must be > 0, not {}", time));
    require_semidefinite();
    if (values_.front() <= rounding_ && !(time * rounding_ <= 1))
        throw Error(
            ErrorCode::not_positive_definite,
            fmt::format("gradient flow to time {:.3g} hangs on eigenvalues of the kernel that rounding has made up: the smallest is "
                        "{:.3g}, rounding amounts to {:.1e}; try a time up to {:.1e}, or remove equal samples{}",
                        time, values_.front(), rounding_, 1 / rounding_,
                        sizeof(Real) < sizeof(double) || coarse_ ? ", or --precision fp64" : ""));
    return apply([&](double lambda) { return flow_gain(lambda, time); }, y);
}

template <class Real>
HostMatrix<double> KernelSpectrum<Real>::inverse_diagonal(double ridge) const {
    const Index n = samples();
    HostMatrix<double> diagonal(n, 1);
    for (Index first = 0; first < n; first += panel_rows) {
        const Index rows = std::min(panel_rows, n - first);
        HostMatrix<Real> panel(rows, n);
        vectors_.backend()->download(vectors().row_range(first, rows), panel.view());
        for (Index i = 0; i < rows; ++i) {
            const double gain = 1 / (values_[static_cast<std::size_t>(first + i)] + ridge);
            for (Index j = 0; j < n; ++j) {
                const auto entry = static_cast<double>(panel(i, j));
                diagonal(j, 0) += gain * entry * entry;
            }
        }
    }
    return diagonal;
}

template <class Real>
HostMatrix<double> KernelSpectrum<Real>::leave_one_out(const Matrix<Real>& coefficients, double ridge) const {
    require_shape("the matrix of coefficients", coefficients.rows(), coefficients.cols(), samples(), coefficients.cols());
    require_resolved(ridge);
    const HostMatrix<double> diagonal = inverse_diagonal(ridge);
    HostMatrix<double> residuals = download(coefficients).template cast<double>();
    for (Index j = 0; j < residuals.rows(); ++j)
        for (Index t = 0; t < residuals.cols(); ++t) residuals(j, t) /= diagonal(j, 0);
    return residuals;
}

template <class Real>
double KernelSpectrum<Real>::ridge_degrees_of_freedom(double ridge) const {
    require_resolved(ridge);
    double sum = 0;
    for (const double lambda : values_) sum += lambda / (lambda + ridge);
    return sum;
}

template <class Real>
double KernelSpectrum<Real>::flow_degrees_of_freedom(double time) const {
    double sum = 0;
    for (const double lambda : values_) sum += lambda * flow_gain(lambda, time);
    return sum;
}

template <class Real>
TargetAlignment KernelSpectrum<Real>::alignment(InputView<Real> y) const {
    const HostMatrix<Real> mode = modes(y);
    const Index n = mode.rows(), targets = mode.cols();
    TargetAlignment result;
    double squares = 0, product = 0, kernel_squares = 0, gram_squares = 0;
    for (Index i = n - 1; i >= 0; --i) {
        const double lambda = values_[static_cast<std::size_t>(i)];
        double share = 0;
        for (Index t = 0; t < targets; ++t) share += static_cast<double>(mode(i, t)) * static_cast<double>(mode(i, t));
        result.shares.push_back(share);
        squares += share;
        product += lambda * share;
        kernel_squares += lambda * lambda;
    }
    for (Index s = 0; s < targets; ++s)
        for (Index t = 0; t < targets; ++t) {
            double entry = 0;  // |Y Y^T|_F = |Y^T Y|_F, and rotating Y changes neither
            for (Index i = 0; i < n; ++i) entry += static_cast<double>(mode(i, s)) * static_cast<double>(mode(i, t));
            gram_squares += entry * entry;
        }
    if (!(kernel_squares > 0) || !(squares > 0))
        throw Error(ErrorCode::invalid_argument, "alignment: the kernel or the targets are zero, and have no direction");
    result.kernel_target = product / std::sqrt(kernel_squares * gram_squares);
    for (double& share : result.shares) share /= squares;
    return result;
}

template class KernelSpectrum<float>;
template class KernelSpectrum<double>;

}  // namespace ntk

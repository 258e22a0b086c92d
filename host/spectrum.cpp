#include <ntkcuda/spectrum.hpp>

#include "closed_form_checks.hpp"

#include <algorithm>

namespace ntk {
namespace {

double flow_gain(double lambda, double time) { return lambda == 0 ? time : -std::expm1(-time * lambda) / lambda; }

}  // namespace

template <class Real>
void Spectrum<Real>::set_values(std::vector<double> ascending, double resolved) {
    values_ = std::move(ascending);
    coarse_ = resolved > 0;
    rounding_ = std::max(resolved, static_cast<double>(samples()) * epsilon<Real> * std::max(values_.back(), -values_.front()));
}

template <class Real>
SystemReport Spectrum<Real>::report(double ridge) const {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const double smallest = values_.front() + ridge, largest = values_.back() + ridge;
    SystemReport report;
    report.condition_is_estimate = false;
    report.condition = smallest > 0 ? largest / smallest : infinity;
    for (const double lambda : values_) report.log_determinant += lambda + ridge > 0 ? std::log(lambda + ridge) : -infinity;
    return report;
}

template <class Real>
const char* Spectrum<Real>::or_finer() const {
    return sizeof(Real) < sizeof(double) || coarse_ ? ", or --precision fp64" : "";
}

template <class Real>
void Spectrum<Real>::require_semidefinite() const {
    if (values_.front() < -rounding_)
        throw Error(ErrorCode::not_positive_definite,
                    fmt::format("the kernel matrix of {} samples is not positive semidefinite: its smallest eigenvalue is {:.3g}, where "
                                "rounding amounts to {:.1e}",
                                samples(), values_.front(), rounding_));
}

template <class Real>
void Spectrum<Real>::require_resolved(double ridge) const {
    require_ridge(ridge);
    if (values_.front() + ridge > rounding_) return;
    throw Error(ErrorCode::not_positive_definite,
                fmt::format("the kernel matrix of {} samples with a ridge of {:.3g} is not positive definite to rounding: its smallest "
                            "eigenvalue is {:.3g}, where rounding amounts to {:.1e}; try ridges from {:.1e} on (--ridge){}",
                            samples(), ridge, values_.front() + ridge, rounding_, lifting_ridge(values_.front(), rounding_), or_finer()));
}

template <class Real>
HostMatrix<Real> Spectrum<Real>::modes(InputView<Real> y) const {
    require_shape("y", y.rows(), y.cols(), samples(), y.cols());
    return project(y);
}

template <class Real>
Matrix<Real> Spectrum<Real>::apply(const std::function<double(double)>& gain, InputView<Real> y) const {
    HostMatrix<Real> mode = modes(y);
    for (Index i = 0; i < mode.rows(); ++i) {
        const double factor = gain(values_[static_cast<std::size_t>(i)]);
        for (Index j = 0; j < mode.cols(); ++j) mode(i, j) = static_cast<Real>(factor * mode(i, j));
    }
    return combine(mode);
}

template <class Real>
Matrix<Real> Spectrum<Real>::ridge_coefficients(InputView<Real> y, double ridge) const {
    require_resolved(ridge);
    return apply([&](double lambda) { return 1 / (lambda + ridge); }, y);
}

template <class Real>
Matrix<Real> Spectrum<Real>::flow_coefficients(InputView<Real> y, double time) const {
    if (!(time > 0)) throw Error(ErrorCode::invalid_argument, fmt::format("the time must be > 0, not {}", time));
    require_semidefinite();
    if (values_.front() <= rounding_ && !(time * rounding_ <= 1))
        throw Error(
            ErrorCode::not_positive_definite,
            fmt::format("gradient flow to time {:.3g} hangs on eigenvalues of the kernel that rounding has made up: the smallest is "
                        "{:.3g}, rounding amounts to {:.1e}; try a time up to {:.1e}, or remove equal samples{}",
                        time, values_.front(), rounding_, 1 / rounding_, or_finer()));
    return apply([&](double lambda) { return flow_gain(lambda, time); }, y);
}

template <class Real>
HostMatrix<double> Spectrum<Real>::leave_one_out(const Matrix<Real>& coefficients, double ridge) const {
    require_shape("the matrix of coefficients", coefficients.rows(), coefficients.cols(), samples(), coefficients.cols());
    require_resolved(ridge);
    std::vector<double> gains;
    for (const double lambda : values_) gains.push_back(1 / (lambda + ridge));
    const std::vector<double> inverse_diagonal = diagonal(gains);
    HostMatrix<double> residuals = download(coefficients).template cast<double>();
    for (Index j = 0; j < residuals.rows(); ++j)
        for (Index t = 0; t < residuals.cols(); ++t) residuals(j, t) /= inverse_diagonal[static_cast<std::size_t>(j)];
    return residuals;
}

template <class Real>
double Spectrum<Real>::ridge_degrees_of_freedom(double ridge) const {
    require_resolved(ridge);
    double sum = 0;
    for (const double lambda : values_) sum += lambda / (lambda + ridge);
    return sum;
}

template <class Real>
double Spectrum<Real>::flow_degrees_of_freedom(double time) const {
    double sum = 0;
    for (const double lambda : values_) sum += lambda * flow_gain(lambda, time);
    return sum;
}

template <class Real>
TargetAlignment Spectrum<Real>::alignment(InputView<Real> y) const {
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

template class Spectrum<float>;
template class Spectrum<double>;

}  // namespace ntk

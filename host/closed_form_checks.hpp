#pragma once

// What every closed form asks of a kernel and its companions.

#include <ntkcuda/backend.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ntk {

template <class Real>
constexpr double epsilon = std::numeric_limits<Real>::epsilon();

template <class Real>
HostMatrix<Real> diagonal_of(const Matrix<Real>& x) {
    Matrix<Real> diagonal(x.backend(), x.rows(), 1);
    x.backend()->diagonal(x.view(), diagonal.view());
    return download(diagonal);
}

template <class Real>
double mean_of(const HostMatrix<Real>& values) {
    double sum = 0;
    for (Index i = 0; i < values.size(); ++i) sum += static_cast<double>(values.data()[i]);
    return sum / static_cast<double>(values.size());
}

inline void require_shape(const char* what, Index rows, Index cols, Index expected_rows, Index expected_cols) {
    if (rows != expected_rows || cols != expected_cols)
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("closed form: {} is {} x {}, expected {} x {}", what, rows, cols, expected_rows, expected_cols));
}

inline void require_ridge(double ridge) {
    if (!(ridge >= 0) || !std::isfinite(ridge))
        throw Error(ErrorCode::invalid_argument, fmt::format("the ridge must be a finite number >= 0, not {}", ridge));
}

inline void require_finite_kernel(bool finite) {
    if (!finite) throw Error(ErrorCode::invalid_argument, "closed form: the kernel has entries that are not finite");
}

/// The norms of a kernel that can be worked with; throws for one that cannot.
template <class Real>
Norms checked_norms(const Matrix<Real>& kernel) {
    if (kernel.rows() != kernel.cols() || kernel.rows() == 0)
        throw Error(ErrorCode::shape_mismatch, fmt::format("closed form: the kernel is {} x {}, expected square with at least one sample",
                                                           kernel.rows(), kernel.cols()));
    const Norms norms = kernel.backend()->norms(kernel.view());
    require_finite_kernel(norms.finite);
    return norms;
}

/// Refuses a posterior variance that the rounding of a system of so many samples and that condition cannot explain.
template <class Real>
void require_explicable(const HostMatrix<Real>& variance, const HostMatrix<Real>& prior, Index samples, double condition) {
    const double rounding = static_cast<double>(samples) * epsilon<Real> * condition;
    for (Index i = 0; i < variance.rows(); ++i)
        if (!(variance(i, 0) >= -rounding * prior(i, 0)))
            throw Error(ErrorCode::not_positive_definite,
                        fmt::format("the posterior variance at test {} (counting from 1) is {:.3g} of a prior variance of {:.3g}, which "
                                    "rounding cannot explain: the kernel, the cross kernel and the tests' diagonal do not belong together",
                                    i + 1, variance(i, 0), prior(i, 0)));
}

/// The ridge that a refusal names: a power of ten from which on the smallest eigenvalue is above what rounding does to it.
inline double lifting_ridge(double smallest, double rounding) {
    const double lift = std::max(0.0, -smallest) + rounding;
    return lift > 0 ? std::pow(10, std::ceil(std::log10(lift))) : 1;
}

}  // namespace ntk

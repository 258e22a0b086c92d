#pragma once

/// \file closed_form.hpp
/// The closed-form solution: kernel regression, its gradient flow, and the NNGP posterior.
///
///     ridge:          f(x) = k(x)^T (K + lambda I)^{-1} y
///     gradient flow:  f_t(x) = k(x)^T K^{-1} (I - exp(-t K)) y,  of (1/2) sum_i (f(x_i) - y_i)^2 at rate 1
///     posterior:      var(x) = k(x, x) - k(x)^T (K + lambda I)^{-1} k(x)
///
/// Prior mean zero; for the network's own start pass y - f_0(X) and add f_0(x). (Jacot et al. 2018; Lee et al. 2019.)

#include <ntkcuda/backend.hpp>
#include <ntkcuda/matrix.hpp>

#include <optional>

namespace ntk {

/// Facts about K + lambda I that every report carries.
struct SystemReport {
    double log_determinant = 0;
    double condition = 0;           ///< see condition_is_estimate
    bool condition_is_estimate = true;  ///< Cholesky: 1-norm estimate (Higham); eigen: lambda_max / lambda_min
};

/// A factorised system. Cholesky: n^3 / 3 flops once, 2 n^2 a right-hand side.
template <class Real>
class KernelSystem {
public:
    /// Takes the kernel (n x n, symmetric, both triangles set) and factorises K + ridge I in place.
    /// Throws Error(not_positive_definite) with the failing pivot, an estimate of the smallest eigenvalue and what to try
    /// (a ridge, fewer duplicates, float64), and Error(invalid_argument) for a negative or non-finite ridge or a non-finite kernel.
    /// A system so ill-conditioned that no digit of the answer can be trusted (condition * epsilon >= 1) is refused likewise.
    KernelSystem(Matrix<Real> kernel, double ridge);

    [[nodiscard]] const SystemReport& report() const { return report_; }
    /// K^{-1} y for y (n x targets).
    [[nodiscard]] Matrix<Real> solve(const Matrix<Real>& y) const;
    /// k(x)^T K^{-1} y for the cross kernel (tests x n).
    [[nodiscard]] Matrix<Real> predict(const Matrix<Real>& cross, const Matrix<Real>& y) const;
    /// Posterior variance (tests x 1) from the cross kernel and the tests' own diagonal (tests x 1).
    [[nodiscard]] Matrix<Real> posterior_variance(const Matrix<Real>& cross, const Matrix<Real>& test_diagonal) const;

private:
    Matrix<Real> factor_;
    SystemReport report_;
};

/// Gradient flow to time t > 0 (infinity is K^{-1} y) by the eigendecomposition of K; needs no positive definiteness beyond rounding:
/// (1 - exp(-t lambda)) / lambda is t where lambda is 0.  About 9 n^3 flops.
template <class Real>
class GradientFlow {
public:
    /// Throws as KernelSystem for a non-finite kernel; for an eigenvalue below -n epsilon lambda_max Error(not_positive_definite).
    explicit GradientFlow(Matrix<Real> kernel);
    [[nodiscard]] const SystemReport& report() const { return report_; }
    [[nodiscard]] Matrix<Real> predict(const Matrix<Real>& cross, const Matrix<Real>& y, double time) const;

private:
    Matrix<Real> vectors_;
    HostMatrix<Real> values_;
    SystemReport report_;
};

}  // namespace ntk

#pragma once

/// \file closed_form.hpp
/// The closed-form solution: kernel regression, its gradient flow, and the NNGP posterior.
///
///     ridge:          f(x) = k(x)^T (K + lambda I)^{-1} y
///     gradient flow:  f_t(x) = k(x)^T K^{-1} (I - exp(-t K)) y,  of (1/2) sum_i (f(x_i) - y_i)^2 at rate 1
///     posterior:      var(x) = k(x, x) - k(x)^T (K + lambda I)^{-1} k(x)
///
/// Prior mean zero; for the network's own start pass y - f_0(X) and add f_0(x). (Jacot et al. 2018; Lee et al. 2019.)

#include <ntkcuda/kernel_spectrum.hpp>

namespace ntk {

/// A factorised system. Cholesky: n^3 / 3 flops once, 2 n^2 a right-hand side; no second n x n matrix.
template <class Real>
class KernelSystem {
public:
    /// Takes the kernel (n x n, symmetric, both triangles set) and factorises K + ridge I in place.
    /// Throws Error(not_positive_definite) with the failing pivot, the smallest eigenvalue (n <= 4000; beyond, an upper bound of it from
    /// the failing pivot) and what to try: a ridge of a size that helps, removing a pair of equal samples by number, float64.
    /// A system so ill-conditioned that no digit of the answer can be trusted (condition * epsilon >= 1) is refused likewise.
    /// `resolution`: how far the entries are known, as the smallest eigenvalue of K over the mean of its diagonal that they resolve
    /// (half_gram_resolution of gram.hpp; 0: to the rounding of Real). K + ridge I with a smaller eigenvalue is refused, with that
    /// eigenvalue; finding it takes some 20 solves more.
    /// Throws Error(shape_mismatch) for a kernel that is not square or has no samples, and Error(invalid_argument) for a negative or
    /// non-finite ridge or a non-finite kernel.
    KernelSystem(Matrix<Real> kernel, double ridge, double resolution = 0);
    /// The system whose factor() and report() these are, as an earlier run has kept them. Throws Error(shape_mismatch) unless the factor is
    /// square with at least one sample.
    [[nodiscard]] static KernelSystem from_factor(Matrix<Real> factor, const SystemReport& report);

    [[nodiscard]] const SystemReport& report() const { return report_; }
    /// G of K + ridge I = G G^T, in the lower triangle; the rest has no meaning.
    [[nodiscard]] const Matrix<Real>& factor() const { return factor_; }
    /// (K + ridge I)^{-1} y for y (n x targets).
    [[nodiscard]] Matrix<Real> solve(InputView<Real> y) const;
    /// k(x)^T (K + ridge I)^{-1} y for the cross kernel (tests x n).
    [[nodiscard]] Matrix<Real> predict(InputView<Real> cross, InputView<Real> y) const;
    /// Posterior variance (tests x 1) from the cross kernel and the tests' own diagonal (tests x 1). Takes a copy of the cross kernel.
    /// A variance that is zero comes out as its rounding error, of either sign: negative values are returned as they are, for the
    /// caller to report. One below -n epsilon condition k(x, x), which no rounding explains, throws Error(not_positive_definite): the
    /// three kernels do not belong together.
    [[nodiscard]] Matrix<Real> posterior_variance(InputView<Real> cross, InputView<Real> test_diagonal) const;

private:
    KernelSystem() = default;

    Matrix<Real> factor_;
    SystemReport report_;
};

/// Gradient flow to any time t > 0, infinity included, by the eigendecomposition of K (KernelSpectrum): about 9 n^3 flops once, 4 n^2 a
/// target and time. K need be positive definite only to rounding.
template <class Real>
class GradientFlow {
public:
    /// Throws as KernelSystem for the shape and a non-finite kernel; for an eigenvalue below minus what rounding does to it
    /// Error(not_positive_definite). That is n epsilon lambda_max, or `resolution` (as in KernelSystem) times the mean of the diagonal.
    explicit GradientFlow(Matrix<Real> kernel, double resolution = 0);

    [[nodiscard]] const SystemReport& report() const { return report_; }
    /// f_t at the tests from the cross kernel (tests x n) and y (n x targets). Throws as KernelSpectrum::flow_coefficients.
    [[nodiscard]] Matrix<Real> predict(InputView<Real> cross, InputView<Real> y, double time) const;

private:
    KernelSpectrum<Real> spectrum_;
    SystemReport report_;
};

}  // namespace ntk

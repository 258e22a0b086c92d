#pragma once

/// \file spectrum.hpp
/// What one eigendecomposition K = sum_i lambda_i v_i v_i^T says, wherever its eigenvectors are: solutions for every ridge and every
/// stopping time, and how the kernel and the targets agree.
///
///     ridge:               alpha = (K + ridge I)^{-1} y = sum_i 1 / (lambda_i + ridge) v_i v_i^T y
///     gradient flow:       alpha = sum_i (1 - exp(-t lambda_i)) / lambda_i v_i v_i^T y
///     predictions:         f(x) = k(x)^T alpha
///     leave-one-out:       y_j - f_{-j}(x_j) = alpha_j / [(K + ridge I)^{-1}]_jj, exactly, for a ridge
///     degrees of freedom:  trace of y -> f(X): sum_i lambda_i / (lambda_i + ridge), or sum_i 1 - exp(-t lambda_i)
///
/// (theory: Hastie, Tibshirani & Friedman 2009, chapters 5 and 7.) A flow without sample j is no function of the flow with it, so that
/// there is no closed form for leaving one out at a finite time.

#include <ntkcuda/matrix.hpp>

#include <functional>
#include <vector>

namespace ntk {

/// Facts about K + lambda I that every report carries.
struct SystemReport {
    double log_determinant = 0;  ///< -infinity where an eigenvalue is zero to rounding (eigendecompositions only)
    double condition = 0;        ///< see condition_is_estimate; infinity where an eigenvalue is zero to rounding (eigendecompositions only)
    /// Cholesky: estimate of the 1-norm condition number, a lower bound that is rarely below a third of it (Higham & Tisseur 2000);
    /// eigendecomposition: lambda_max / lambda_min.
    bool condition_is_estimate = true;
};

/// How a kernel and the targets Y (n x targets) agree.
struct TargetAlignment {
    /// <K, Y Y^T>_F / (|K|_F |Y Y^T|_F); of one target y^T K y / (|K|_F |y|^2). (theory: Cristianini et al. 2001.)
    double kernel_target = 0;
    /// |v_i^T Y|^2 / |Y|^2, the largest eigenvalue first; they sum to 1.
    std::vector<double> shares;
};

/// The eigenvectors are on one device (KernelSpectrum) or spread over ranks (DistributedSpectrum of mpi.hpp), of which each then calls the
/// same functions and has the same results. Targets are n x targets in memory of the backend that the results are in.
template <class Real>
class Spectrum {
public:
    virtual ~Spectrum() = default;

    [[nodiscard]] Index samples() const { return static_cast<Index>(values_.size()); }
    /// Ascending.
    [[nodiscard]] const std::vector<double>& values() const { return values_; }
    /// What rounding does to an eigenvalue: n epsilon max |lambda|, or `resolution` times the mean of the diagonal.
    [[nodiscard]] double rounding() const { return rounding_; }
    /// Of K + ridge I.
    [[nodiscard]] SystemReport report(double ridge = 0) const;
    /// Throws Error(not_positive_definite) for an eigenvalue below -rounding().
    void require_semidefinite() const;

    /// sum_i gain(lambda_i) v_i v_i^T y for y (n x targets): 4 n^2 flops a target. With the identity, K y.
    /// Throws Error(shape_mismatch), as all that take y.
    [[nodiscard]] Matrix<Real> apply(const std::function<double(double)>& gain, InputView<Real> y) const;

    /// alpha of a ridge (n x targets). Throws Error(invalid_argument) for a negative or non-finite ridge, and Error(not_positive_definite),
    /// with a ridge that helps, where the smallest lambda + ridge is no more than rounding().
    [[nodiscard]] Matrix<Real> ridge_coefficients(InputView<Real> y, double ridge) const;
    /// alpha of gradient flow to any time, infinity included; (1 - exp(-t lambda)) / lambda is t where lambda is 0. Throws
    /// Error(invalid_argument) unless time > 0, and Error(not_positive_definite) as require_semidefinite() and when the answer hangs on
    /// eigenvalues that rounding has made up: some lambda <= rounding() while time * rounding() > 1.
    [[nodiscard]] Matrix<Real> flow_coefficients(InputView<Real> y, double time) const;

    /// What each sample's targets differ by from the prediction of all the others (n x targets), from ridge_coefficients of this ridge.
    /// n^2 multiplications and, from a device, the eigenvectors once through the host. Throws as ridge_coefficients.
    [[nodiscard]] HostMatrix<double> leave_one_out(const Matrix<Real>& coefficients, double ridge) const;
    [[nodiscard]] double ridge_degrees_of_freedom(double ridge) const;
    [[nodiscard]] double flow_degrees_of_freedom(double time) const;

    /// 2 n^2 flops a target. Throws Error(invalid_argument) where the kernel or the targets are zero.
    [[nodiscard]] TargetAlignment alignment(InputView<Real> y) const;

protected:
    Spectrum() = default;
    Spectrum(Spectrum&&) = default;
    Spectrum& operator=(Spectrum&&) = default;

    /// What every other function builds on. `resolved`: the smallest eigenvalue that a kernel of coarse entries resolves, else 0.
    void set_values(std::vector<double> ascending, double resolved);

private:
    /// v_i^T y in row i.
    [[nodiscard]] virtual HostMatrix<Real> project(InputView<Real> y) const = 0;
    /// sum_i v_i modes(i, .).
    [[nodiscard]] virtual Matrix<Real> combine(const HostMatrix<Real>& modes) const = 0;
    /// [sum_i weights[i] v_i v_i^T]_jj of every j.
    [[nodiscard]] virtual std::vector<double> diagonal(const std::vector<double>& weights) const = 0;

    void require_resolved(double ridge) const;
    [[nodiscard]] HostMatrix<Real> modes(InputView<Real> y) const;
    /// What a refusal may advise beside a ridge or a time.
    [[nodiscard]] const char* or_finer() const;

    std::vector<double> values_;
    bool coarse_ = false;  ///< whether the kernel's entries are coarser than Real
    double rounding_ = 0;
};

extern template class Spectrum<float>;
extern template class Spectrum<double>;

}  // namespace ntk

#pragma once

/// \file normalized_system.hpp
/// The closed form of a normalised kernel (diagonal 1) at any depth: weights u(x) = K^{-1} k(x), spectrum, determinant.
///
/// Deep kernels tend to the matrix of ones, K = 1 1^T - e E with e -> 0, where K has lost E to rounding long before. The bordered system
///     [ -E   1  ] [u]   [ -E(x) ]
///     [ 1^T  -e ] [m] = [   1   ],        k(x) = 1 - e E(x),
/// says the same as K u = k for every e > 0, all its entries are of order one, and as e -> 0 it becomes the system of ordinary kriging with
/// variogram E: u has a limit, and e may underflow. (theory: Cressie 1993 for the limit.) Where the kernel tends to the identity instead, K
/// itself is the well-conditioned matrix.

#include <ntkcuda/backend.hpp>

#include <vector>

namespace ntk {

/// Facts about a normalised kernel. Eigenvalues and condition are given by their logarithms: they leave the range of double.
struct NormalizedReport {
    double log10_lambda_min = 0, log10_lambda_max = 0;
    std::vector<double> log10_spectrum;  ///< all of them, ascending, if asked for
    double log_determinant = 0;          ///< natural logarithm of det K
    /// Estimate of the relative error of u in the max norm: epsilon times the 1-norm condition number of the system solved. An upper
    /// bound in practice; entries of E are taken as exact.
    double error = 0;
};

/// A factorised system, in the form that is well-conditioned for its kernel.
class NormalizedSystem {
public:
    /// K = 1 1^T - 2^exponent E, from E (n x n, symmetric, both triangles set), or the kriging limit if `limit`: then only weights() has
    /// a meaning, E(x) as E. 2/3 n^3 flops once, one more (n + 1) x (n + 1) matrix.
    /// Throws Error(not_positive_definite) if K is singular to rounding, with the condition number.
    [[nodiscard]] static NormalizedSystem near_ones(Matrix<double> e, std::int64_t exponent, bool limit = false);
    /// K = I + F, from K itself.
    [[nodiscard]] static NormalizedSystem near_identity(Matrix<double> k);

    /// NormalizedReport::error.
    [[nodiscard]] double error() const { return error_; }
    /// Each row: u(x) of a test point, from E(x) (near_ones) or k(x) (near_identity), tests x n. One step of iterative refinement.
    [[nodiscard]] Matrix<double> weights(const Matrix<double>& cross) const;
    /// With `spectrum` all eigenvalues: about 6 n^3 flops and three more n x n matrices; small ones come from K^{-1}, large ones from K,
    /// whichever knows them better, and one that rounding leaves <= 0 comes out as NaN. Otherwise the extreme ones, at O(n^2) for each of
    /// some dozens of Lanczos steps; throws Error(device_failure) if these do not converge.
    [[nodiscard]] NormalizedReport report(bool spectrum) const;

private:
    NormalizedSystem(Matrix<double> entries, std::int64_t exponent, bool near_ones, double corner);
    [[nodiscard]] Index samples() const { return entries_.rows(); }
    [[nodiscard]] Index order() const { return near_ones_ ? samples() + 1 : samples(); }
    /// 2^-exponent K^{-1} applied to the rows of b (m x n).
    [[nodiscard]] Matrix<double> inverse_times(const Matrix<double>& b) const;
    /// K applied to the rows of b.
    [[nodiscard]] Matrix<double> times(const Matrix<double>& b) const;
    /// The system's matrix, before and after factorisation.
    [[nodiscard]] Matrix<double> assembled() const;
    /// rhs -= x (matrix of the system), for its residual.
    void subtract_product(const Matrix<double>& x, Matrix<double>& rhs) const;
    [[nodiscard]] double log10_unit() const;
    [[nodiscard]] double largest_near_ones() const;
    [[nodiscard]] std::vector<double> dense_spectrum() const;

    Matrix<double> entries_;  ///< E or K
    std::int64_t exponent_ = 0;
    bool near_ones_ = true;
    double corner_ = 0;  ///< e, as the system sees it: 0 once it has underflowed
    Matrix<double> factor_;
    LuFactor lu_;
    Matrix<double> ones_;  ///< n x 1
    double error_ = 0;
};

}  // namespace ntk

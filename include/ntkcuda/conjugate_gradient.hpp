#pragma once

/// \file conjugate_gradient.hpp
/// (K + ridge I) X = Y from products with K alone: preconditioned conjugate gradients (theory: Golub & Van Loan 2013, section 11.5), all
/// columns at once, each with its own steps.

#include <ntkcuda/pivoted_cholesky.hpp>

namespace ntk {

struct ConjugateGradientOptions {
    double ridge = 0;
    double tolerance = 1e-8;      ///< relative residual |y - (K + ridge I) x| / |y| of each column
    Index max_iterations = 2000;  ///< products with K, restarts included
};

/// Facts about a solution. Eigenvalues are Ritz values of M^{-1} (K + ridge I), from the coefficients of the iteration: inner
/// estimates, which the extreme ones approach first.
struct ConjugateGradientReport {
    Index iterations = 0;
    double residual = 0;  ///< the largest of the columns, recomputed from the solution
    double smallest_ritz = 1, largest_ritz = 1;
    /// Of K + ridge I, an upper estimate: the lesser of largest_ritz lambda_max(M) and lambda_max(M) + residual trace + ridge, over the
    /// larger of smallest_ritz shift and the ridge.
    double condition = 1;
    /// The largest of the columns: |x - exact|_{K + ridge I} <= sqrt(r^T M^{-1} r / smallest_ritz), an estimate. A prediction k(x)^T alpha
    /// is wrong by at most this times sqrt(k(x, x)).
    double energy_error = 0;
    /// The same over |x|_{K + ridge I}, the largest of the columns.
    double relative_error = 0;
};

template <class Real>
struct ConjugateGradientSolution {
    Matrix<Real> x;  ///< the rows of this rank
    ConjugateGradientReport report;
};

/// Told after each iteration: how many, and the largest relative residual.
using ConjugateGradientProgress = Progress<Index, double>;

/// X for the columns of y (rows() x m). A column that has converged is left alone, and the true residual of all is recomputed
/// at the end; where it has drifted from that of the iteration the solution is refined from there. One product with K, 4 n k + 10 n flops
/// a column and iteration. Memory: conjugate_gradient_bytes.
/// Throws Error(not_positive_definite) instead of an answer that has not converged: too many iterations, a residual that has stopped to
/// fall (it says where, and what to try), a direction of curvature <= 0; Error(invalid_argument) for a tolerance that is not in (0, 1) or
/// that this precision cannot reach, a ridge or y that is not finite; Error(cancelled).
template <class Real>
[[nodiscard]] ConjugateGradientSolution<Real> conjugate_gradient(KernelOperator<Real>& kernel, const PivotedCholesky<Real>& preconditioner,
                                                                 InputView<Real> y, const ConjugateGradientOptions& options = {},
                                                                 const ConjugateGradientProgress& progress = {});

/// Bytes of its vectors for `rows` rows on this rank and m columns, y and the solution included.
template <class Real>
[[nodiscard]] double conjugate_gradient_bytes(Index rows, Index columns) {
    return static_cast<double>(7 * rows * columns + 4 * columns * columns) * sizeof(Real);
}

}  // namespace ntk

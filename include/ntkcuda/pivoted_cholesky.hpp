#pragma once

/// \file pivoted_cholesky.hpp
/// A preconditioner of K + ridge I from a few columns of K: the first k steps of a Cholesky factorisation with pivots,
///
///     K ~ F F^T,  F n x k,      M = F F^T + shift I,      M^{-1} v = (v - F (shift I + F^T F)^{-1} F^T v) / shift
///
/// Pivots are taken in blocks: of the samples with the largest residual diagonal those whose residual stays large as the block is
/// eliminated. (theory: Harbrecht, Peters & Schneider 2012; Gardner et al. 2018, 1809.11165.)

#include <ntkcuda/kernel_operator.hpp>
#include <ntkcuda/progress.hpp>

namespace ntk {

template <class Real>
class PivotedCholesky {
public:
    /// Up to `rank` columns, fewer where the trace of what is left of K falls to the ridge, or to rounding. With rank 0 it is shift I.
    /// The shift is the ridge; with ridge 0 the mean of what is left of the diagonal, which the eigenvalues left are about as large as.
    /// It is at least k epsilon trace(F^T F), below which F^T F + shift I has no factor; a shift above the ridge changes how fast
    /// iterations converge, not to what.
    /// Cost: k columns of K, and 3 n k^2 flops; 4 n k flops an application to one column. Memory: n k numbers (rows of this rank), and k^2.
    /// `progress(columns, rank)`. Throws Error(invalid_argument) for a ridge that is negative or not finite or a diagonal that is not
    /// finite, Error(not_positive_definite) for a negative diagonal entry.
    PivotedCholesky(KernelOperator<Real>& kernel, double ridge, Index rank, const Progress<Index, Index>& progress = {});

    [[nodiscard]] Index rank() const { return rank_; }
    [[nodiscard]] double shift() const { return shift_; }
    /// An upper bound of the largest eigenvalue of M (|F^T F|_F + shift), and of those of the kernel that M leaves out (a trace).
    [[nodiscard]] double largest_eigenvalue() const { return largest_ + shift_; }
    [[nodiscard]] double residual_trace() const { return residual_trace_; }
    /// out = M^{-1} v, the rows of this rank (as every vector of the operator).
    void apply(ConstMatrixView<Real> v, MatrixView<Real> out) const;

private:
    void factorise(double ridge, double trace);

    std::shared_ptr<Backend<Real>> backend_;
    Ranks& ranks_;
    Index samples_ = 0, rank_ = 0;
    Matrix<Real> columns_;  ///< F, of which the first rank_ columns are set
    Matrix<Real> inner_;    ///< the Cholesky factor of shift I + F^T F
    double shift_ = 0, largest_ = 0, residual_trace_ = 0;
};

/// Columns of K that are asked for, and eliminated, at a time.
constexpr Index pivoted_cholesky_block = 96;

/// Bytes of a preconditioner of this rank for `rows` rows on this rank, what making it takes included.
template <class Real>
[[nodiscard]] double pivoted_cholesky_bytes(Index rows, Index rank, Index rows_per_sample);

}  // namespace ntk

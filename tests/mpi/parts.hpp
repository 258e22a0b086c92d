#pragma once

// Matrices in parts, as the ranks have them.

#include "support/samples.hpp"

#include <ntkcuda/distributed_layout.hpp>

#include <limits>

namespace ntk::testing {

/// A part of `whole`.
template <class Real>
HostMatrix<Real> part_of(const HostMatrix<Real>& whole, const DistributedLayout& layout, int rank) {
    HostMatrix<Real> part(layout.local_rows(rank), layout.local_cols(rank));
    for (Index i = 0; i < part.rows(); ++i)
        for (Index j = 0; j < part.cols(); ++j) part(i, j) = whole(layout.global_row(rank, i), layout.global_col(rank, j));
    return part;
}

/// What lies above the diagonal of the whole is lost.
template <class Real>
void forget_upper(const DistributedLayout& layout, int rank, HostMatrix<Real>& part) {
    for (Index i = 0; i < part.rows(); ++i)
        for (Index j = 0; j < part.cols(); ++j)
            if (layout.global_row(rank, i) < layout.global_col(rank, j)) part(i, j) = std::numeric_limits<Real>::quiet_NaN();
}

/// X X^T / columns + I/10.
inline HostMatrix<double> gram(Index n, Index columns) {
    const HostMatrix<double> x = random_matrix(n, columns);
    HostMatrix<double> k(n, n);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) {
            for (Index c = 0; c < columns; ++c) k(i, j) += x(i, c) * x(j, c) / static_cast<double>(columns);
            if (i == j) k(i, j) += 0.1;
        }
    return k;
}

template <class Real>
void expect_near(const HostMatrix<Real>& a, const HostMatrix<Real>& b, double tolerance) {
    ASSERT_EQ(a.rows(), b.rows());
    ASSERT_EQ(a.cols(), b.cols());
    for (Index i = 0; i < a.size(); ++i) ASSERT_NEAR(a.data()[i], b.data()[i], tolerance) << "entry " << i;
}

}  // namespace ntk::testing

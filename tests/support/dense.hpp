#pragma once

// Products of host matrices by their definition, and kernels made of them.

#include "samples.hpp"

namespace ntk::testing {

inline HostMatrix<double> product(const HostMatrix<double>& a, const HostMatrix<double>& b) {
    HostMatrix<double> c(a.rows(), b.cols());
    for (Index i = 0; i < a.rows(); ++i)
        for (Index k = 0; k < a.cols(); ++k)
            for (Index j = 0; j < b.cols(); ++j) c(i, j) += a(i, k) * b(k, j);
    return c;
}

inline HostMatrix<double> transposed(const HostMatrix<double>& a) {
    HostMatrix<double> t(a.cols(), a.rows());
    for (Index i = 0; i < a.rows(); ++i)
        for (Index j = 0; j < a.cols(); ++j) t(j, i) = a(i, j);
    return t;
}

/// Positive definite: shift on the diagonal plus a Gram matrix of n normals in `features` dimensions.
inline HostMatrix<double> random_kernel(Index n, double shift, Index features, std::uint32_t which = 0) {
    const HostMatrix<double> x = random_matrix(n, features, which);
    HostMatrix<double> k = product(x, transposed(x));
    for (Index i = 0; i < n; ++i) k(i, i) += shift;
    return k;
}

}  // namespace ntk::testing

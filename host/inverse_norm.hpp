#pragma once

// Estimate of the 1-norm of an inverse that is known by its products only.

#include <ntkcuda/matrix.hpp>

#include <lapacke.h>

#include <vector>

namespace ntk {

namespace inverse_norm_detail {
inline int lacn2(lapack_int n, double* v, double* x, lapack_int* sign, double* estimate, lapack_int* kase, lapack_int* save) {
    return LAPACKE_dlacn2_work(n, v, x, sign, estimate, kase, save);
}
inline int lacn2(lapack_int n, float* v, float* x, lapack_int* sign, float* estimate, lapack_int* kase, lapack_int* save) {
    return LAPACKE_slacn2_work(n, v, x, sign, estimate, kase, save);
}
}  // namespace inverse_norm_detail

/// Hager's iteration in Higham's form (LAPACK xLACN2) for a symmetric matrix A of order n: a lower bound of ||A^{-1}||_1 that is rarely
/// below a third of it (Higham & Tisseur 2000). apply(x) replaces the n x 1 host matrix x by A^{-1} x; it is called a handful of times.
template <class Real, class Apply>
[[nodiscard]] double inverse_one_norm(Index n, const Apply& apply) {
    HostMatrix<Real> x(n, 1), v(n, 1);
    std::vector<lapack_int> sign(static_cast<std::size_t>(n));
    lapack_int kase = 0, save[3] = {};
    Real estimate = 0;
    for (;;) {
        inverse_norm_detail::lacn2(static_cast<lapack_int>(n), v.data(), x.data(), sign.data(), &estimate, &kase, save);
        if (kase == 0) return static_cast<double>(estimate);
        apply(x);  // the matrix is its own transpose: one product for both cases
    }
}

}  // namespace ntk

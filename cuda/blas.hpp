#pragma once

// Row-major level-3 BLAS on cuBLAS. A row-major matrix is a column-major one transposed; only blas.cu and solver.cu know.

#include "context.hpp"
#include "stack.hpp"

#include <ntkcuda/backend.hpp>

#include <cuda_fp16.h>

namespace ntk::cuda {

/// c = alpha op(a) op(b) + beta c; the inner dimension must not be 0.
template <class Real>
void gemm(Context& context, Transpose ta, Transpose tb, Real alpha, ConstMatrixView<Real> a, ConstMatrixView<Real> b, Real beta,
          MatrixView<Real> c);

/// The same for each network of a stack; which kernel of cuBLAS does it may depend on their number.
template <class Real>
void gemm(Context& context, Transpose ta, Transpose tb, Real alpha, std::type_identity_t<Stack<const Real>> a,
          std::type_identity_t<Stack<const Real>> b, Real beta, Stack<Real> c);

/// c = a b^T of FP16 operands with columns, summed in float32.
void half_gemm(Context& context, ConstMatrixView<__half> a, ConstMatrixView<__half> b, MatrixView<float> c);

/// The lower triangle of c = alpha a a^T + beta c; a must have columns.
template <class Real>
void syrk_lower(Context& context, Real alpha, ConstMatrixView<Real> a, Real beta, MatrixView<Real> c);

/// b = op(G)^{-1} b with the lower triangular `factor` G.
template <class Real>
void solve_lower(Context& context, Transpose transpose, ConstMatrixView<Real> factor, MatrixView<Real> b);

/// Each row r of b becomes G^{-1} r, that is b = b G^{-T}.
template <class Real>
void solve_lower_rows(Context& context, ConstMatrixView<Real> factor, MatrixView<Real> b);

}  // namespace ntk::cuda

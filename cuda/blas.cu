#include "blas.hpp"

namespace ntk::cuda {
namespace {

/// The functions of cuBLAS for one precision, with 64-bit sizes.
template <class Real>
struct Blas;
template <>
struct Blas<float> {
    static constexpr auto gemm = cublasSgemm_64;
    static constexpr auto stacked_gemm = cublasSgemmStridedBatched_64;
    static constexpr auto syrk = cublasSsyrk_64;
    static constexpr auto trsm = cublasStrsm_64;
};
template <>
struct Blas<double> {
    static constexpr auto gemm = cublasDgemm_64;
    static constexpr auto stacked_gemm = cublasDgemmStridedBatched_64;
    static constexpr auto syrk = cublasDsyrk_64;
    static constexpr auto trsm = cublasDtrsm_64;
};

cublasOperation_t operation(Transpose t) { return t == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N; }

}  // namespace

template <class Real>
void gemm(Context& context, Transpose ta, Transpose tb, Real alpha, ConstMatrixView<Real> a, ConstMatrixView<Real> b, Real beta,
          MatrixView<Real> c) {
    const Index inner = ta == Transpose::yes ? a.rows() : a.cols();
    check(Blas<Real>::gemm(context.blas(), operation(tb), operation(ta), c.cols(), c.rows(), inner, &alpha, b.data(), b.stride(), a.data(),
                           a.stride(), &beta, c.data(), c.stride()),
          "cublas gemm");
}

template <class Real>
void gemm(Context& context, Transpose ta, Transpose tb, Real alpha, std::type_identity_t<Stack<const Real>> a,
          std::type_identity_t<Stack<const Real>> b, Real beta, Stack<Real> c) {
    const Index inner = ta == Transpose::yes ? a.rows : a.cols;
    check(Blas<Real>::stacked_gemm(context.blas(), operation(tb), operation(ta), c.cols, c.rows, inner, &alpha, b.data, b.stride, b.step,
                                   a.data, a.stride, a.step, &beta, c.data, c.stride, c.step, c.count),
          "cublas gemm of a stack");
}

void half_gemm(Context& context, ConstMatrixView<__half> a, ConstMatrixView<__half> b, MatrixView<float> c) {
    const float one = 1, zero = 0;
    check(
        cublasGemmEx_64(context.blas(), CUBLAS_OP_T, CUBLAS_OP_N, c.cols(), c.rows(), a.cols(), &one, b.data(), CUDA_R_16F, b.stride(),
                        a.data(), CUDA_R_16F, a.stride(), &zero, c.data(), CUDA_R_32F, c.stride(), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
        "cublas gemm of FP16");
}

template <class Real>
void syrk_lower(Context& context, Real alpha, ConstMatrixView<Real> a, Real beta, MatrixView<Real> c) {
    check(Blas<Real>::syrk(context.blas(), CUBLAS_FILL_MODE_UPPER, CUBLAS_OP_T, c.rows(), a.cols(), &alpha, a.data(), a.stride(), &beta,
                           c.data(), c.stride()),
          "cublas syrk");
}

template <class Real>
void solve_lower(Context& context, Transpose transpose, ConstMatrixView<Real> factor, MatrixView<Real> b) {
    // Column-major: b^T op(U)^{-1} with U = G^T upper triangular, so the transposition is the caller's.
    const Real one = 1;
    check(Blas<Real>::trsm(context.blas(), CUBLAS_SIDE_RIGHT, CUBLAS_FILL_MODE_UPPER, operation(transpose), CUBLAS_DIAG_NON_UNIT, b.cols(),
                           b.rows(), &one, factor.data(), factor.stride(), b.data(), b.stride()),
          "cublas trsm");
}

template <class Real>
void solve_lower_rows(Context& context, ConstMatrixView<Real> factor, MatrixView<Real> b) {
    const Real one = 1;
    check(Blas<Real>::trsm(context.blas(), CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_UPPER, CUBLAS_OP_T, CUBLAS_DIAG_NON_UNIT, b.cols(), b.rows(),
                           &one, factor.data(), factor.stride(), b.data(), b.stride()),
          "cublas trsm");
}

#define NTKCUDA_INSTANTIATE(Real)                                                                                                   \
    template void gemm(Context&, Transpose, Transpose, Real, ConstMatrixView<Real>, ConstMatrixView<Real>, Real, MatrixView<Real>); \
    template void gemm(Context&, Transpose, Transpose, Real, Stack<const Real>, Stack<const Real>, Real, Stack<Real>);              \
    template void syrk_lower(Context&, Real, ConstMatrixView<Real>, Real, MatrixView<Real>);                                        \
    template void solve_lower(Context&, Transpose, ConstMatrixView<Real>, MatrixView<Real>);                                        \
    template void solve_lower_rows(Context&, ConstMatrixView<Real>, MatrixView<Real>);
NTKCUDA_INSTANTIATE(float)
NTKCUDA_INSTANTIATE(double)
#undef NTKCUDA_INSTANTIATE

}  // namespace ntk::cuda

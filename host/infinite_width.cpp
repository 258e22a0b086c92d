#include <ntkcuda/infinite_width.hpp>

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace ntk {
namespace {

const char* name_of(InfiniteKernel kernel) { return kernel == InfiniteKernel::ntk ? "ntk" : "nngp"; }

void require_columns(const Architecture& architecture, Index cols) {
    if (cols != architecture.inputs)
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("the data have {} columns and the network has {} inputs", cols, architecture.inputs));
}

/// Every entry of a kernel is bounded by its diagonal, so the diagonal alone tells whether the recursion left the range of `Real`.
/// Throws naming the first row where it did; a zero row without biases has a zero diagonal by right.
template <class Real>
void require_in_range(const Architecture& architecture, InfiniteKernel kernel, ConstMatrixView<Real> x, const Matrix<Real>& diagonal) {
    const HostMatrix<Real> values = download(diagonal);
    HostMatrix<Real> rows;
    for (Index i = 0; i < values.rows(); ++i) {
        const Real value = values(i, 0);
        if (std::isfinite(value) && value >= std::numeric_limits<Real>::min()) continue;
        if (rows.empty()) {
            rows = HostMatrix<Real>(x.rows(), x.cols());
            diagonal.backend()->download(x, rows.view());
        }
        bool zero = true;
        for (Index j = 0; j < rows.cols(); ++j) {
            if (!std::isfinite(rows(i, j)))
                throw Error(ErrorCode::invalid_argument,
                            fmt::format("row {}, column {} of the data is {}: expected finite numbers", i, j, rows(i, j)));
            zero = zero && rows(i, j) == 0;
        }
        if (zero && value == 0) continue;
        throw Error(
            ErrorCode::device_failure,
            fmt::format(
                "the infinite-width {} kernel of row {} leaves the range of {} on the way to depth {} with weight std {} and bias std {}: "
                "use fewer layers, a weight std nearer to its critical value (sqrt(2) for ReLU), or data of moderate norm",
                name_of(kernel), i, sizeof(Real) == 8 ? "float64" : "float32", architecture.depth(), architecture.weight_std,
                architecture.bias_std));
    }
}

template <class Real>
Matrix<Real> checked_diagonal(const std::shared_ptr<Backend<Real>>& backend, const Architecture& architecture, InfiniteKernel kernel,
                              InputView<Real> x) {
    architecture.validate();
    require_columns(architecture, x.cols());
    Matrix<Real> diagonal(backend, x.rows(), 1);
    backend->infinite_width_diagonal(architecture, kernel, x, diagonal.view());
    require_in_range<Real>(architecture, kernel, x, diagonal);
    return diagonal;
}

template <class Real>
void require_shape(MatrixView<Real> out, Index rows, Index cols) {
    if (out.rows() != rows || out.cols() != cols)
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("a kernel of {} x {} does not go into {} x {}", rows, cols, out.rows(), out.cols()));
}

}  // namespace

template <class Real>
void infinite_width_kernel_into(MatrixView<Real> out, const std::shared_ptr<Backend<Real>>& backend, const Architecture& architecture,
                                InfiniteKernel kernel, InputView<Real> x1, InputView<Real> x2) {
    require_shape(out, x1.rows(), x2.rows());
    (void)checked_diagonal(backend, architecture, kernel, x1);
    (void)checked_diagonal(backend, architecture, kernel, x2);
    backend->infinite_width_kernel(architecture, kernel, x1, x2, Triangle::full, out);
}

template <class Real>
void infinite_width_kernel_into(MatrixView<Real> out, const std::shared_ptr<Backend<Real>>& backend, const Architecture& architecture,
                                InfiniteKernel kernel, InputView<Real> x) {
    require_shape(out, x.rows(), x.rows());
    (void)checked_diagonal(backend, architecture, kernel, x);
    backend->infinite_width_kernel(architecture, kernel, x, x, Triangle::lower, out);
    backend->mirror_lower(out);
}

template <class Real>
Matrix<Real> infinite_width_diagonal(const Architecture& architecture, InfiniteKernel kernel, const Matrix<Real>& x) {
    return checked_diagonal(x.backend(), architecture, kernel, x);
}

template <class Real>
Matrix<Real> infinite_width_kernel(const Architecture& architecture, InfiniteKernel kernel, const Matrix<Real>& x1,
                                   const Matrix<Real>& x2) {
    Matrix<Real> result(x1.backend(), x1.rows(), x2.rows());
    infinite_width_kernel_into(result.view(), x1.backend(), architecture, kernel, x1, x2);
    return result;
}

template <class Real>
Matrix<Real> infinite_width_kernel(const Architecture& architecture, InfiniteKernel kernel, const Matrix<Real>& x) {
    Matrix<Real> result(x.backend(), x.rows(), x.rows());
    infinite_width_kernel_into(result.view(), x.backend(), architecture, kernel, x);
    return result;
}

#define NTKCUDA_INSTANTIATE(Real)                                                                                                          \
    template void infinite_width_kernel_into(MatrixView<Real>, const std::shared_ptr<Backend<Real>>&, const Architecture&, InfiniteKernel, \
                                             ConstMatrixView<Real>, ConstMatrixView<Real>);                                                \
    template void infinite_width_kernel_into(MatrixView<Real>, const std::shared_ptr<Backend<Real>>&, const Architecture&, InfiniteKernel, \
                                             ConstMatrixView<Real>);                                                                       \
    template Matrix<Real> infinite_width_diagonal(const Architecture&, InfiniteKernel, const Matrix<Real>&);                               \
    template Matrix<Real> infinite_width_kernel(const Architecture&, InfiniteKernel, const Matrix<Real>&, const Matrix<Real>&);            \
    template Matrix<Real> infinite_width_kernel(const Architecture&, InfiniteKernel, const Matrix<Real>&)
NTKCUDA_INSTANTIATE(float);
NTKCUDA_INSTANTIATE(double);
#undef NTKCUDA_INSTANTIATE

}  // namespace ntk

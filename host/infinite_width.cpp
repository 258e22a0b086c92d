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
void require_in_range(const Architecture& architecture, InfiniteKernel kernel, const Matrix<Real>& x, const Matrix<Real>& diagonal) {
    const HostMatrix<Real> values = download(diagonal);
    HostMatrix<Real> rows;
    for (Index i = 0; i < values.rows(); ++i) {
        const Real value = values(i, 0);
        if (std::isfinite(value) && value >= std::numeric_limits<Real>::min()) continue;
        if (rows.empty()) rows = download(x);
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

}  // namespace

template <class Real>
Matrix<Real> infinite_width_diagonal(const Architecture& architecture, InfiniteKernel kernel, const Matrix<Real>& x) {
    architecture.validate();
    require_columns(architecture, x.cols());
    Matrix<Real> diagonal(x.backend(), x.rows(), 1);
    x.backend()->infinite_width_diagonal(architecture, kernel, x.view(), diagonal.view());
    require_in_range(architecture, kernel, x, diagonal);
    return diagonal;
}

template <class Real>
Matrix<Real> infinite_width_kernel(const Architecture& architecture, InfiniteKernel kernel, const Matrix<Real>& x1,
                                   const Matrix<Real>& x2) {
    (void)infinite_width_diagonal(architecture, kernel, x1);
    (void)infinite_width_diagonal(architecture, kernel, x2);
    Matrix<Real> result(x1.backend(), x1.rows(), x2.rows());
    x1.backend()->infinite_width_kernel(architecture, kernel, x1.view(), x2.view(), Triangle::full, result.view());
    return result;
}

template <class Real>
Matrix<Real> infinite_width_kernel(const Architecture& architecture, InfiniteKernel kernel, const Matrix<Real>& x) {
    (void)infinite_width_diagonal(architecture, kernel, x);
    Matrix<Real> result(x.backend(), x.rows(), x.rows());
    x.backend()->infinite_width_kernel(architecture, kernel, x.view(), x.view(), Triangle::lower, result.view());
    x.backend()->mirror_lower(result.view());
    return result;
}

template Matrix<float> infinite_width_diagonal(const Architecture&, InfiniteKernel, const Matrix<float>&);
template Matrix<double> infinite_width_diagonal(const Architecture&, InfiniteKernel, const Matrix<double>&);
template Matrix<float> infinite_width_kernel(const Architecture&, InfiniteKernel, const Matrix<float>&, const Matrix<float>&);
template Matrix<double> infinite_width_kernel(const Architecture&, InfiniteKernel, const Matrix<double>&, const Matrix<double>&);
template Matrix<float> infinite_width_kernel(const Architecture&, InfiniteKernel, const Matrix<float>&);
template Matrix<double> infinite_width_kernel(const Architecture&, InfiniteKernel, const Matrix<double>&);

}  // namespace ntk

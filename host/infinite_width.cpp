#include <ntkcuda/infinite_width.hpp>

#include <fmt/format.h>

#include <algorithm>
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

/// Pairs of a part: some tenths of a second on a few cores, and enough for a GPU to be worth waiting for.
constexpr double pairs_of_part = 0x1p24;
/// Rows of a band are a multiple of this.
constexpr Index band_step = 64;

/// compute(first, count) for bands of rows of an n1 x n2 kernel, or of its lower triangle, that have about as many pairs each.
template <class Real, class Compute>
void for_each_band(Index n1, Index n2, bool lower, Backend<Real>& backend, const Progress<Index, Index>& progress, const Compute& compute) {
    const double pairs = static_cast<double>(n1) * static_cast<double>(n2) / (lower ? 2 : 1);
    const auto parts = static_cast<Index>(std::ceil(pairs / pairs_of_part));
    Index first = 0;
    for (Index part = 1; part <= parts; ++part) {
        const double share = static_cast<double>(part) / static_cast<double>(parts);
        const auto rows = static_cast<Index>(static_cast<double>(n1) * (lower ? std::sqrt(share) : share));
        const Index end = part == parts ? n1 : std::min(n1, (rows + band_step - 1) / band_step * band_step);
        if (end > first) {
            progress.check();
            compute(first, end - first);
            if (parts > 1) backend.synchronize();  // what is reported is done
        }
        first = std::max(first, end);
        progress(part, parts);
    }
}

}  // namespace

template <class Real>
void infinite_width_kernel_into(MatrixView<Real> out, const std::shared_ptr<Backend<Real>>& backend, const Architecture& architecture,
                                InfiniteKernel kernel, InputView<Real> x1, InputView<Real> x2, const Progress<Index, Index>& progress) {
    require_shape(out, x1.rows(), x2.rows());
    (void)checked_diagonal(backend, architecture, kernel, x1);
    (void)checked_diagonal(backend, architecture, kernel, x2);
    for_each_band(x1.rows(), x2.rows(), false, *backend, progress, [&](Index first, Index count) {
        backend->infinite_width_kernel(architecture, kernel, x1.row_range(first, count), x2, Triangle::full, out.row_range(first, count));
    });
}

template <class Real>
void infinite_width_kernel_into(MatrixView<Real> out, const std::shared_ptr<Backend<Real>>& backend, const Architecture& architecture,
                                InfiniteKernel kernel, InputView<Real> x, const Progress<Index, Index>& progress) {
    require_shape(out, x.rows(), x.rows());
    (void)checked_diagonal(backend, architecture, kernel, x);
    for_each_band(x.rows(), x.rows(), true, *backend, progress, [&](Index first, Index count) {
        const ConstMatrixView<Real> rows = x.row_range(first, count);
        const MatrixView<Real> band = out.row_range(first, count);
        if (first > 0)
            backend->infinite_width_kernel(architecture, kernel, rows, x.row_range(0, first), Triangle::full, band.col_range(0, first));
        backend->infinite_width_kernel(architecture, kernel, rows, rows, Triangle::lower, band.col_range(first, count));
    });
    backend->mirror_lower(out);
}

template <class Real>
Matrix<Real> infinite_width_diagonal(const Architecture& architecture, InfiniteKernel kernel, const Matrix<Real>& x) {
    return checked_diagonal(x.backend(), architecture, kernel, x);
}

template <class Real>
Matrix<Real> infinite_width_kernel(const Architecture& architecture, InfiniteKernel kernel, const Matrix<Real>& x1, const Matrix<Real>& x2,
                                   const Progress<Index, Index>& progress) {
    Matrix<Real> result(x1.backend(), x1.rows(), x2.rows());
    infinite_width_kernel_into(result.view(), x1.backend(), architecture, kernel, x1, x2, progress);
    return result;
}

template <class Real>
Matrix<Real> infinite_width_kernel(const Architecture& architecture, InfiniteKernel kernel, const Matrix<Real>& x,
                                   const Progress<Index, Index>& progress) {
    Matrix<Real> result(x.backend(), x.rows(), x.rows());
    infinite_width_kernel_into(result.view(), x.backend(), architecture, kernel, x, progress);
    return result;
}

#define NTKCUDA_INSTANTIATE(Real)                                                                                                          \
    template void infinite_width_kernel_into(MatrixView<Real>, const std::shared_ptr<Backend<Real>>&, const Architecture&, InfiniteKernel, \
                                             ConstMatrixView<Real>, ConstMatrixView<Real>, const Progress<Index, Index>&);                 \
    template void infinite_width_kernel_into(MatrixView<Real>, const std::shared_ptr<Backend<Real>>&, const Architecture&, InfiniteKernel, \
                                             ConstMatrixView<Real>, const Progress<Index, Index>&);                                        \
    template Matrix<Real> infinite_width_diagonal(const Architecture&, InfiniteKernel, const Matrix<Real>&);                               \
    template Matrix<Real> infinite_width_kernel(const Architecture&, InfiniteKernel, const Matrix<Real>&, const Matrix<Real>&,             \
                                                const Progress<Index, Index>&);                                                            \
    template Matrix<Real> infinite_width_kernel(const Architecture&, InfiniteKernel, const Matrix<Real>&, const Progress<Index, Index>&)
NTKCUDA_INSTANTIATE(float);
NTKCUDA_INSTANTIATE(double);
#undef NTKCUDA_INSTANTIATE

}  // namespace ntk

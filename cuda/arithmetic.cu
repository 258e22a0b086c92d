// Dense arithmetic: cuBLAS, and one kernel for each elementwise operation (a thread an entry, or a warp a row).

#include "blas.hpp"
#include "cuda_backend.hpp"
#include "device_matrix.hpp"

namespace ntk::cuda {
namespace {

constexpr int mirror_tile = 32, mirror_rows = 8;

template <class Real>
__global__ void axpy_kernel(Real alpha, DeviceMatrix<const Real> x, DeviceMatrix<Real> y) {
    for_each_entry(y.rows, y.cols, [&](Index i, Index j) { y(i, j) += alpha * x(i, j); });
}

template <class Real>
__global__ void add_roots_kernel(Real alpha, DeviceMatrix<const Real> x, DeviceMatrix<Real> y) {
    for_each_entry(y.rows, y.cols, [&](Index i, Index j) { y(i, j) += alpha * sqrt(x(i, j)); });
}

template <class Real>
__global__ void scale_kernel(Real alpha, DeviceMatrix<Real> x) {
    for_each_entry(x.rows, x.cols, [&](Index i, Index j) { x(i, j) *= alpha; });
}

template <class Real>
__global__ void add_row_kernel(DeviceMatrix<const Real> row, DeviceMatrix<Real> x) {
    for_each_entry(x.rows, x.cols, [&](Index i, Index j) { x(i, j) += row(0, j); });
}

template <class Real>
__global__ void add_to_diagonal_kernel(Real value, DeviceMatrix<Real> x, Index order) {
    for_each_entry(order, 1, [&](Index i, Index) { x(i, i) += value; });
}

template <class Real>
__global__ void diagonal_kernel(DeviceMatrix<const Real> x, DeviceMatrix<Real> diagonal) {
    for_each_entry(diagonal.rows, 1, [&](Index i, Index) { diagonal(i, 0) = x(i, i); });
}

template <class Real>
__global__ void normalize_kernel(DeviceMatrix<const Real> rows, DeviceMatrix<const Real> cols, DeviceMatrix<Real> x) {
    for_each_entry(x.rows, x.cols, [&](Index i, Index j) {
        // Root by root: the product of two diagonals can overflow where the entry does not.
        x(i, j) = static_cast<Real>(x(i, j) / sqrt(static_cast<double>(rows(i, 0))) / sqrt(static_cast<double>(cols(j, 0))));
    });
}

template <class Real>
__global__ void row_dots_kernel(DeviceMatrix<const Real> a, DeviceMatrix<const Real> b, DeviceMatrix<Real> out) {
    for_each_warp_item(a.rows, [&](Index i, int lane) {
        double sum = 0;
        for (Index j = lane; j < a.cols; j += warp_threads) sum += static_cast<double>(a(i, j)) * static_cast<double>(b(i, j));
        sum = warp_sum(sum);
        if (lane == 0) out(i, 0) = static_cast<Real>(sum);
    });
}

/// A block a tile of the lower triangle, through shared memory so that reads and writes both run along rows.
template <class Real>
__global__ void mirror_lower_kernel(DeviceMatrix<Real> x) {
    __shared__ Real tile[mirror_tile][mirror_tile + 1];
    const Index tiles = ceil_divide(x.rows, mirror_tile);
    for (Index row = blockIdx.y; row < tiles; row += gridDim.y)
        for (Index col = blockIdx.x; col <= row; col += gridDim.x) {
            for (int r = threadIdx.y; r < mirror_tile; r += mirror_rows) {
                const Index i = row * mirror_tile + r, j = col * mirror_tile + threadIdx.x;
                if (i < x.rows && j <= i) tile[r][threadIdx.x] = x(i, j);
            }
            __syncthreads();
            for (int r = threadIdx.y; r < mirror_tile; r += mirror_rows) {
                const Index i = col * mirror_tile + r, j = row * mirror_tile + threadIdx.x;
                if (j < x.rows && i < j) x(i, j) = tile[threadIdx.x][r];
            }
            __syncthreads();
        }
}

}  // namespace

template <class Real>
void CudaArithmetic<Real>::gemm(Transpose ta, Transpose tb, double alpha, ConstMatrixView<Real> a, ConstMatrixView<Real> b, double beta,
                                MatrixView<Real> c) {
    if (c.empty()) return;
    if (a.empty()) {
        beta == 0 ? this->fill(c, 0) : scale(beta, c);
        return;
    }
    cuda::gemm(this->context(), ta, tb, static_cast<Real>(alpha), a, b, static_cast<Real>(beta), c);
}

template <class Real>
void CudaArithmetic<Real>::accumulate_gram(MatrixView<Real> theta, ConstMatrixView<Real> j1, ConstMatrixView<Real> j2, double alpha,
                                           Triangle triangle) {
    if (theta.empty() || j1.empty()) return;
    const Real factor = static_cast<Real>(alpha);
    if (triangle == Triangle::full) {
        cuda::gemm(this->context(), Transpose::no, Transpose::yes, factor, j1, j2, Real{1}, theta);
        return;
    }
    // GEMM left of the diagonal tiles, where it is faster than SYRK; SYRK on them.
    for (Index first = 0; first < theta.rows(); first += this->tiling().gram) {
        const Index rows = std::min(this->tiling().gram, theta.rows() - first);
        const auto band = theta.row_range(first, rows);
        const auto left = MatrixView<Real>(band.data(), rows, first, theta.stride());
        const auto corner = MatrixView<Real>(band.data() + first, rows, rows, theta.stride());
        if (first > 0)
            cuda::gemm(this->context(), Transpose::no, Transpose::yes, factor, j1.row_range(first, rows), j1.row_range(0, first), Real{1},
                       left);
        syrk_lower(this->context(), factor, j1.row_range(first, rows), Real{1}, corner);
    }
}

template <class Real>
void CudaArithmetic<Real>::axpy(double alpha, ConstMatrixView<Real> x, MatrixView<Real> y) {
    if (y.empty()) return;
    this->context().launch("axpy", entries_shape(y.rows(), y.cols()), axpy_kernel<Real>, static_cast<Real>(alpha), x, y);
}

template <class Real>
void CudaArithmetic<Real>::add_power(double alpha, Power power, ConstMatrixView<Real> x, MatrixView<Real> y) {
    if (power == Power::one) return axpy(alpha, x, y);
    if (y.empty()) return;
    this->context().launch("add_roots", entries_shape(y.rows(), y.cols()), add_roots_kernel<Real>, static_cast<Real>(alpha), x, y);
}

template <class Real>
void CudaArithmetic<Real>::scale(double alpha, MatrixView<Real> x) {
    if (x.empty()) return;
    this->context().launch("scale", entries_shape(x.rows(), x.cols()), scale_kernel<Real>, static_cast<Real>(alpha), x);
}

template <class Real>
void CudaArithmetic<Real>::add_row(ConstMatrixView<Real> row, MatrixView<Real> x) {
    if (x.empty()) return;
    this->context().launch("add_row", entries_shape(x.rows(), x.cols()), add_row_kernel<Real>, row, x);
}

template <class Real>
void CudaArithmetic<Real>::add_to_diagonal(double value, MatrixView<Real> x) {
    const Index order = std::min(x.rows(), x.cols());
    if (order == 0) return;
    this->context().launch("add_to_diagonal", entries_shape(order, 1), add_to_diagonal_kernel<Real>, static_cast<Real>(value), x, order);
}

template <class Real>
void CudaArithmetic<Real>::diagonal(ConstMatrixView<Real> x, MatrixView<Real> diagonal) {
    if (diagonal.empty()) return;
    this->context().launch("diagonal", entries_shape(diagonal.rows(), 1), diagonal_kernel<Real>, x, diagonal);
}

template <class Real>
void CudaArithmetic<Real>::mirror_lower(MatrixView<Real> x) {
    if (x.empty()) return;
    const unsigned tiles = static_cast<unsigned>(std::min<Index>(ceil_divide(x.rows(), mirror_tile), 4096));
    this->context().launch("mirror_lower", {dim3(tiles, tiles), dim3(mirror_tile, mirror_rows)}, mirror_lower_kernel<Real>, x);
}

template <class Real>
void CudaArithmetic<Real>::normalize(ConstMatrixView<Real> rows, ConstMatrixView<Real> cols, MatrixView<Real> x) {
    if (x.empty()) return;
    this->context().launch("normalize", entries_shape(x.rows(), x.cols()), normalize_kernel<Real>, rows, cols, x);
}

template <class Real>
void CudaArithmetic<Real>::row_dots(ConstMatrixView<Real> a, ConstMatrixView<Real> b, MatrixView<Real> out) {
    if (out.empty()) return;
    this->context().launch("row_dots", warps_shape(a.rows()), row_dots_kernel<Real>, a, b, out);
}

template class CudaArithmetic<float>;
template class CudaArithmetic<double>;

}  // namespace ntk::cuda

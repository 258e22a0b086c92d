// Kernels of a finite network. The layer Gram runs over square tiles of theta: two products into workspace tiles (cuBLAS), then one
// pass that multiplies them entry by entry and adds to theta, a thread an entry. No temporary is larger than a tile.

#include "blas.hpp"
#include "cuda_backend.hpp"
#include "device_matrix.hpp"

namespace ntk::cuda {
namespace {

/// One tile of theta: the rows of both sides that it needs. Of a tile on the diagonal only the lower triangle is computed.
template <class Real>
struct LayerTile {
    MatrixView<Real> theta;
    ConstMatrixView<Real> a1, a2, d1, d2;
    bool lower;
};

/// x is the `count` samples from `first`, each of `rows` rows.
template <class Real>
ConstMatrixView<Real> samples(ConstMatrixView<Real> x, Index first, Index count, Index rows) {
    return x.empty() ? ConstMatrixView<Real>{} : x.row_range(first * rows, count * rows);
}

/// theta((x, o), (x', o')) += (scale samples(x, x') + shift) deltas((x, o), (x', o')).
template <class Real>
__global__ void hadamard_kernel(DeviceMatrix<Real> theta, DeviceMatrix<const Real> samples, DeviceMatrix<const Real> deltas, Real scale,
                                Real shift, bool lower) {
    const int outputs = static_cast<int>(theta.rows / samples.rows);
    for_each_entry(theta.rows, theta.cols, [&](Index i, Index j) {
        if (lower && j > i) return;
        theta(i, j) += (scale * samples(static_cast<int>(i) / outputs, static_cast<int>(j) / outputs) + shift) * deltas(i, j);
    });
}

/// The same for the output layer, whose deltas are those of the identity: an entry is a pair of samples and one output.
template <class Real>
__global__ void identity_kernel(DeviceMatrix<Real> theta, DeviceMatrix<const Real> samples, Real scale, Real shift, bool lower) {
    const int outputs = static_cast<int>(theta.rows / samples.rows);
    for_each_entry(theta.rows, samples.cols, [&](Index i, Index x) {
        const Index j = x * outputs + static_cast<int>(i) % outputs;
        if (lower && j > i) return;
        theta(i, j) += scale * samples(static_cast<int>(i) / outputs, x) + shift;
    });
}

/// product = left right^T into `tile`; its lower triangle alone if `lower`.
template <class Real>
ConstMatrixView<Real> product_tile(Context& context, ConstMatrixView<Real> left, ConstMatrixView<Real> right, bool lower, Real* tile) {
    const MatrixView<Real> product(tile, left.rows(), right.rows());
    if (lower) {
        syrk_lower(context, Real{1}, left, Real{0}, product);
    } else {
        gemm(context, Transpose::no, Transpose::yes, Real{1}, left, right, Real{0}, product);
    }
    return product;
}

template <class Real>
void accumulate_tile(Context& context, const LayerTile<Real>& tile, Real scale, Real shift, Real* sample_tile, Real* delta_tile) {
    const auto samples = product_tile(context, tile.a1, tile.a2, tile.lower, sample_tile);
    if (tile.d1.empty()) {
        context.launch("layer_gram", entries_shape(tile.theta.rows(), samples.cols()), identity_kernel<Real>, tile.theta, samples, scale,
                       shift, tile.lower);
        return;
    }
    const auto deltas = product_tile(context, tile.d1, tile.d2, tile.lower, delta_tile);
    context.launch("layer_gram", entries_shape(tile.theta.rows(), tile.theta.cols()), hadamard_kernel<Real>, tile.theta, samples, deltas,
                   scale, shift, tile.lower);
}

template <class Real>
__device__ double squared_norm(const DeviceMatrix<const Real>& x, Index row, int lane) {
    double sum = 0;
    for (Index j = lane; j < x.cols; j += warp_threads) sum += static_cast<double>(x(row, j)) * static_cast<double>(x(row, j));
    return warp_sum(sum);
}

/// A warp an entry of the diagonal.
template <class Real>
__global__ void layer_diagonal_kernel(DeviceMatrix<Real> theta, DeviceMatrix<const Real> a, DeviceMatrix<const Real> d, double scale,
                                      double shift) {
    for_each_warp_item(theta.rows * theta.cols, [&](Index item, int lane) {
        const double sample = squared_norm(a, item / theta.cols, lane);
        const double delta = d.data ? squared_norm(d, item, lane) : 1;
        if (lane == 0) theta(item / theta.cols, item % theta.cols) += static_cast<Real>((scale * sample + shift) * delta);
    });
}

/// Column q of the block is unit q / a.cols and input q % a.cols.
template <class Real>
__global__ void jacobian_kernel(DeviceMatrix<const Real> delta, DeviceMatrix<const Real> a, Index first, Real scale,
                                DeviceMatrix<Real> out) {
    const Index outputs = out.rows / a.rows;
    for_each_entry(out.rows, out.cols, [&](Index row, Index q) {
        const Index unit = first + q / a.cols;
        const Real slope = delta.data ? delta(row, unit) : static_cast<Real>(row % outputs == unit ? 1 : 0);
        out(row, q) = scale * slope * a(row / outputs, q % a.cols);
    });
}

}  // namespace

template <class Real>
void CudaGram<Real>::accumulate_layer_gram(MatrixView<Real> theta, ConstMatrixView<Real> a1, ConstMatrixView<Real> a2,
                                           ConstMatrixView<Real> d1, ConstMatrixView<Real> d2, double scale, double shift,
                                           Triangle triangle) {
    if (theta.empty()) return;
    Context& context = this->context();
    const Index outputs = theta.rows() / a1.rows(), tile = std::max<Index>(1, this->tiling().gram / outputs);
    const Index rows = std::min(tile, a1.rows()), cols = std::min(tile, a2.rows());
    // Not kept between calls: a recording of this call would refer to memory that a larger problem makes grow.
    const Buffer sample_tile(context, rows * cols * sizeof(Real));
    const Buffer delta_tile(context, d1.empty() ? 0 : rows * outputs * cols * outputs * sizeof(Real));
    for (Index i = 0; i < a1.rows(); i += tile)
        for (Index j = 0; j < (triangle == Triangle::lower ? i + 1 : a2.rows()); j += tile) {
            const Index n1 = std::min(tile, a1.rows() - i), n2 = std::min(tile, a2.rows() - j);
            const MatrixView<Real> part(theta.data() + i * outputs * theta.stride() + j * outputs, n1 * outputs, n2 * outputs,
                                        theta.stride());
            const LayerTile<Real> layer{part,
                                        samples(a1, i, n1, 1),
                                        samples(a2, j, n2, 1),
                                        samples(d1, i, n1, outputs),
                                        samples(d2, j, n2, outputs),
                                        triangle == Triangle::lower && i == j};
            accumulate_tile(context, layer, static_cast<Real>(scale), static_cast<Real>(shift), sample_tile.as<Real>(),
                            delta_tile.as<Real>());
        }
}

template <class Real>
void CudaGram<Real>::accumulate_layer_diagonal(MatrixView<Real> theta, ConstMatrixView<Real> a, ConstMatrixView<Real> d, double scale,
                                               double shift) {
    if (theta.empty()) return;
    this->context().launch("layer_diagonal", warps_shape(theta.size()), layer_diagonal_kernel<Real>, theta, a, d, scale, shift);
}

template <class Real>
void CudaGram<Real>::jacobian_block(ConstMatrixView<Real> delta, ConstMatrixView<Real> a, Index first, Index count, double scale,
                                    MatrixView<Real> out) {
    if (count == 0 || out.empty()) return;
    this->context().launch("jacobian_block", entries_shape(out.rows(), out.cols()), jacobian_kernel<Real>, delta, a, first,
                           static_cast<Real>(scale), out);
}

template class CudaGram<float>;
template class CudaGram<double>;

}  // namespace ntk::cuda

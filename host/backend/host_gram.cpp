#include "dot.hpp"
#include "host_backend.hpp"
#include "serial_blas.hpp"
#include "tiles.hpp"

#include <omp.h>

#include <utility>

namespace ntk {
namespace {

/// What the threads need for tiles of `shape` samples with r rows of delta each.
template <class Real>
class TileScratch {
public:
    TileScratch(std::shared_ptr<Backend<Real>> backend, int threads, TileShape shape, Index r)
        : samples_(shape.rows * shape.cols),
          deltas_(samples_ * r * r),
          size_(samples_ + deltas_ + shape.cols * r),
          memory_(std::move(backend), threads, size_) {}

    [[nodiscard]] Real* sample_gram(int thread) { return memory_.view().data() + thread * size_; }
    [[nodiscard]] Real* delta_gram(int thread) { return sample_gram(thread) + samples_; }
    [[nodiscard]] Real* factors(int thread) { return delta_gram(thread) + deltas_; }

private:
    Index samples_, deltas_, size_;
    Matrix<Real> memory_;
};

/// out (rows x cols) = alpha x1 x2^T for rows [row, row + rows) of x1 and [col, col + cols) of x2; the lower triangle only if they are the
/// same.
template <class Real>
void tile_gram(Index row, Index rows, Index col, Index cols, bool symmetric, double alpha, ConstMatrixView<Real> x1,
               ConstMatrixView<Real> x2, Real* out) {
    if (symmetric)
        blas_syrk_lower(rows, x1.cols(), alpha, row_of(x1, row), x1.stride(), 0, out, cols);
    else
        blas_gemm(false, true, rows, cols, x1.cols(), alpha, row_of(x1, row), x1.stride(), row_of(x2, col), x2.stride(), 0, out, cols);
}

}  // namespace

template <class Real>
void HostGram<Real>::accumulate_layer_gram(MatrixView<Real> theta, ConstMatrixView<Real> a1, ConstMatrixView<Real> a2,
                                           ConstMatrixView<Real> d1, ConstMatrixView<Real> d2, double scale, double shift,
                                           Triangle triangle) {
    if (theta.empty()) return;
    blas_int(std::max({a1.stride(), a2.stride(), d1.stride(), d2.stride(), theta.stride()}));
    const bool identity = d1.empty();
    const Index r = theta.rows() / a1.rows();
    const TileShape whole = tile_shape(theta.rows(), theta.cols());
    const TileShape shape{std::max<Index>(1, whole.rows / r), std::max<Index>(1, whole.cols / r)};
    const std::vector<Tile> tiles = triangle_tiles(a1.rows(), a2.rows(), shape, triangle);
    const int threads = tile_threads(this->threads(), tiles.size(), theta.size() * (d1.cols() + a1.cols()));
    TileScratch<Real> scratch(this->shared_from_this(), threads, shape, r);
    const SerialBlas serial;
#pragma omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1)
    for (const Tile& t : tiles) {
        const int thread = omp_get_thread_num();
        Real *samples = scratch.sample_gram(thread), *deltas = scratch.delta_gram(thread), *factors = scratch.factors(thread);
        const bool symmetric = triangle == Triangle::lower && t.row == t.col;
        tile_gram(t.row, t.rows, t.col, t.cols, symmetric, scale, a1, a2, samples);
        if (!identity) tile_gram(t.row * r, t.rows * r, t.col * r, t.cols * r, symmetric, 1, d1, d2, deltas);
        for (Index i = 0; i < t.rows; ++i) {
            // Factors of one row of theta, which all rows of this sample share.
            const Index columns = symmetric ? i + 1 : t.cols;
            for (Index j = 0; j < columns; ++j) {
                const Real factor = samples[i * t.cols + j] + static_cast<Real>(shift);
                for (Index o = 0; o < r; ++o) factors[j * r + o] = factor;
            }
            for (Index o = 0; o < r; ++o) {
                Real* out = row_of(theta, (t.row + i) * r + o) + t.col * r;
                const Index last = symmetric ? i * r + o + 1 : t.cols * r;
                if (identity) {
                    for (Index j = o; j < last; j += r) out[j] += factors[j];
                } else {
                    const Real* delta = deltas + (i * r + o) * t.cols * r;
                    for (Index j = 0; j < last; ++j) out[j] += factors[j] * delta[j];
                }
            }
        }
    }
}

template <class Real>
void HostGram<Real>::accumulate_layer_diagonal(MatrixView<Real> theta, ConstMatrixView<Real> a, ConstMatrixView<Real> d, double scale,
                                               double shift) {
    const Index outputs = theta.cols();
#pragma omp parallel for num_threads(this->threads()) schedule(static) if (a.size() + d.size() > elementwise_alone)
    for (Index i = 0; i < theta.rows(); ++i) {
        const double factor = scale * dot(row_of(a, i), row_of(a, i), a.cols()) + shift;
        for (Index o = 0; o < outputs; ++o) {
            const Real* delta = d.empty() ? nullptr : row_of(d, i * outputs + o);
            row_of(theta, i)[o] += static_cast<Real>(factor * (delta ? dot(delta, delta, d.cols()) : 1.0));
        }
    }
}

template <class Real>
void HostGram<Real>::jacobian_block(ConstMatrixView<Real> delta, ConstMatrixView<Real> a, Index first, Index count, double scale,
                                    MatrixView<Real> out) {
    const Index outputs = out.rows() / std::max<Index>(1, a.rows()), k = a.cols();
#pragma omp parallel for num_threads(this->threads()) schedule(static) if (out.size() > elementwise_alone)
    for (Index row = 0; row < out.rows(); ++row) {
        const Real* sample = row_of(a, row / outputs);
        for (Index unit = 0; unit < count; ++unit) {
            const double slope =
                delta.empty() ? (first + unit == row % outputs ? 1.0 : 0.0) : static_cast<double>(row_of(delta, row)[first + unit]);
            const Real factor = static_cast<Real>(scale * slope);
            Real* to = row_of(out, row) + unit * k;
            for (Index c = 0; c < k; ++c) to[c] = factor * sample[c];
        }
    }
}

template class HostGram<float>;
template class HostGram<double>;

}  // namespace ntk

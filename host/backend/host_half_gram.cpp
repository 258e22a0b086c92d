// Layer Grams of operands rounded to FP16, held as float32: one-thread SGEMMs on a fixed tiling, so the same bits on any number of threads.

#include "host_backend.hpp"
#include "serial_blas.hpp"
#include "tiles.hpp"

#include <ntkcuda/formulas/half_rounding.hpp>

#include <omp.h>

#include <utility>
#include <vector>

namespace ntk {
namespace {

/// Memory of a backend for `count` float32 numbers.
template <class Real>
class FloatBlock {
public:
    FloatBlock(std::shared_ptr<Backend<Real>> backend, Index count)
        : memory_(std::move(backend), 1, (count * Index{sizeof(float)} + Index{sizeof(Real)} - 1) / Index{sizeof(Real)}) {}
    [[nodiscard]] float* data() const { return reinterpret_cast<float*>(const_cast<Real*>(memory_.view().data())); }

private:
    Matrix<Real> memory_;
};

/// The rows of an operand: FP16 numbers times a power of two a row.
template <class Real>
class HalfRows {
public:
    HalfRows(const std::shared_ptr<Backend<Real>>& backend, int threads, ConstMatrixView<Real> x)
        : cols_(x.cols()), values_(backend, x.size()), scales_(static_cast<std::size_t>(x.rows())) {
#pragma omp parallel for num_threads(threads) schedule(static) if (x.size() > elementwise_alone)
        for (Index i = 0; i < x.rows(); ++i) scales_[static_cast<std::size_t>(i)] = round_row(row_of(x, i), row(i));
    }
    [[nodiscard]] Index cols() const { return cols_; }
    [[nodiscard]] float* row(Index i) const { return values_.data() + i * cols_; }
    [[nodiscard]] double scale(Index i) const { return scales_[static_cast<std::size_t>(i)]; }

private:
    [[nodiscard]] double round_row(const Real* x, float* out) const {
        std::uint64_t largest = 0;  // |x| as bits are in its order, with NaN on top
        for (Index j = 0; j < cols_; ++j)
            largest = std::max<std::uint64_t>(largest, formulas::bits_of(static_cast<double>(x[j])) & 0x7fffffffffffffffULL);
        const int exponent = formulas::half_row_exponent(formulas::double_of(largest));
        for (Index j = 0; j < cols_; ++j) out[j] = static_cast<float>(formulas::half_entry(static_cast<double>(x[j]), exponent));
        return std::ldexp(1.0, exponent);
    }

    Index cols_;
    FloatBlock<Real> values_;
    std::vector<double> scales_;
};

/// out (rows x cols) = x1 x2^T for rows [row, row + rows) of x1 and [col, col + cols) of x2, both without their scales; the lower triangle
/// only if they are the same.
template <class Real>
void tile_product(const HalfRows<Real>& x1, Index row, Index rows, const HalfRows<Real>& x2, Index col, Index cols, bool symmetric,
                  float* out) {
    if (symmetric)
        blas_syrk_lower(rows, x1.cols(), 1, x1.row(row), x1.cols(), 0, out, cols);
    else
        blas_gemm(false, true, rows, cols, x1.cols(), 1, x1.row(row), x1.cols(), x2.row(col), x2.cols(), 0, out, cols);
}

/// Each layer is added to theta as it comes.
template <class Real>
class HostLayerGramSum final : public LayerGramSum<Real> {
public:
    HostLayerGramSum(std::shared_ptr<Backend<Real>> backend, int threads, MatrixView<Real> theta, Triangle triangle)
        : backend_(std::move(backend)), threads_(threads), theta_(theta), triangle_(triangle) {}

    void add(ConstMatrixView<Real> a1, ConstMatrixView<Real> a2, ConstMatrixView<Real> d1, ConstMatrixView<Real> d2, double scale,
             double shift) override {
        if (theta_.empty()) return;
        blas_int(std::max({a1.rows(), a2.rows(), a1.cols(), d1.rows(), d2.rows(), d1.cols()}));
        const HalfRows<Real> left(backend_, threads_, a1), left_delta(backend_, threads_, d1);
        if (triangle_ == Triangle::lower) return add(left, left, left_delta, left_delta, {a1.rows(), a1.rows()}, scale, shift);
        const HalfRows<Real> right(backend_, threads_, a2), right_delta(backend_, threads_, d2);
        add(left, right, left_delta, right_delta, {a1.rows(), a2.rows()}, scale, shift);
    }
    void finish() override {}

private:
    void add(const HalfRows<Real>& a1, const HalfRows<Real>& a2, const HalfRows<Real>& d1, const HalfRows<Real>& d2, TileShape samples,
             double scale, double shift) {
        const bool identity = d1.cols() == 0;
        const Index r = theta_.rows() / samples.rows;
        const TileShape whole = tile_shape(theta_.rows(), theta_.cols());
        const TileShape shape{std::max<Index>(1, whole.rows / r), std::max<Index>(1, whole.cols / r)};
        const std::vector<Tile> tiles = triangle_tiles(samples.rows, samples.cols, shape, triangle_);
        const int threads = tile_threads(threads_, tiles.size(), theta_.size() * (d1.cols() + a1.cols()));
        const Index sample_tile = shape.rows * shape.cols, each = sample_tile * (1 + r * r);
        const FloatBlock<Real> scratch(backend_, threads * each);
        std::vector<double> memory(static_cast<std::size_t>(threads * shape.cols * r));
        const SerialBlas serial;
#pragma omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1)
        for (const Tile& t : tiles) {
            const int thread = omp_get_thread_num();
            float *grams = scratch.data() + thread * each, *deltas = grams + sample_tile;
            double* factors = memory.data() + thread * shape.cols * r;
            const bool symmetric = triangle_ == Triangle::lower && t.row == t.col;
            tile_product(a1, t.row, t.rows, a2, t.col, t.cols, symmetric, grams);
            if (!identity) tile_product(d1, t.row * r, t.rows * r, d2, t.col * r, t.cols * r, symmetric, deltas);
            for (Index i = 0; i < t.rows; ++i) {
                const Index columns = symmetric ? i + 1 : t.cols;
                for (Index j = 0; j < columns; ++j) {
                    const double gram = static_cast<double>(grams[i * t.cols + j]) * a1.scale(t.row + i) * a2.scale(t.col + j);
                    for (Index o = 0; o < r; ++o) factors[j * r + o] = scale * gram + shift;
                }
                for (Index o = 0; o < r; ++o) {
                    const Index row = (t.row + i) * r + o;
                    Real* out = row_of(theta_, row) + t.col * r;
                    const Index last = symmetric ? i * r + o + 1 : t.cols * r;
                    if (identity) {
                        for (Index j = o; j < last; j += r) out[j] = static_cast<Real>(out[j] + factors[j]);
                    } else {
                        const float* delta = deltas + (i * r + o) * t.cols * r;
                        for (Index j = 0; j < last; ++j)
                            out[j] = static_cast<Real>(
                                out[j] + factors[j] * (static_cast<double>(delta[j]) * d1.scale(row) * d2.scale(t.col * r + j)));
                    }
                }
            }
        }
    }

    std::shared_ptr<Backend<Real>> backend_;
    int threads_;
    MatrixView<Real> theta_;
    Triangle triangle_;
};

}  // namespace

template <class Real>
std::unique_ptr<LayerGramSum<Real>> HostHalfGram<Real>::half_gram_sum(MatrixView<Real> theta, Triangle triangle) {
    return std::make_unique<HostLayerGramSum<Real>>(this->shared_from_this(), this->threads(), theta, triangle);
}

template class HostHalfGram<float>;
template class HostHalfGram<double>;

}  // namespace ntk

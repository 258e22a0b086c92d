#include "dot.hpp"
#include "host_backend.hpp"
#include "serial_blas.hpp"
#include "tiles.hpp"

#include <cmath>

namespace ntk {

template <class Real>
void HostArithmetic<Real>::gemm(Transpose ta, Transpose tb, double alpha, ConstMatrixView<Real> a, ConstMatrixView<Real> b, double beta,
                                MatrixView<Real> c) {
    const bool a_transposed = ta == Transpose::yes, b_transposed = tb == Transpose::yes;
    const Index k = a_transposed ? a.rows() : a.cols();
    blas_int(std::max({k, a.stride(), b.stride(), c.stride()}));
    const std::vector<Tile> tiles = all_tiles(c.rows(), c.cols(), tile_shape(c.rows(), c.cols()));
    const int threads = tile_threads(this->threads(), tiles.size(), c.size() * k);
    const SerialBlas serial;
#pragma omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1)
    for (const Tile& t : tiles)
        blas_gemm(a_transposed, b_transposed, t.rows, t.cols, k, alpha, a_transposed ? a.data() + t.row : row_of(a, t.row),
                  std::max<Index>(1, a.stride()), b_transposed ? row_of(b, t.col) : b.data() + t.col, std::max<Index>(1, b.stride()), beta,
                  row_of(c, t.row) + t.col, c.stride());
}

template <class Real>
void HostArithmetic<Real>::accumulate_gram(MatrixView<Real> theta, ConstMatrixView<Real> j1, ConstMatrixView<Real> j2, double alpha,
                                           Triangle triangle) {
    if (triangle == Triangle::full) return gemm(Transpose::no, Transpose::yes, alpha, j1, j2, 1, theta);
    blas_int(std::max(j1.stride(), theta.stride()));
    const Index stride = std::max<Index>(1, j1.stride());
    const std::vector<Tile> tiles = lower_tiles(theta.rows(), tile_shape(theta.rows(), theta.cols()));
    const int threads = tile_threads(this->threads(), tiles.size(), theta.size() * j1.cols());
    const SerialBlas serial;
#pragma omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1)
    for (const Tile& t : tiles) {
        Real* out = row_of(theta, t.row) + t.col;
        if (t.row == t.col)
            blas_syrk_lower(t.rows, j1.cols(), alpha, row_of(j1, t.row), stride, 1, out, theta.stride());
        else
            blas_gemm(false, true, t.rows, t.cols, j1.cols(), alpha, row_of(j1, t.row), stride, row_of(j1, t.col), stride, 1, out,
                      theta.stride());
    }
}

template <class Real>
void HostArithmetic<Real>::axpy(double alpha, ConstMatrixView<Real> x, MatrixView<Real> y) {
    for_each_row_piece(this->threads(), y.rows(), y.cols(), [=, a = static_cast<Real>(alpha)](Index i, Index first, Index last) {
        const Real* from = row_of(x, i);
        Real* to = row_of(y, i);
        for (Index j = first; j < last; ++j) to[j] += a * from[j];
    });
}

template <class Real>
void HostArithmetic<Real>::add_power(double alpha, Power power, ConstMatrixView<Real> x, MatrixView<Real> y) {
    if (power == Power::one) return axpy(alpha, x, y);
    for_each_row_piece(this->threads(), y.rows(), y.cols(), [=, a = static_cast<Real>(alpha)](Index i, Index first, Index last) {
        const Real* from = row_of(x, i);
        Real* to = row_of(y, i);
        for (Index j = first; j < last; ++j) to[j] += a * std::sqrt(from[j]);
    });
}

template <class Real>
void HostArithmetic<Real>::scale(double alpha, MatrixView<Real> x) {
    for_each_row_piece(this->threads(), x.rows(), x.cols(), [=, a = static_cast<Real>(alpha)](Index i, Index first, Index last) {
        Real* row = row_of(x, i);
        for (Index j = first; j < last; ++j) row[j] *= a;
    });
}

template <class Real>
void HostArithmetic<Real>::add_row(ConstMatrixView<Real> row, MatrixView<Real> x) {
    for_each_row_piece(this->threads(), x.rows(), x.cols(), [=](Index i, Index first, Index last) {
        Real* to = row_of(x, i);
        for (Index j = first; j < last; ++j) to[j] += row.data()[j];
    });
}

template <class Real>
void HostArithmetic<Real>::add_to_diagonal(double value, MatrixView<Real> x) {
    for (Index i = 0; i < x.rows(); ++i) row_of(x, i)[i] += static_cast<Real>(value);
}

template <class Real>
void HostArithmetic<Real>::diagonal(ConstMatrixView<Real> x, MatrixView<Real> diagonal) {
    for (Index i = 0; i < x.rows(); ++i) *row_of(diagonal, i) = row_of(x, i)[i];
}

template <class Real>
void HostArithmetic<Real>::mirror_lower(MatrixView<Real> x) {
    constexpr Index side = 32;  // two tiles of it stay in the first cache while one is read along columns
    const std::vector<Tile> tiles = lower_tiles(x.rows(), {side, side});
#pragma omp parallel for num_threads(this->threads()) schedule(static) if (x.size() > elementwise_alone)
    for (const Tile& t : tiles)
        for (Index i = t.row; i < t.row + t.rows; ++i)
            for (Index j = t.col; j < std::min(i, t.col + t.cols); ++j) row_of(x, j)[i] = row_of(x, i)[j];
}

template <class Real>
void HostArithmetic<Real>::normalize(ConstMatrixView<Real> rows, ConstMatrixView<Real> cols, MatrixView<Real> x) {
    for_each_row_piece(this->threads(), x.rows(), x.cols(), [=](Index i, Index first, Index last) {
        // In float64, and root by root: the product of two diagonals can overflow where the entry does not.
        const double root = std::sqrt(static_cast<double>(*row_of(rows, i)));
        Real* row = row_of(x, i);
        for (Index j = first; j < last; ++j) row[j] = static_cast<Real>(row[j] / root / std::sqrt(static_cast<double>(*row_of(cols, j))));
    });
}

template <class Real>
void HostArithmetic<Real>::row_dots(ConstMatrixView<Real> a, ConstMatrixView<Real> b, MatrixView<Real> out) {
#pragma omp parallel for num_threads(this->threads()) schedule(static) if (a.size() > elementwise_alone)
    for (Index i = 0; i < a.rows(); ++i) *row_of(out, i) = static_cast<Real>(dot(row_of(a, i), row_of(b, i), a.cols()));
}

namespace {

/// Norms of the matrix whose entries are entry(i, j), a double: partial sums over fixed tiles, added in their order.
template <class Entry>
Norms norms_of(int threads, Index rows, Index cols, const Entry& entry) {
    constexpr Index side = 256;
    struct Partial {
        double squares = 0, max_abs = 0, column[side] = {};
        bool finite = true;
    };
    const std::vector<Tile> tiles = all_tiles(rows, cols, {side, side});
    std::vector<Partial> partials(tiles.size());
#pragma omp parallel for num_threads(threads) schedule(static) if (rows * cols > elementwise_alone)
    for (std::size_t t = 0; t < tiles.size(); ++t) {
        const Tile& tile = tiles[t];
        Partial& partial = partials[t];
        for (Index i = 0; i < tile.rows; ++i)
            for (Index j = 0; j < tile.cols; ++j) {
                const double size = std::fabs(entry(tile.row + i, tile.col + j));
                partial.squares += size * size;
                partial.max_abs = std::max(partial.max_abs, size);
                partial.column[j] += size;
                partial.finite = partial.finite && std::isfinite(size);
            }
    }
    Norms norms;
    double squares = 0;
    std::vector<double> columns(static_cast<std::size_t>(cols));
    for (std::size_t t = 0; t < tiles.size(); ++t) {
        squares += partials[t].squares;
        norms.max_abs = std::max(norms.max_abs, partials[t].max_abs);
        norms.finite = norms.finite && partials[t].finite;
        for (Index j = 0; j < tiles[t].cols; ++j) columns[static_cast<std::size_t>(tiles[t].col + j)] += partials[t].column[j];
    }
    norms.frobenius = std::sqrt(squares);
    for (const double sum : columns) norms.one = std::max(norms.one, sum);
    return norms;
}

}  // namespace

template <class Real>
Norms HostArithmetic<Real>::norms(ConstMatrixView<Real> x) {
    return norms_of(this->threads(), x.rows(), x.cols(), [=](Index i, Index j) { return static_cast<double>(row_of(x, i)[j]); });
}

template <class Real>
Norms HostArithmetic<Real>::difference_norms(ConstMatrixView<Real> x, ConstMatrixView<Real> y) {
    return norms_of(this->threads(), x.rows(), x.cols(),
                    [=](Index i, Index j) { return static_cast<double>(row_of(x, i)[j]) - static_cast<double>(row_of(y, i)[j]); });
}

template class HostArithmetic<float>;
template class HostArithmetic<double>;

}  // namespace ntk

#include "host_backend.hpp"
#include "limit_tiles.hpp"
#include "serial_blas.hpp"
#include "tiles.hpp"

#include <ntkcuda/infinite_width.hpp>

#include <omp.h>

#include <algorithm>
#include <cmath>

namespace ntk {
namespace {

/// Exponent of the power of two that a row is divided by: its largest |element| becomes 1 to 2.
template <class Real>
int row_exponent(const Real* x, Index count) {
    double largest = 0;
    for (Index j = 0; j < count; ++j) largest = std::max(largest, std::fabs(static_cast<double>(x[j])));
    return largest > 0 && std::isfinite(largest) ? std::ilogb(largest) : 0;
}

/// 2^-exponent as two factors, since one alone can overflow.
struct RowScale {
    double first, second;
    explicit RowScale(int exponent) : first(std::ldexp(1.0, -(exponent / 2))), second(std::ldexp(1.0, -(exponent - exponent / 2))) {}
    double operator()(double value) const { return value * first * second; }
};

/// Norms of all rows; the values themselves are scaled tile by tile.
class ScaledRows {
public:
    template <class Real>
    ScaledRows(ConstMatrixView<Real> x, int threads)
        : inputs_(x.cols()), norm_(size(x)), squared_norm_(size(x)), mean_square_(size(x)), exponent_(size(x)) {
#pragma omp parallel for num_threads(threads) schedule(static) if (x.size() > elementwise_alone)
        for (Index i = 0; i < x.rows(); ++i) {
            const Real* row = row_of(x, i);
            const int exponent = row_exponent(row, x.cols());
            const RowScale scaled(exponent);
            double sum[4] = {};
            for (Index j = 0; j < x.cols(); ++j) {
                const double value = scaled(static_cast<double>(row[j]));
                sum[j % 4] += value * value;
            }
            const double square = (sum[0] + sum[1]) + (sum[2] + sum[3]);
            const auto at = static_cast<std::size_t>(i);
            exponent_[at] = exponent;
            squared_norm_[at] = square;
            norm_[at] = square == 0 ? 1 : std::sqrt(square);
            mean_square_[at] = std::ldexp(square / static_cast<double>(x.cols()), 2 * exponent);
        }
    }

    /// Rows [first, first + count), scaled, into `values` (count x inputs).
    template <class Real>
    LimitSamples pack(ConstMatrixView<Real> x, Index first, Index count, double* values) const {
        for (Index i = 0; i < count; ++i) {
            const Real* row = row_of(x, first + i);
            const RowScale scaled(exponent_[static_cast<std::size_t>(first + i)]);
            for (Index j = 0; j < inputs_; ++j) values[i * inputs_ + j] = scaled(static_cast<double>(row[j]));
        }
        return {count,
                inputs_,
                values,
                norm_.data() + first,
                squared_norm_.data() + first,
                mean_square_.data() + first,
                exponent_.data() + first};
    }

    double mean_square(Index i) const { return mean_square_[static_cast<std::size_t>(i)]; }
    bool zero(Index i) const { return squared_norm_[static_cast<std::size_t>(i)] == 0; }

private:
    template <class Real>
    static std::size_t size(ConstMatrixView<Real> x) {
        return static_cast<std::size_t>(x.rows());
    }

    Index inputs_;
    std::vector<double> norm_, squared_norm_, mean_square_;
    std::vector<int> exponent_;
};

/// Scratch memory of one thread.
struct Scratch {
    LimitWorkspace workspace;
    std::vector<double> row_values, col_values, entries;

    Scratch(const LimitProblem& problem, Index side, Index inputs)
        : workspace(problem, side),
          row_values(static_cast<std::size_t>(side * inputs)),
          col_values(row_values.size()),
          entries(static_cast<std::size_t>(side * side)) {}
};

}  // namespace

template <class Real>
void HostInfiniteWidth<Real>::infinite_width_kernel(const Architecture& architecture, InfiniteKernel kernel, ConstMatrixView<Real> x1,
                                                    ConstMatrixView<Real> x2, Triangle triangle, MatrixView<Real> out) {
    if (out.empty()) return;
    blas_int(x1.cols());
    const LimitProblem problem = limit_problem(architecture, kernel);
    const ScaledRows rows(x1, this->threads()), cols(x2, this->threads());
    const Index side = tile_shape(out.rows(), out.cols()).rows;
    const std::vector<Tile> tiles = triangle_tiles(out.rows(), out.cols(), {side, side}, triangle);
    const LimitTile run = limit_tile_variants().back();
    const int threads = static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(this->threads()), tiles.size()));
    std::vector<Scratch> scratch;  // before the parallel region, from which no exception can leave
    for (int t = 0; t < threads; ++t) scratch.emplace_back(problem, side, x1.cols());
    const SerialBlas serial;
#pragma omp parallel num_threads(threads)
    {
        Scratch& own = scratch[static_cast<std::size_t>(omp_get_thread_num())];
        double* entries = own.entries.data();
#pragma omp for schedule(dynamic)
        for (const Tile& t : tiles) {
            const LimitSamples left = rows.pack(x1, t.row, t.rows, own.row_values.data());
            const LimitSamples right = cols.pack(x2, t.col, t.cols, own.col_values.data());
            blas_gemm(false, true, t.rows, t.cols, x1.cols(), 1, left.values, x1.cols(), right.values, x1.cols(), 0, entries, t.cols);
            const bool lower = triangle == Triangle::lower && t.row == t.col;
            run(problem, left, right, lower, own.workspace, entries);
            for (Index i = 0; i < t.rows; ++i) {
                Real* to = row_of(out, t.row + i) + t.col;
                for (Index j = 0; j < (lower ? i + 1 : t.cols); ++j) to[j] = static_cast<Real>(entries[i * t.cols + j]);
            }
        }
    }
}

template <class Real>
void HostInfiniteWidth<Real>::infinite_width_diagonal(const Architecture& architecture, InfiniteKernel kernel, ConstMatrixView<Real> x,
                                                      MatrixView<Real> out) {
    const LimitProblem problem = limit_problem(architecture, kernel);
    const ScaledRows rows(x, this->threads());
#pragma omp parallel for num_threads(this->threads()) schedule(static) if (x.rows() > 64)
    for (Index i = 0; i < x.rows(); ++i) *row_of(out, i) = static_cast<Real>(limit_diagonal(problem, rows.mean_square(i), rows.zero(i)));
}

template class HostInfiniteWidth<float>;
template class HostInfiniteWidth<double>;

}  // namespace ntk

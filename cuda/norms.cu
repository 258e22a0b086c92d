// Norms in three steps of fixed shape, so that the same matrix always gives the same bits: a thread sums a strip of one column;
// the strips of a column are added up; CUB reduces what is left.

#include "cuda_backend.hpp"
#include "device_matrix.hpp"

#include <cub/device/device_reduce.cuh>

#include <cmath>

namespace ntk::cuda {
namespace {

constexpr Index strip_rows = 256;
/// Squares of entries outside of this range may overflow or vanish; they are summed again after scaling.
constexpr double largest_square_safe = 0x1p480, smallest_square_safe = 0x1p-480;

/// Facts about some entries. `absolute_sum` is used for entries of one column only.
struct Summary {
    double squares, absolute_sum, max_abs;
    bool finite;
};

struct Join {
    __host__ __device__ Summary operator()(const Summary& a, const Summary& b) const {
        return {a.squares + b.squares, a.absolute_sum + b.absolute_sum, a.max_abs > b.max_abs ? a.max_abs : b.max_abs,
                a.finite && b.finite};
    }
};

/// As Join, for different columns: their largest sum.
struct JoinColumns {
    __host__ __device__ Summary operator()(const Summary& a, const Summary& b) const {
        Summary both = Join()(a, b);
        both.absolute_sum = a.absolute_sum > b.absolute_sum ? a.absolute_sum : b.absolute_sum;
        return both;
    }
};

template <class Real>
struct Difference {
    DeviceMatrix<const Real> x, y;
    __device__ double operator()(Index i, Index j) const { return static_cast<double>(x(i, j)) - static_cast<double>(y(i, j)); }
};

template <class Real>
struct Entries {
    DeviceMatrix<const Real> x;
    __device__ double operator()(Index i, Index j) const { return static_cast<double>(x(i, j)); }
};

/// strips(s, j) = the entries of column j in strip s, each multiplied by `scale` before squaring.
template <class Source>
__global__ void summarise_strips(Source source, Index rows, Index cols, double scale, Summary* strips) {
    for_each_entry(ceil_divide(rows, strip_rows), cols, [&](Index strip, Index j) {
        Summary sum{0, 0, 0, true};
        const Index end = rows < (strip + 1) * strip_rows ? rows : (strip + 1) * strip_rows;
        for (Index i = strip * strip_rows; i < end; ++i) {
            const double value = source(i, j), scaled = value * scale;
            sum = Join()(sum, {scaled * scaled, fabs(value), fabs(value), isfinite(value)});
        }
        strips[strip * cols + j] = sum;
    });
}

/// The first `cols` summaries become those of whole columns.
__global__ void join_strips(Summary* strips, Index count, Index cols) {
    for_each_entry(1, cols, [&](Index, Index j) {
        for (Index strip = 1; strip < count; ++strip) strips[j] = Join()(strips[j], strips[strip * cols + j]);
    });
}

void join_columns(Context& context, const Summary* columns, Index cols, Summary* result) {
    const Summary none{0, 0, 0, true};
    std::size_t bytes = 0;
    check(cub::DeviceReduce::Reduce(nullptr, bytes, columns, result, cols, JoinColumns(), none, context.stream()),
          "cub::DeviceReduce::Reduce");
    const Buffer work(context, bytes);
    check(cub::DeviceReduce::Reduce(work.as<void>(), bytes, columns, result, cols, JoinColumns(), none, context.stream()),
          "cub::DeviceReduce::Reduce");
}

template <class Source>
Summary summarise(Context& context, const Source& source, Index rows, Index cols, double scale) {
    const Index strips = ceil_divide(rows, strip_rows);
    const Buffer parts(context, strips * cols * sizeof(Summary)), total(context, sizeof(Summary));
    context.launch("summarise_strips", entries_shape(strips, cols), summarise_strips<Source>, source, rows, cols, scale,
                   parts.as<Summary>());
    context.launch("join_strips", entries_shape(1, cols), join_strips, parts.as<Summary>(), strips, cols);
    join_columns(context, parts.as<Summary>(), cols, total.as<Summary>());
    Summary result;
    check(cudaMemcpyAsync(&result, total.as<Summary>(), sizeof result, cudaMemcpyDeviceToHost, context.stream()), "cudaMemcpyAsync");
    context.synchronize();
    return result;
}

template <class Source>
Norms norms_of(Context& context, const Source& source, Index rows, Index cols) {
    if (rows == 0 || cols == 0) return {};
    Summary all = summarise(context, source, rows, cols, 1);
    double unit = 1;
    if (all.finite && all.max_abs > 0 && (all.max_abs > largest_square_safe || all.max_abs < smallest_square_safe)) {
        unit = std::ldexp(1.0, std::ilogb(all.max_abs));
        all = summarise(context, source, rows, cols, 1 / unit);
    }
    return {unit * std::sqrt(all.squares), all.max_abs, all.absolute_sum, all.finite};
}

}  // namespace

template <class Real>
Norms CudaNorms<Real>::norms(ConstMatrixView<Real> x) {
    return norms_of(this->context(), Entries<Real>{x}, x.rows(), x.cols());
}

template <class Real>
Norms CudaNorms<Real>::difference_norms(ConstMatrixView<Real> x, ConstMatrixView<Real> y) {
    return norms_of(this->context(), Difference<Real>{x, y}, x.rows(), x.cols());
}

template class CudaNorms<float>;
template class CudaNorms<double>;

}  // namespace ntk::cuda

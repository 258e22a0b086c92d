// Norms of a matrix or of a difference.

#include "column_reduction.hpp"
#include "cuda_backend.hpp"

#include <cmath>

namespace ntk::cuda {
namespace {

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

/// Entries are multiplied by `scale` before squaring.
template <class Source>
struct Look {
    Source source;
    double scale;
    __device__ Summary operator()(Index first, Index end, Index j) const {
        Summary sum{0, 0, 0, true};
        for (Index i = first; i < end; ++i) {
            const double value = source(i, j), scaled = value * scale;
            sum = Join()(sum, {scaled * scaled, fabs(value), fabs(value), isfinite(value)});
        }
        return sum;
    }
};

template <class Source>
Summary summarise(Context& context, const Source& source, Index rows, Index cols, double scale) {
    return reduce_columns(context, Look<Source>{source, scale}, Join(), JoinColumns(), Summary{0, 0, 0, true}, rows, cols);
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

#include "half_angle_tiles.hpp"
#include "host_backend.hpp"
#include "pair_tiles.hpp"

#include <ntkcuda/formulas/octave_series.hpp>

namespace ntk {

template <class Real>
void HostHalfAngle<Real>::half_angle_tangents(ConstMatrixView<Real> x1, ConstMatrixView<Real> x2, Triangle triangle, MatrixView<Real> out) {
    for_each_pair_tile(this->threads(), x1, x2, triangle, out, [](Index) { return half_angle_tile_variants().back(); });
}

namespace {

/// Values whose series are summed together: independent chains, one term after the other.
constexpr Index block = 64;

template <class Real>
void evaluate_block(const OctaveSeries& series, const Real* t, Index count, Real* out) {
    formulas::OctavePoint point[block];
    const double* row[block];
    double x[block], newer[block] = {}, older[block] = {};
    for (Index b = 0; b < count; ++b) {
        point[b] = formulas::octave_point(series, static_cast<double>(t[b]));
        row[b] = series.coefficients + std::max<Index>(0, point[b].row) * series.terms;
        x[b] = point[b].x;
    }
    for (Index k = series.terms - 1; k > 0; --k)
        for (Index b = 0; b < count; ++b) {
            formulas::Clenshaw sum{newer[b], older[b]};
            sum.step(row[b][k], x[b]);
            newer[b] = sum.newer;
            older[b] = sum.older;
        }
    for (Index b = 0; b < count; ++b)
        out[b] = static_cast<Real>(point[b].row < 0 ? x[b] : formulas::Clenshaw{newer[b], older[b]}.value(row[b][0], x[b]));
}

}  // namespace

template <class Real>
void HostHalfAngle<Real>::evaluate_series(const OctaveSeries& series, ConstMatrixView<Real> t, Triangle triangle, MatrixView<Real> out) {
    for_each_row_piece(this->threads(), out.rows(), out.cols(), [=](Index i, Index first, Index last) {
        const Real* from = row_of(t, i);
        Real* to = row_of(out, i);
        const Index end = triangle == Triangle::lower ? std::min(last, i + 1) : last;
        for (Index j = first; j < end; j += block) evaluate_block(series, from + j, std::min(block, end - j), to + j);
    });
}

template class HostHalfAngle<float>;
template class HostHalfAngle<double>;

}  // namespace ntk

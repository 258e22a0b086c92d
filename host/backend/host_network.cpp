#include "host_backend.hpp"
#include "normal_blocks.hpp"
#include "tiles.hpp"

#include <ntkcuda/formulas/activation.hpp>

#include <type_traits>

namespace ntk {

template <class Real>
void HostNetwork<Real>::draw_normals(NormalStream stream, double scale, MatrixView<Real> x) {
    constexpr Index chunk = 4096;  // elements; a multiple of the 4 of a block
    const Index elements = x.size();
#pragma omp parallel for num_threads(this->threads()) schedule(static) if (elements > chunk)
    for (Index start = 0; start < elements; start += chunk) {
        float normals[chunk];
        const Index count = std::min(chunk, elements - start);
        fill_normal_blocks(stream, static_cast<std::uint64_t>(start / 4), (count + 3) / 4, normals);
        Index i = start / x.cols(), j = start % x.cols();
        for (Index e = 0; e < count; ++i, j = 0) {
            Real* row = row_of(x, i) + j;
            const Index piece = std::min(count - e, x.cols() - j);
            for (Index k = 0; k < piece; ++k) row[k] = static_cast<Real>(scale * static_cast<double>(normals[e + k]));
            e += piece;
        }
    }
}

namespace {

/// Calls f with the kind as a constant, so that its loops have no branch on it.
template <class F>
void with_kind(Activation::Kind kind, const F& f) {
    using Kind = Activation::Kind;
    switch (kind) {
        case Kind::leaky_relu:
            return f(std::integral_constant<Kind, Kind::leaky_relu>());
        case Kind::abs:
            return f(std::integral_constant<Kind, Kind::abs>());
        case Kind::erf:
            return f(std::integral_constant<Kind, Kind::erf>());
    }
}

}  // namespace

template <class Real>
void HostNetwork<Real>::activate(const Activation& activation, ConstMatrixView<Real> z, MatrixView<Real> a) {
    with_kind(activation.kind, [&](auto kind) {
        for_each_row_piece(this->threads(), z.rows(), z.cols(), [=, slope = activation.slope](Index i, Index first, Index last) {
            const Real* from = row_of(z, i);
            Real* to = row_of(a, i);
            for (Index j = first; j < last; ++j) to[j] = static_cast<Real>(formulas::activation(kind, slope, from[j]));
        });
    });
}

template <class Real>
void HostNetwork<Real>::multiply_by_slope(const Activation& activation, ConstMatrixView<Real> z, MatrixView<Real> delta) {
    const Index outputs = z.rows() == 0 ? 1 : delta.rows() / z.rows();
    with_kind(activation.kind, [&](auto kind) {
        for_each_row_piece(this->threads(), delta.rows(), delta.cols(), [=, slope = activation.slope](Index i, Index first, Index last) {
            const Real* at = row_of(z, i / outputs);
            Real* to = row_of(delta, i);
            for (Index j = first; j < last; ++j) to[j] = static_cast<Real>(to[j] * formulas::activation_slope(kind, slope, at[j]));
        });
    });
}

template <class Real>
void HostNetwork<Real>::output_delta(const Activation& activation, ConstMatrixView<Real> w, ConstMatrixView<Real> z,
                                     MatrixView<Real> delta) {
    const Index outputs = w.rows();
    with_kind(activation.kind, [&](auto kind) {
        for_each_row_piece(this->threads(), delta.rows(), delta.cols(), [=, slope = activation.slope](Index i, Index first, Index last) {
            const Real *at = row_of(z, i / outputs), *weight = row_of(w, i % outputs);
            Real* to = row_of(delta, i);
            for (Index j = first; j < last; ++j) to[j] = static_cast<Real>(weight[j] * formulas::activation_slope(kind, slope, at[j]));
        });
    });
}

template class HostNetwork<float>;
template class HostNetwork<double>;

}  // namespace ntk

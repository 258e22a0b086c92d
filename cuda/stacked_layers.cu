// Layers of a batch of networks: a thread an entry (a Philox block of four in draw, a warp a row in squared_norms).

#include "stacked_layers.hpp"

#include <ntkcuda/formulas/activation.hpp>
#include <ntkcuda/formulas/normals.hpp>

namespace ntk::cuda {
namespace {

constexpr Index block_normals = 4;

template <class T>
__global__ void draw_kernel(NormalStream stream, double scale, Stack<T> x) {
    const Index elements = x.rows * x.cols;
    for_each_entry(x.count, ceil_divide(elements, block_normals), [&](Index network, Index block) {
        const formulas::Normals4 normals = formulas::normals_of_block(stream.seed, stream.network + static_cast<std::uint32_t>(network),
                                                                      stream.stream, static_cast<std::uint64_t>(block));
        const Index first = block * block_normals;
        Index i = first / x.cols, j = first % x.cols;
        for (int k = 0; k < block_normals && first + k < elements; ++k) {
            x(network, i, j) = static_cast<T>(scale * static_cast<double>(normals.value[k]));
            if (++j == x.cols) ++i, j = 0;
        }
    });
}

template <class T>
__global__ void add_bias_kernel(Stack<const T> bias, Stack<T> z) {
    for_each_stack_entry(z.count, z.rows, z.cols, [&](Index b, Index i, Index j) { z(b, i, j) += bias(b, 0, j); });
}

template <class T>
__global__ void activate_kernel(Activation activation, Stack<T> z, Stack<T> a) {
    for_each_stack_entry(z.count, z.rows, z.cols, [&](Index b, Index i, Index j) {
        const double at = static_cast<double>(z(b, i, j));
        a(b, i, j) = static_cast<T>(formulas::activation(activation.kind, activation.slope, at));
        z(b, i, j) = static_cast<T>(formulas::activation_slope(activation.kind, activation.slope, at));
    });
}

template <class T>
__global__ void output_delta_kernel(Stack<const T> w, Stack<const T> slope, Stack<T> delta) {
    for_each_stack_entry(delta.count, delta.rows, delta.cols,
                         [&](Index b, Index row, Index j) { delta(b, row, j) = w(b, row % w.rows, j) * slope(b, row / w.rows, j); });
}

template <class T>
__global__ void multiply_by_slope_kernel(Stack<const T> slope, Stack<T> delta) {
    const Index outputs = delta.rows / slope.rows;
    for_each_stack_entry(delta.count, delta.rows, delta.cols,
                         [&](Index b, Index row, Index j) { delta(b, row, j) *= slope(b, row / outputs, j); });
}

template <class T>
__global__ void squared_norms_kernel(Stack<const T> x, Stack<T> out) {
    for_each_warp_item(x.count * x.rows, [&](Index item, int lane) {
        const Index b = item / x.rows, i = item % x.rows;
        double sum = 0;
        for (Index j = lane; j < x.cols; j += warp_threads) sum += static_cast<double>(x(b, i, j)) * static_cast<double>(x(b, i, j));
        sum = warp_sum(sum);
        if (lane == 0) out(b, i, 0) = static_cast<T>(sum);
    });
}

template <class T, class Real>
__global__ void tangent_kernel(Block block, Index outputs, LayerTerm term, Stack<const T> samples, Stack<const T> deltas,
                               DeviceMatrix<Real> out, Index entries, Index term_column, bool first) {
    for_each_entry(out.rows, entries, [&](Index b, Index e) {
        const auto [sample, delta] = tangent_entry(block, outputs, e);
        T product = equal_outputs(block, outputs, delta) ? 1 : 0;
        if (deltas.data) product = deltas(b, delta.row, block == Block::diag ? 0 : delta.col);
        const T value = (static_cast<T>(term.scale) * samples(b, sample.row, sample.col) + static_cast<T>(term.shift)) * product;
        out(b, e) = static_cast<Real>(first ? value : static_cast<T>(out(b, e)) + value);
        if (term_column >= 0) out(b, term_column + e) = static_cast<Real>(value);
    });
}

template <class T, class Real>
__global__ void nngp_kernel(LayerTerm term, Stack<const T> samples, DeviceMatrix<Real> out) {
    for_each_entry(out.rows, out.cols, [&](Index b, Index e) {
        const auto entry = lower_entry(e);
        out(b, e) = static_cast<Real>(static_cast<T>(term.scale) * samples(b, entry.row, entry.col) + static_cast<T>(term.shift));
    });
}

}  // namespace

template <class T>
void draw(Context& context, NormalStream stream, double scale, Stack<T> x) {
    context.launch("draw", entries_shape(x.count, ceil_divide(x.rows * x.cols, block_normals)), draw_kernel<T>, stream, scale, x);
}

template <class T>
void add_bias(Context& context, std::type_identity_t<Stack<const T>> bias, Stack<T> z) {
    context.launch("add_bias", stack_shape(z), add_bias_kernel<T>, bias, z);
}

template <class T>
void activate(Context& context, const Activation& activation, Stack<T> z, Stack<T> a) {
    context.launch("activate", stack_shape(z), activate_kernel<T>, activation, z, a);
}

template <class T>
void output_delta(Context& context, std::type_identity_t<Stack<const T>> w, std::type_identity_t<Stack<const T>> slope, Stack<T> delta) {
    context.launch("output_delta", stack_shape(delta), output_delta_kernel<T>, w, slope, delta);
}

template <class T>
void multiply_by_slope(Context& context, std::type_identity_t<Stack<const T>> slope, Stack<T> delta) {
    context.launch("multiply_by_slope", stack_shape(delta), multiply_by_slope_kernel<T>, slope, delta);
}

template <class T>
void squared_norms(Context& context, std::type_identity_t<Stack<const T>> x, Stack<T> out) {
    context.launch("squared_norms", warps_shape(x.count * x.rows), squared_norms_kernel<T>, x, out);
}

template <class T, class Real>
void add_tangent_term(Context& context, Block block, Index outputs, LayerTerm term, std::type_identity_t<Stack<const T>> samples,
                      Stack<T> deltas, const TermTarget<Real>& target) {
    context.launch("tangent", entries_shape(target.out.rows(), target.entries), tangent_kernel<T, Real>, block, outputs, term, samples,
                   deltas, target.out, target.entries, target.term, target.first);
}

template <class T, class Real>
void store_nngp(Context& context, LayerTerm term, Stack<T> samples, MatrixView<Real> out) {
    context.launch("nngp", entries_shape(out.rows(), out.cols()), nngp_kernel<T, Real>, term, samples, out);
}

#define NTKCUDA_INSTANTIATE(T)                                                      \
    template void draw(Context&, NormalStream, double, Stack<T>);                   \
    template void add_bias(Context&, Stack<const T>, Stack<T>);                     \
    template void activate(Context&, const Activation&, Stack<T>, Stack<T>);        \
    template void output_delta(Context&, Stack<const T>, Stack<const T>, Stack<T>); \
    template void multiply_by_slope(Context&, Stack<const T>, Stack<T>);            \
    template void squared_norms(Context&, Stack<const T>, Stack<T>)
NTKCUDA_INSTANTIATE(float);
NTKCUDA_INSTANTIATE(double);
#undef NTKCUDA_INSTANTIATE
#define NTKCUDA_INSTANTIATE(T, Real)                                                                                      \
    template void add_tangent_term(Context&, Block, Index, LayerTerm, Stack<const T>, Stack<T>, const TermTarget<Real>&); \
    template void store_nngp(Context&, LayerTerm, Stack<T>, MatrixView<Real>)
NTKCUDA_INSTANTIATE(float, float);
NTKCUDA_INSTANTIATE(double, float);
NTKCUDA_INSTANTIATE(double, double);
#undef NTKCUDA_INSTANTIATE

}  // namespace ntk::cuda

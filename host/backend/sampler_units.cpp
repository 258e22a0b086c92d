#include "sampler_units.hpp"

#include "normal_blocks.hpp"

#include <algorithm>

namespace ntk {
namespace {

/// Units of a row with its zeros.
Index padded(Index units) { return (units + unit_lanes - 1) / unit_lanes * unit_lanes; }

}  // namespace

void UnitWorkspace::place(Arena& arena, const SamplerTask<double>& task) {
    const Index n = task.samples, rows = task.delta_rows(), depth = task.depth(), widest = padded(task.widest_hidden());
    layer.assign(static_cast<std::size_t>(depth + 1), {});
    for (Index l = 1; l < depth; ++l) {
        Layer& at = layer[static_cast<std::size_t>(l)];
        const Index width = padded(task.width(l));
        at.activation = arena.take<double>(n * width);
        at.slope = arena.take<double>(n * width);
        at.normals = arena.take<double>((task.draws_weights(l) ? task.width(l - 1) : n) * width);
    }
    delta = arena.take<double>(rows * widest);
    next = arena.take<double>(rows * widest);
    noise = arena.take<double>(rows * widest);
    sums = arena.take<double>(std::max(rows, n) * std::max(rows, n) * unit_lanes);
    bias = arena.take<double>(widest);
    small.place(arena, task);
}

Index UnitWorkspace::bytes(const SamplerTask<double>& task) {
    Arena arena(nullptr, 1);
    UnitWorkspace().place(arena, task);
    return arena.used();
}

UnitWorkspace::UnitWorkspace(const SamplerTask<double>& task) : memory_(bytes(task)) {
    Arena arena(memory_.get(), 1);
    place(arena, task);
    const HostMatrix<double> gram = task.input_gram();
    std::copy_n(gram.data(), gram.size(), small.layer[0].gram);
}

namespace {

/// The passes over one network, in vectors of `lanes` units, a divisor of unit_lanes.
template <int lanes>
class UnitPass : SmallPass<double, 1> {
public:
    NTK_INLINE UnitPass(const SamplerTask<double>& given, std::uint32_t number, UnitWorkspace& workspace)
        : SmallPass(given, workspace.small), w(workspace), network(number), piece(std::max<Index>(4, 160 / given.samples / 4 * 4)) {}

    NTK_INLINE void run() {
        const Index depth = task.depth();
        std::fill_n(small.kernels, task.layout.tangent, 0.0);
        for (Index l = 1; l < depth; ++l) forward(l);
        for (Index l = depth; l >= 1; --l) {
            if (l < depth) delta_gram(l);
            add_layer(l);
            if (l > 1) backward(l);
        }
        add_nngp();
    }

private:
    NTK_INLINE auto& layer(Index l) { return w.layer[static_cast<std::size_t>(l)]; }

    /// out(i, j) = normal i * cols + j, at i * row_stride + j * col_stride.
    NTK_INLINE void draw(std::uint32_t stream, Index values, Index cols, double* out, Index row_stride, Index col_stride) {
        constexpr Index chunk = 1024;
        float normals[chunk];
        for (Index start = 0, i = 0, j = 0; start < values; start += chunk) {
            const Index count = std::min(chunk, values - start);
            fill_normal_blocks(task.stream(network, stream), static_cast<std::uint64_t>(start / 4), (count + 3) / 4, normals);
            for (Index e = 0; e < count;) {
                const Index part = std::min(count - e, cols - j);
                double* to = out + i * row_stride + j * col_stride;
                if (col_stride == 1)
                    std::copy_n(normals + e, part, to);
                else
                    for (Index k = 0; k < part; ++k) to[k * col_stride] = normals[e + k];
                e += part;
                j += part;
                if (j == cols) j = 0, ++i;
            }
        }
    }
    /// The same in rows of units, with their zeros.
    NTK_INLINE void draw_rows(std::uint32_t stream, Index count, Index units, double* out) {
        const Index stride = padded(units);
        draw(stream, count * units, units, out, stride, 1);
        for (Index i = 0; i < count; ++i) std::fill_n(out + i * stride + units, stride - units, 0.0);
    }

    /// out (count x others) = x y^T over the units; with `lower` at least the lower triangle. In pieces of units that stay in the first
    /// cache. The sum of unit_lanes partial sums, each of every unit_lanes-th product, whatever `lanes`.
    template <bool lower>
    NTK_INLINE void reduce(Index count, const double* x, Index others, const double* y, Index stride, double* out) {
        constexpr LaneProduct kind = lower ? LaneProduct::add_lower : LaneProduct::add;
        const Index groups = stride / unit_lanes, partial = count * others * lanes;
        std::fill_n(w.sums, count * others * unit_lanes, 0.0);
        for (Index g = 0; g < groups; g += piece)
            for (Index p = 0; p < parts; ++p) {
                const Index from = g * unit_lanes + p * lanes;
                lane_product<lanes, kind>(count, LaneOperand<double>{x + from, groups * parts, parts}, others,
                                          LaneOperand<double>{y + from, groups * parts, parts}, std::min(piece, groups - g),
                                          w.sums + p * partial, others);
            }
        for (Index i = 0; i < count; ++i)
            for (Index j = 0; j < (lower ? i + 1 : others); ++j) {
                double s[unit_lanes];
                for (Index p = 0; p < parts; ++p) std::copy_n(w.sums + p * partial + (i * others + j) * lanes, lanes, s + p * lanes);
                out[i * others + j] = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
            }
    }

    /// out (count rows of units) = or += x y with x (count x terms), lower triangular or not, and y `terms` rows of units.
    template <LaneProduct kind, bool lower>
    NTK_INLINE void expand(Index count, Broadcast<double> x, Index terms, const double* y, Index stride, double* out) {
        const Index vectors = stride / lanes, side = piece * parts;
        for (Index v = 0; v < vectors; v += side) {
            const LaneOperand<double> right{y + v * lanes, 1, vectors};
            const Index cols = std::min(side, vectors - v);
            if constexpr (lower)
                lower_product<lanes, kind>(count, x, cols, right, out + v * lanes, vectors);
            else
                lane_product<lanes, kind>(count, x, cols, right, terms, out + v * lanes, vectors);
        }
    }

    /// a^l, its slopes and its Gram matrix from a^{l-1}.
    NTK_INLINE void forward(Index l) {
        const Index in = task.width(l - 1), out = task.width(l), stride = padded(out);
        const auto& to = layer(l);
        const bool direct = task.draws_weights(l), bias = direct && task.has_bias();
        if (direct) {
            // Weights are drawn where n_{l-1} <= n: W^T has few rows.
            draw(weight_stream(l), out * in, in, to.normals, 1, stride);
            for (Index k = 0; k < in; ++k) std::fill_n(to.normals + k * stride + out, stride - out, 0.0);
            if (bias) draw_rows(bias_stream(l), 1, out, w.bias);
            const Broadcast<double> inputs =
                l == 1 ? Broadcast<double>{task.x.data(), in, 1} : Broadcast<double>{layer(l - 1).activation, padded(in), 1};
            expand<LaneProduct::store, false>(n, inputs, in, to.normals, stride, to.activation);
        } else {
            draw_rows(forward_stream(l), n, out, to.normals);
            factorise_inputs(l);
            expand<LaneProduct::store, true>(n, {small_layer(l).factor, n, 1}, n, to.normals, stride, to.activation);
        }
        const double factor = task.weight_factor(l), bias_std = bias ? task.architecture().bias_std : 0;
        for (Index i = 0; i < n; ++i) {
            double* z = to.activation + i * stride;
            for (Index u = 0; u < stride; ++u) z[u] = factor * z[u] + (bias ? bias_std * w.bias[u] : 0);
        }
        lane_activate<lanes>(task.architecture().activation, n * stride / lanes, to.activation, to.slope);
        reduce<true>(n, to.activation, n, to.activation, stride, small_layer(l).gram);
    }

    /// delta^{l-1} from delta^l, l > 1.
    NTK_INLINE void backward(Index l) {
        const Index in = task.width(l - 1), out = task.width(l), outputs = task.outputs();
        const Index stride = padded(in), out_stride = padded(out);
        const double* slope = layer(l - 1).slope;
        const double factor = task.weight_factor(l);
        if (l == task.depth()) {
            draw_rows(weight_stream(l), outputs, in, w.noise);
            for (Index r = 0; r < rows; ++r) std::copy_n(w.noise + r % outputs * stride, stride, w.next + r * stride);
        } else if (task.draws_weights(l)) {
            // Few units again: each is a sum over those of layer l.
            std::fill_n(w.next, rows * stride, 0.0);
            reduce<false>(rows, w.delta, in, layer(l).normals, out_stride, small.mean);
            for (Index r = 0; r < rows; ++r) std::copy_n(small.mean + r * in, in, w.next + r * stride);
        } else {
            draw_rows(backward_stream(l), rows, in, w.noise);
            if (task.has_bias()) fill_normal_blocks(task.stream(network, backward_bias_stream(l)), 0, (rows + 3) / 4, small.noise_bias);
            if (!knows_delta_gram()) reduce<true>(rows, w.delta, rows, w.delta, out_stride, small.delta_factor);
            cholesky(rows, knows_delta_gram() ? small.delta_gram : small.delta_factor, 0, small.delta_factor, small.delta_inverse_pivot);
            reduce<false>(n, layer(l - 1).activation, rows, w.noise, stride, small.noise);
            reduce<false>(n, layer(l).normals, rows, w.delta, out_stride, small.mean);
            solve_backward(l);
            expand<LaneProduct::store, false>(rows, {small.mean, 1, rows}, n, layer(l - 1).activation, stride, w.next);
            expand<LaneProduct::add, true>(rows, {small.delta_factor, rows, 1}, rows, w.noise, stride, w.next);
        }
        for (Index r = 0; r < rows; ++r) {
            double* to = w.next + r * stride;
            const double* at_sample = slope + r / outputs * stride;
            for (Index u = 0; u < stride; ++u) to[u] *= factor * at_sample[u];
        }
        std::swap(w.delta, w.next);
    }

    NTK_INLINE void delta_gram(Index l) {
        const Index stride = padded(task.width(l));
        const Block block = task.options.block;
        if (block == Block::diag)
            for (Index r = 0; r < rows; ++r) reduce<false>(1, w.delta + r * stride, 1, w.delta + r * stride, stride, small.delta_gram + r);
        else if (block == Block::full)
            reduce<true>(rows, w.delta, rows, w.delta, stride, small.delta_gram);
        else
            reduce<true>(n, w.delta, n, w.delta, task.outputs() * stride, small.delta_gram);
    }

    static constexpr Index parts = unit_lanes / lanes;

    UnitWorkspace& w;
    const std::uint32_t network;
    const Index piece;  ///< of each row a product takes so many times unit_lanes units at a time: about 10 KiB of a factor
};

void run_baseline(const SamplerTask<double>& task, std::uint32_t network, UnitWorkspace& workspace) {
    UnitPass<2>(task, network, workspace).run();
}
NTK_AVX2 void run_avx2(const SamplerTask<double>& task, std::uint32_t network, UnitWorkspace& workspace) {
    UnitPass<4>(task, network, workspace).run();
}
NTK_AVX512 void run_avx512(const SamplerTask<double>& task, std::uint32_t network, UnitWorkspace& workspace) {
    UnitPass<8>(task, network, workspace).run();
}

}  // namespace

const std::vector<UnitSampler>& unit_sampler_variants() {
    static const std::vector<UnitSampler> variants = runnable_variants<UnitSampler>(run_baseline, run_avx2, run_avx512);
    return variants;
}

}  // namespace ntk

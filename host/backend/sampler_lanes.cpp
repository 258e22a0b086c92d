#include "sampler_lanes.hpp"

#include "normal_blocks.hpp"

#include <algorithm>

namespace ntk {

template <class Real>
void LaneWorkspace<Real>::place(Arena& arena, const SamplerTask<Real>& task) {
    const Index n = task.samples, rows = task.delta_rows(), depth = task.depth(), widest = task.widest_hidden();
    layer.assign(static_cast<std::size_t>(depth + 1), {});
    for (Index l = 0; l <= depth; ++l) {
        Layer& at = layer[static_cast<std::size_t>(l)];
        const Index width = task.width(l);
        if (l < depth) at.activation = arena.take<Real>(n * width);
        if (l == 0) continue;
        if (l < depth) at.slope = arena.take<Real>(n * width);
        at.normals = arena.take<float>(whole_normal_blocks(width * (task.draws_weights(l) ? task.width(l - 1) : n)));
        if (task.draws_weights(l) && l < depth) at.bias_normals = arena.take<float>(whole_normal_blocks(width));
    }
    delta = arena.take<Real>(rows * widest);
    next = arena.take<Real>(rows * widest);
    if (task.options.sampler == Sampler::conditional) noise_normals = arena.take<float>(whole_normal_blocks(rows * widest));
    small.place(arena, task);
}

template <class Real>
Index LaneWorkspace<Real>::bytes(const SamplerTask<Real>& task, int lanes) {
    Arena arena(nullptr, lanes);
    LaneWorkspace().place(arena, task);
    return arena.used();
}

template <class Real>
LaneWorkspace<Real>::LaneWorkspace(const SamplerTask<Real>& task, int lanes) : memory_(bytes(task, lanes)) {
    Arena arena(memory_.get(), lanes);
    place(arena, task);
    // The inputs are the same in every lane.
    const HostMatrix<Real> gram = task.input_gram();
    for (Index e = 0; e < task.x.size(); ++e) std::fill_n(layer[0].activation + e * lanes, lanes, task.x.data()[e]);
    for (Index e = 0; e < gram.size(); ++e) std::fill_n(small.layer[0].gram + e * lanes, lanes, gram.data()[e]);
}

namespace {

/// The passes over one group of networks.
template <class Real, int lanes>
class LanePass : SmallPass<Real, lanes> {
    using Base = SmallPass<Real, lanes>;
    using Base::at;
    using Base::n;
    using Base::rows;
    using Base::small;
    using Base::task;
    using typename Base::Vector;

public:
    NTK_INLINE LanePass(const SamplerTask<Real>& given, std::uint32_t network, LaneWorkspace<Real>& workspace)
        : Base(given, workspace.small), w(workspace), first(network), fill(normal_block_variants(lanes).back()) {}

    NTK_INLINE void run() {
        const Index depth = task.depth();
        std::fill_n(small.kernels, task.layout.tangent * lanes, Real{0});
        for (Index l = 1; l < depth; ++l) forward(l);
        for (Index l = depth; l >= 1; --l) {
            if (l < depth) delta_gram(l);
            this->add_layer(l);
            if (l > 1) backward(l);
        }
        this->add_nngp();
    }

private:
    NTK_INLINE auto& layer(Index l) { return w.layer[static_cast<std::size_t>(l)]; }
    NTK_INLINE void draw(std::uint32_t stream, Index count, float* out) { fill(task.stream(first, stream), 0, (count + 3) / 4, out); }

    /// a^l, its slopes and its Gram matrix from a^{l-1}.
    NTK_INLINE void forward(Index l) {
        const Index in = task.width(l - 1), out = task.width(l);
        const auto &from = layer(l - 1), &to = layer(l);
        const bool direct = task.draws_weights(l), bias = direct && task.has_bias();
        if (direct) {
            draw(weight_stream(l), out * in, to.normals);
            if (bias) draw(bias_stream(l), out, to.bias_normals);
            lane_product<lanes, LaneProduct::store>(n, LaneOperand<Real>{from.activation, in, 1}, out,
                                                    LaneOperand<float>{to.normals, in, 1}, in, to.activation, out);
        } else {
            draw(forward_stream(l), n * out, to.normals);
            this->factorise_inputs(l);
            lower_product<lanes, LaneProduct::store>(n, LaneOperand<Real>{this->small_layer(l).factor, n, 1}, out,
                                                     LaneOperand<float>{to.normals, 1, out}, to.activation, out);
        }
        const Real factor = static_cast<Real>(task.weight_factor(l)), bias_std = static_cast<Real>(task.architecture().bias_std);
        for (Index i = 0; i < n; ++i)
            for (Index u = 0; u < out; ++u) {
                Vector& z = at(to.activation, i * out + u);
                z *= factor;
                if (bias) z += bias_std * __builtin_convertvector(lanes_at<lanes>(to.bias_normals, u), Vector);
            }
        lane_activate<lanes>(task.architecture().activation, n * out, to.activation, to.slope);
        const LaneOperand<Real> a{to.activation, out, 1};
        lane_product<lanes, LaneProduct::store_lower>(n, a, n, a, out, this->small_layer(l).gram, n);
    }

    /// delta^{l-1} from delta^l, l > 1.
    NTK_INLINE void backward(Index l) {
        const Index in = task.width(l - 1), out = task.width(l), outputs = task.outputs();
        const float* normals = layer(l).normals;
        if (l == task.depth()) {
            draw(weight_stream(l), outputs * in, layer(l).normals);
            for (Index r = 0; r < rows; ++r)
                for (Index u = 0; u < in; ++u)
                    at(w.next, r * in + u) = __builtin_convertvector(lanes_at<lanes>(normals, r % outputs * in + u), Vector);
        } else if (task.draws_weights(l)) {
            lane_product<lanes, LaneProduct::store>(rows, LaneOperand<Real>{w.delta, out, 1}, in, LaneOperand<float>{normals, 1, in}, out,
                                                    w.next, in);
        } else {
            conditional_backward(l);
        }
        const Real factor = static_cast<Real>(task.weight_factor(l));
        for (Index r = 0; r < rows; ++r)
            for (Index u = 0; u < in; ++u) at(w.next, r * in + u) *= factor * lanes_at<lanes>(layer(l - 1).slope, r / outputs * in + u);
        std::swap(w.delta, w.next);
    }

    /// next = (delta G^T - D M Q^T) Q + D M.
    NTK_INLINE void conditional_backward(Index l) {
        const Index in = task.width(l - 1), out = task.width(l);
        const LaneOperand<Real> delta{w.delta, out, 1}, activation{layer(l - 1).activation, in, 1};
        draw(backward_stream(l), rows * in, w.noise_normals);
        if (task.has_bias()) draw(backward_bias_stream(l), rows, small.noise_bias);
        if (!this->knows_delta_gram())
            lane_product<lanes, LaneProduct::store_lower>(rows, delta, rows, delta, out, small.delta_factor, rows);
        this->cholesky(rows, this->knows_delta_gram() ? small.delta_gram : small.delta_factor, 0, small.delta_factor,
                       small.delta_inverse_pivot);
        lane_product<lanes, LaneProduct::store>(n, activation, rows, LaneOperand<float>{w.noise_normals, in, 1}, in, small.noise, rows);
        lane_product<lanes, LaneProduct::store>(n, LaneOperand<float>{layer(l).normals, out, 1}, rows, delta, out, small.mean, rows);
        this->solve_backward(l);
        lane_product<lanes, LaneProduct::store>(rows, LaneOperand<Real>{small.mean, 1, rows}, in,
                                                LaneOperand<Real>{layer(l - 1).activation, 1, in}, n, w.next, in);
        lower_product<lanes, LaneProduct::add>(rows, LaneOperand<Real>{small.delta_factor, rows, 1}, in,
                                               LaneOperand<float>{w.noise_normals, 1, in}, w.next, in);
    }

    NTK_INLINE void delta_gram(Index l) {
        const Index width = task.width(l), length = task.options.block == Block::trace ? task.outputs() * width : width;
        if (task.options.block == Block::diag) {
            for (Index r = 0; r < rows; ++r) {
                Vector sum{};
                for (Index u = 0; u < width; ++u) sum += at(w.delta, r * width + u) * at(w.delta, r * width + u);
                at(small.delta_gram, r) = sum;
            }
            return;
        }
        const Index count = task.delta_gram_rows();
        const LaneOperand<Real> delta{w.delta, length, 1};
        lane_product<lanes, LaneProduct::store_lower>(count, delta, count, delta, length, small.delta_gram, count);
    }

    LaneWorkspace<Real>& w;
    const std::uint32_t first;
    const FillNormalBlocks fill;
};

/// Lanes of a vector of 128 bits.
template <class Real>
constexpr int narrowest = 16 / sizeof(Real);

template <class Real>
void run_baseline(const SamplerTask<Real>& task, std::uint32_t network, LaneWorkspace<Real>& workspace) {
    LanePass<Real, narrowest<Real>>(task, network, workspace).run();
}
template <class Real>
NTK_AVX2 void run_avx2(const SamplerTask<Real>& task, std::uint32_t network, LaneWorkspace<Real>& workspace) {
    LanePass<Real, 2 * narrowest<Real>>(task, network, workspace).run();
}
template <class Real>
NTK_AVX512 void run_avx512(const SamplerTask<Real>& task, std::uint32_t network, LaneWorkspace<Real>& workspace) {
    LanePass<Real, 4 * narrowest<Real>>(task, network, workspace).run();
}

}  // namespace

template <class Real>
const std::vector<LaneSampler<Real>>& lane_sampler_variants() {
    static const std::vector<LaneSampler<Real>> variants = [] {
        std::vector<LaneSampler<Real>> list;
        for (const auto run : runnable_variants(run_baseline<Real>, run_avx2<Real>, run_avx512<Real>))
            list.push_back({run == run_avx512<Real> ? 4 * narrowest<Real>
                            : run == run_avx2<Real> ? 2 * narrowest<Real>
                                                    : narrowest<Real>,
                            run});
        return list;
    }();
    return variants;
}

template class LaneWorkspace<float>;
template class LaneWorkspace<double>;
template const std::vector<LaneSampler<float>>& lane_sampler_variants();
template const std::vector<LaneSampler<double>>& lane_sampler_variants();

}  // namespace ntk

#include "sampler_lanes.hpp"

#include "lanes.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace ntk {

/// Hands out consecutive arrays; without memory it only counts.
template <class Real>
class LaneWorkspace<Real>::Arena {
public:
    Arena(std::byte* memory, int lanes) : memory_(memory), lanes_(static_cast<std::size_t>(lanes)) {}

    template <class Value>
    Value* take(Index numbers) {
        constexpr std::size_t line = 64;
        std::byte* start = memory_ ? memory_ + used_ : nullptr;
        used_ += (static_cast<std::size_t>(numbers) * lanes_ * sizeof(Value) + line - 1) / line * line;
        return reinterpret_cast<Value*>(start);
    }
    [[nodiscard]] std::size_t used() const { return used_; }

private:
    std::byte* memory_;
    std::size_t lanes_, used_ = 0;
};

namespace {

/// Normals come in blocks of 4.
Index whole_blocks(Index count) { return (count + 3) / 4 * 4; }

}  // namespace

template <class Real>
void LaneWorkspace<Real>::Free::operator()(std::byte* p) const {
    std::free(p);
}

template <class Real>
void LaneWorkspace<Real>::place(Arena& arena, const SamplerTask<Real>& task) {
    const Index n = task.samples, rows = task.delta_rows(), depth = task.depth(), widest = task.widest_hidden();
    layer.assign(static_cast<std::size_t>(depth + 1), {});
    bool conditional = false;
    for (Index l = 0; l <= depth; ++l) {
        Layer& at = layer[static_cast<std::size_t>(l)];
        const Index width = task.width(l);
        if (l < depth) {
            at.activation = arena.template take<Real>(n * width);
            at.gram = arena.template take<Real>(n * n);
        }
        if (l == 0) continue;
        if (l < depth) at.slope = arena.template take<Real>(n * width);
        if (task.draws_weights(l)) {
            at.normals = arena.template take<float>(whole_blocks(width * task.width(l - 1)));
            at.bias_normals = arena.template take<float>(whole_blocks(width));
        } else {
            conditional = true;
            at.normals = arena.template take<float>(whole_blocks(n * width));
            at.factor = arena.template take<Real>(n * n);
            at.inverse_pivot = arena.template take<Real>(n);
        }
    }
    delta = arena.template take<Real>(rows * widest);
    next = arena.template take<Real>(rows * widest);
    delta_gram = arena.template take<Real>(task.options.block == Block::diag ? rows : task.delta_gram_rows() * task.delta_gram_rows());
    kernels = arena.template take<Real>(task.layout.columns());
    if (!conditional) return;
    delta_factor = arena.template take<Real>(rows * rows);
    delta_inverse_pivot = arena.template take<Real>(rows);
    mean = arena.template take<Real>(rows * n);
    noise = arena.template take<Real>(rows * n);
    noise_normals = arena.template take<float>(whole_blocks(rows * widest));
    noise_bias = arena.template take<float>(whole_blocks(rows));
}

template <class Real>
std::size_t LaneWorkspace<Real>::bytes(const SamplerTask<Real>& task, int lanes) {
    Arena arena(nullptr, lanes);
    LaneWorkspace().place(arena, task);
    return arena.used();
}

template <class Real>
LaneWorkspace<Real>::LaneWorkspace(const SamplerTask<Real>& task, int lanes)
    : memory_(static_cast<std::byte*>(std::aligned_alloc(64, bytes(task, lanes)))) {
    if (!memory_) throw std::bad_alloc();
    Arena arena(memory_.get(), lanes);
    place(arena, task);
    // The inputs are the same in every lane.
    const Index n = task.samples, d = task.width(0);
    for (Index e = 0; e < n * d; ++e) std::fill_n(layer[0].activation + e * lanes, lanes, task.x.data()[e]);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j <= i; ++j) {
            Real sum = 0;
            for (Index k = 0; k < d; ++k) sum += task.x(i, k) * task.x(j, k);
            std::fill_n(layer[0].gram + (i * n + j) * lanes, lanes, sum);
        }
}

namespace {

/// The passes over one group of networks.
template <class Real, int lanes>
class LanePass {
public:
    NTK_INLINE LanePass(const SamplerTask<Real>& given, std::uint32_t network, LaneWorkspace<Real>& workspace)
        : task(given),
          w(workspace),
          first(network),
          n(given.samples),
          rows(given.delta_rows()),
          fill(normal_block_variants(lanes).back()) {}

    NTK_INLINE void run() {
        const Index depth = task.depth();
        std::fill_n(w.kernels, task.layout.columns() * lanes, Real{0});
        for (Index l = 1; l < depth; ++l) forward(l);
        for (Index l = depth; l >= 1; --l) {
            add_layer(l);
            if (l > 1) backward(l);
        }
        nngp();
    }

private:
    using Vector = Lanes<Real, lanes>;
    using Layer = typename LaneWorkspace<Real>::Layer;

    NTK_INLINE static Vector& at(Real* array, Index e) { return lanes_at<lanes>(array, e); }
    NTK_INLINE Layer& layer(Index l) { return w.layer[static_cast<std::size_t>(l)]; }
    NTK_INLINE void draw(std::uint32_t stream, Index count, float* out) { fill(task.stream(first, stream), 0, (count + 3) / 4, out); }

    /// a^l, its slopes and its Gram matrix from a^{l-1}.
    NTK_INLINE void forward(Index l) {
        const Index in = task.width(l - 1), out = task.width(l);
        Layer &from = layer(l - 1), &to = layer(l);
        const bool direct = task.draws_weights(l);
        draw_layer(l);
        if (!direct) factorise_inputs(l);
        // H = s A W^T or s C G
        const LaneOperand<Real> left{direct ? from.activation : to.factor, direct ? in : n, 1};
        const LaneOperand<float> right{to.normals, direct ? in : 1, direct ? 1 : out};
        lane_product<lanes, LaneProduct::store>(n, left, out, right, direct ? in : n, to.activation, out);
        const Vector factor = Vector{} + static_cast<Real>(task.weight_factor(l));
        const bool bias = direct && task.has_bias();
        const Real bias_std = static_cast<Real>(task.architecture().bias_std);
        for (Index i = 0; i < n; ++i)
            for (Index u = 0; u < out; ++u) {
                Vector& z = at(to.activation, i * out + u);
                z *= factor;
                if (bias) z += bias_std * __builtin_convertvector(lanes_at<lanes>(to.bias_normals, u), Vector);
            }
        lane_activate<lanes>(task.architecture().activation, n * out, to.activation, to.slope);
        const LaneOperand<Real> a{to.activation, out, 1};
        lane_product<lanes, LaneProduct::lower>(n, a, n, a, out, to.gram, n);
    }

    NTK_INLINE void draw_layer(Index l) {
        const Index out = task.width(l);
        if (!task.draws_weights(l)) return draw(forward_stream(l), n * out, layer(l).normals);
        draw(weight_stream(l), out * task.width(l - 1), layer(l).normals);
        if (l < task.depth() && task.has_bias()) draw(bias_stream(l), out, layer(l).bias_normals);
    }

    /// gram (count x count, stride `count`, lower triangle) = factor factor^T; a row that depends on those before has zeros in its column.
    NTK_INLINE void cholesky(Index count, const Real* gram, Real shift, Real* factor, Real* inverse) {
        const Real tolerance = static_cast<Real>(conditional_pivot_tolerance * static_cast<double>(count));
        for (Index i = 0; i < count; ++i)
            for (Index j = 0; j <= i; ++j) {
                const Vector entry = lanes_at<lanes>(gram, i * count + j) + shift;
                Vector rest = entry;
                for (Index k = 0; k < j; ++k) rest -= at(factor, i * count + k) * at(factor, j * count + k);
                if (j < i) {
                    at(factor, i * count + j) = rest * at(inverse, j);
                    at(factor, j * count + i) = Vector{};
                    continue;
                }
                Real *diagonal = factor + (i * count + i) * lanes, *reciprocal = inverse + i * lanes;
                const Vector bound = tolerance * entry;
                for (int lane = 0; lane < lanes; ++lane) {
                    const bool independent = rest[lane] > bound[lane];
                    const Real root = std::sqrt(independent ? rest[lane] : Real{1});
                    diagonal[lane] = independent ? root : 0;
                    reciprocal[lane] = independent ? 1 / root : 0;
                }
            }
    }

    NTK_INLINE void factorise_inputs(Index l) {
        const Real entry = static_cast<Real>(task.bias_entry(l));
        cholesky(n, layer(l - 1).gram, entry * entry, layer(l).factor, layer(l).inverse_pivot);
    }

    /// delta^{l-1} from delta^l, l > 1.
    NTK_INLINE void backward(Index l) {
        const Index in = task.width(l - 1), out = task.width(l);
        const Vector factor = Vector{} + static_cast<Real>(task.weight_factor(l));
        const Real* slope = layer(l - 1).slope;
        if (l == task.depth()) {
            draw_layer(l);
            for (Index r = 0; r < rows; ++r)
                for (Index u = 0; u < in; ++u)
                    at(w.next, r * in + u) = factor * __builtin_convertvector(lanes_at<lanes>(layer(l).normals, r % out * in + u), Vector);
        } else if (task.draws_weights(l)) {
            const LaneOperand<float> weights{layer(l).normals, 1, in};
            lane_product<lanes, LaneProduct::store>(rows, {w.delta, out, 1}, in, weights, out, w.next, in);
            for (Index e = 0; e < rows * in; ++e) at(w.next, e) *= factor;
        } else {
            conditional_backward(l);
            for (Index e = 0; e < rows * in; ++e) at(w.next, e) *= factor;
        }
        for (Index r = 0; r < rows; ++r)
            for (Index u = 0; u < in; ++u) at(w.next, r * in + u) *= lanes_at<lanes>(slope, r / task.outputs() * in + u);
        std::swap(w.delta, w.next);
    }

    /// next = (delta G^T - D M Q^T) Q + D M, with Q = C^{-1} A never formed.
    NTK_INLINE void conditional_backward(Index l) {
        const Index in = task.width(l - 1), out = task.width(l);
        const Layer& from = layer(l - 1);
        Layer& to = layer(l);
        draw(backward_stream(l), rows * in, w.noise_normals);
        const LaneOperand<Real> delta{w.delta, out, 1}, activation{from.activation, in, 1};
        lane_product<lanes, LaneProduct::lower>(rows, delta, rows, delta, out, w.delta_factor, rows);
        cholesky(rows, w.delta_factor, 0, w.delta_factor, w.delta_inverse_pivot);
        // noise = Q M^T = C^{-1} A M^T (n x n O)
        lane_product<lanes, LaneProduct::store>(n, activation, rows, LaneOperand<float>{w.noise_normals, in, 1}, in, w.noise, rows);
        if (task.has_bias()) {
            draw(backward_bias_stream(l), rows, w.noise_bias);
            const Real entry = static_cast<Real>(task.bias_entry(l));
            for (Index i = 0; i < n; ++i)
                for (Index r = 0; r < rows; ++r)
                    at(w.noise, i * rows + r) += entry * __builtin_convertvector(lanes_at<lanes>(w.noise_bias, r), Vector);
        }
        for (Index i = 0; i < n; ++i)
            for (Index r = 0; r < rows; ++r) {
                Vector rest = at(w.noise, i * rows + r);
                for (Index j = 0; j < i; ++j) rest -= at(to.factor, i * n + j) * at(w.noise, j * rows + r);
                at(w.noise, i * rows + r) = rest * at(to.inverse_pivot, i);
            }
        // mean = delta G^T - D M Q^T, then what it is in rows of A: mean C^{-1} (n O x n)
        lane_product<lanes, LaneProduct::store>(rows, delta, n, LaneOperand<float>{to.normals, out, 1}, out, w.mean, n);
        for (Index r = 0; r < rows; ++r)
            for (Index i = n; i-- > 0;) {
                Vector rest = at(w.mean, r * n + i);
                for (Index k = 0; k <= r; ++k) rest -= at(w.delta_factor, r * rows + k) * at(w.noise, i * rows + k);
                for (Index j = i + 1; j < n; ++j) rest -= at(to.factor, j * n + i) * at(w.mean, r * n + j);
                at(w.mean, r * n + i) = rest * at(to.inverse_pivot, i);
            }
        lane_product<lanes, LaneProduct::store>(rows, {w.mean, n, 1}, in, LaneOperand<Real>{from.activation, 1, in}, n, w.next, in);
        lane_product<lanes, LaneProduct::add>(rows, {w.delta_factor, rows, 1}, in, LaneOperand<float>{w.noise_normals, 1, in}, rows, w.next,
                                              in);
    }

    /// Theta += (s_l <a^{l-1}, a^{l-1}'> + t) <delta^l, delta^l'>.
    NTK_INLINE void add_layer(Index l) {
        const Index outputs = task.outputs(), width = task.width(l);
        const Block block = task.options.block;
        const bool identity = l == task.depth();
        const Real mean = block == Block::trace && !identity ? 1 / static_cast<Real>(outputs) : 1;
        const Vector scale = Vector{} + static_cast<Real>(task.architecture().weight_gradient_variance(l)) * mean,
                     shift = Vector{} + static_cast<Real>(task.architecture().bias_gradient_variance()) * mean;
        Real* term = task.layout.layers ? w.kernels + (task.layout.nngp + l * task.layout.tangent) * lanes : nullptr;
        if (!identity) delta_gram(width);
        const Index r = block == Block::trace ? 1 : outputs, stride = task.delta_gram_rows();
        for (Index i = 0, entry = 0; i < n; ++i)
            for (Index o = 0; o < r; ++o) {
                const Index first_sample = block == Block::diag ? i : 0;
                for (Index j = first_sample; j <= i; ++j) {
                    const Vector product = scale * at(layer(l - 1).gram, i * n + j) + shift;
                    const Index from = block == Block::diag ? o : 0, last = j == i ? o : r - 1;
                    for (Index p = from; p <= last; ++p, ++entry) {
                        Vector value = product;
                        if (identity)
                            value = o == p ? value : Vector{};
                        else
                            value *= at(w.delta_gram, block == Block::diag ? entry : (i * r + o) * stride + j * r + p);
                        at(w.kernels, entry) += value;
                        if (term) at(term, entry) = value;
                    }
                }
            }
    }

    NTK_INLINE void delta_gram(Index width) {
        const Index outputs = task.outputs(), length = task.options.block == Block::trace ? outputs * width : width;
        if (task.options.block == Block::diag) {
            for (Index r = 0; r < rows; ++r) {
                Vector sum{};
                for (Index u = 0; u < width; ++u) sum += at(w.delta, r * width + u) * at(w.delta, r * width + u);
                at(w.delta_gram, r) = sum;
            }
            return;
        }
        const Index count = task.delta_gram_rows();
        const LaneOperand<Real> delta{w.delta, length, 1};
        lane_product<lanes, LaneProduct::lower>(count, delta, count, delta, length, w.delta_gram, count);
    }

    NTK_INLINE void nngp() {
        const double factor = task.weight_factor(task.depth()), bias = task.has_bias() ? task.architecture().bias_std : 0;
        const Vector scale = Vector{} + static_cast<Real>(factor * factor), shift = Vector{} + static_cast<Real>(bias * bias);
        for (Index i = 0, entry = task.layout.tangent; i < n; ++i)
            for (Index j = 0; j <= i; ++j, ++entry) at(w.kernels, entry) = scale * at(layer(task.depth() - 1).gram, i * n + j) + shift;
    }

    const SamplerTask<Real>& task;
    LaneWorkspace<Real>& w;
    const std::uint32_t first;
    const Index n, rows;
    const FillNormalBlocks fill;
};

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
    constexpr int lanes = narrowest<Real>;
    static const std::vector<LaneSampler<Real>> variants = [] {
        std::vector<LaneSampler<Real>> list{{lanes, run_baseline<Real>}};
        const auto runnable = runnable_variants(run_baseline<Real>, run_avx2<Real>, run_avx512<Real>);
        if (runnable.size() > 1) list.push_back({2 * lanes, runnable[1]});
        if (runnable.size() > 2) list.push_back({4 * lanes, runnable[2]});
        return list;
    }();
    return variants;
}

template struct LaneWorkspace<float>;
template struct LaneWorkspace<double>;
template const std::vector<LaneSampler<float>>& lane_sampler_variants();
template const std::vector<LaneSampler<double>>& lane_sampler_variants();

}  // namespace ntk

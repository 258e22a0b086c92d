// Both samplers for networks of any width: every step is one product of stacked matrices (cuBLAS) or one kernel for the whole batch.
// Where the conditional sampler draws preactivations (kernel_sampler.hpp), everything is a product as well, but for two factorisations.

#include "batched_sampler.hpp"

#include "blas.hpp"
#include "semidefinite.hpp"
#include "stacked_layers.hpp"

#include <cmath>
#include <vector>

namespace ntk::cuda {
namespace {

template <class From, class T>
__global__ void convert_kernel(DeviceMatrix<const From> from, DeviceMatrix<T> to) {
    for_each_entry(to.rows, to.cols, [&](Index i, Index j) { to(i, j) = static_cast<T>(from(i, j)); });
}

/// A stack that is planned before the size of the batch is known, and then given memory.
template <class T>
class PlannedStack {
public:
    explicit PlannedStack(Context& context) : memory_(context) {}
    /// Room for a matrix of each network.
    void plan(Index rows, Index cols) {
        rows_ = rows;
        cols_ = cols;
    }
    [[nodiscard]] Index elements() const { return rows_ * cols_; }
    void allocate(Index count) {
        count_ = count;
        memory_.reserve(count * elements() * sizeof(T));
    }
    [[nodiscard]] Stack<T> stack() const { return {memory_.template as<T>(), count_, rows_, cols_}; }
    /// A smaller matrix in the same memory.
    [[nodiscard]] Stack<T> stack(Index rows, Index cols) const { return stack().reshaped(rows, cols); }

private:
    Buffer memory_;
    Index rows_ = 0, cols_ = 0, count_ = 0;
};

/// What is kept of layer l from the forward to the backward pass.
template <class T>
struct StackedLayer {
    explicit StackedLayer(Context& context)
        : gram(context), weight(context), bias(context), factor(context), normals(context), slope(context), activation(context) {}
    PlannedStack<T> gram;               ///< of a^{l-1}, n x n
    PlannedStack<T> weight, bias;       ///< of a layer whose weights are drawn
    PlannedStack<T> factor, normals;    ///< C (n x n) and G (n x n_l) of one whose preactivations are
    PlannedStack<T> slope, activation;  ///< phi'(z^l) and a^l (n x n_l) of a hidden layer
};

template <class T, class Real>
class BatchedSampler final : public CheckedSampler<Real> {
public:
    BatchedSampler(Context& context, std::shared_ptr<Backend<Real>> backend, const KernelSamplerOptions& options, ConstMatrixView<Real> x,
                   const BatchLimits& limits)
        : CheckedSampler<Real>(std::move(backend), options, x),
          context_(context),
          inputs_(context),
          delta_(context),
          next_delta_(context),
          products_(context),
          backward_normals_(context),
          rows_(context),
          along_normals_(context),
          along_rows_(context) {
        plan();
        const Index bytes = elements_ * static_cast<Index>(sizeof(T));
        batch_ = std::min({limits.bytes / bytes, limits.networks, limits.entries / this->layout().columns()});
        batch_ = std::max<Index>(batch_, 1);
        for_each_stack([&](PlannedStack<T>& stack) { stack.allocate(batch_); });
        look_at_inputs();
    }

private:
    [[nodiscard]] const Architecture& architecture() const { return this->options().architecture; }
    [[nodiscard]] Index depth() const { return architecture().depth(); }
    [[nodiscard]] Index samples() const { return this->inputs().rows(); }
    [[nodiscard]] Index delta_rows() const { return samples() * architecture().outputs; }
    [[nodiscard]] bool has_biases() const { return architecture().biases != Biases::none; }
    /// Whether the preactivations of layer l are drawn, not its weights.
    [[nodiscard]] bool conditional(Index l) const {
        return this->options().sampler == Sampler::conditional && l < depth() && architecture().width(l - 1) > samples();
    }
    [[nodiscard]] double weight_factor(Index l) const {
        return architecture().weight_std / std::sqrt(static_cast<double>(architecture().width(l - 1)));
    }
    /// The entry of the column of A that stands for the biases of layer l.
    [[nodiscard]] double bias_entry(Index l) const { return has_biases() ? architecture().bias_std / weight_factor(l) : 0; }
    [[nodiscard]] StackedLayer<T>& layer(Index l) { return *layers_[static_cast<std::size_t>(l - 1)]; }

    template <class F>
    void for_each_stack(F f) {
        for (const auto& l : layers_)
            for (PlannedStack<T>* stack : {&l->gram, &l->weight, &l->bias, &l->factor, &l->normals, &l->slope, &l->activation}) f(*stack);
        for (PlannedStack<T>* stack : {&delta_, &next_delta_, &products_, &backward_normals_, &rows_, &along_normals_, &along_rows_})
            f(*stack);
    }

    void plan() {
        const Index n = samples(), bias = has_biases() ? 1 : 0;
        Index widest = 0, widest_conditional = -1;
        for (Index l = 1; l <= depth(); ++l) {
            layers_.push_back(std::make_unique<StackedLayer<T>>(context_));
            const Index inputs = architecture().width(l - 1), units = architecture().width(l);
            layer(l).gram.plan(n, n);
            if (conditional(l)) {
                layer(l).factor.plan(n, n);
                layer(l).normals.plan(n, units);
                if (l > 1) widest_conditional = std::max(widest_conditional, inputs);
            } else {
                layer(l).weight.plan(units, inputs);
                if (has_biases()) layer(l).bias.plan(1, units);
            }
            if (l == depth()) break;
            layer(l).slope.plan(n, units);
            layer(l).activation.plan(n, units);
            widest = std::max(widest, units);
        }
        delta_.plan(delta_rows(), widest);
        next_delta_.plan(delta_rows(), widest);
        if (widest_conditional >= 0) {
            backward_normals_.plan(delta_rows(), widest_conditional + bias);
            rows_.plan(n, widest_conditional + bias);
            along_normals_.plan(delta_rows(), n);
            along_rows_.plan(delta_rows(), n);
        }
        const Block block = this->options().block;
        if (block == Block::full || widest_conditional >= 0) {
            products_.plan(delta_rows(), delta_rows());
        } else {
            products_.plan(delta_rows(), block == Block::diag ? 1 : n);
        }
        for_each_stack([&](const PlannedStack<T>& stack) { elements_ += stack.elements(); });
    }

    /// What of the first layer is the same for all networks.
    void look_at_inputs() {
        const Index n = samples(), d = architecture().inputs;
        inputs_.reserve(n * d * sizeof(T));
        context_.launch("convert", entries_shape(n, d), convert_kernel<Real, T>, this->inputs(), MatrixView<T>(inputs_.as<T>(), n, d));
        const Stack<T> x(inputs_.as<T>(), 1, n, d), gram(layer(1).gram.stack().data, 1, n, n);
        gemm(context_, Transpose::no, Transpose::yes, T{1}, x, x, T{0}, gram);
        if constexpr (std::is_same_v<T, double>)
            if (conditional(1)) factorise(1, gram, {layer(1).factor.stack().data, 1, n, n});
    }

    /// The stack of layer l, or the first matrix of it for all networks where it depends on the inputs alone.
    [[nodiscard]] Stack<T> of_inputs(Index l, const Stack<T>& stack) const {
        return l == 1 ? Stack<T>::shared(stack.data, batch_, stack.rows, stack.cols) : stack;
    }
    [[nodiscard]] Stack<T> gram(Index l) { return of_inputs(l, layer(l).gram.stack()); }
    [[nodiscard]] Stack<T> factor(Index l) { return of_inputs(l, layer(l).factor.stack()); }
    /// a^{l-1}.
    [[nodiscard]] Stack<T> input(Index l) {
        if (l > 1) return layer(l - 1).activation.stack();
        return Stack<T>::shared(inputs_.as<T>(), batch_, samples(), architecture().inputs);
    }

    void factorise(Index l, Stack<T> gram, Stack<T> factor) {
        if constexpr (std::is_same_v<T, double>) {
            const double entry = bias_entry(l);
            semidefinite_cholesky(context_, gram, entry * entry, factor);
        }
    }

    void sample_checked(std::uint32_t first, MatrixView<Real> out) override {
        context_.make_current();
        for (Index row = 0; row < out.rows(); row += batch_) {
            // Always a whole batch, also where fewer networks are left.
            forward(first + static_cast<std::uint32_t>(row));
            backward(first + static_cast<std::uint32_t>(row), out.row_range(row, std::min(batch_, out.rows() - row)));
        }
    }

    void draw_weights(std::uint32_t first, Index l) {
        const std::uint64_t seed = this->options().seed;
        draw(context_, {seed, first, weight_stream(l)}, weight_factor(l), layer(l).weight.stack());
        if (has_biases() && l < depth()) draw(context_, {seed, first, bias_stream(l)}, architecture().bias_std, layer(l).bias.stack());
    }

    void forward(std::uint32_t first) {
        for (Index l = 1; l < depth(); ++l) {
            const Stack<T> z = layer(l).slope.stack(), a = layer(l).activation.stack();
            if (conditional(l)) {
                const Stack<T> normals = layer(l).normals.stack();
                draw(context_, {this->options().seed, first, forward_stream(l)}, 1, normals);
                gemm(context_, Transpose::no, Transpose::no, static_cast<T>(weight_factor(l)), factor(l), normals, T{0}, z);
            } else {
                draw_weights(first, l);
                gemm(context_, Transpose::no, Transpose::yes, T{1}, input(l), layer(l).weight.stack(), T{0}, z);
                if (has_biases()) add_bias(context_, layer(l).bias.stack(), z);
            }
            activate(context_, architecture().activation, z, a);
            gemm(context_, Transpose::no, Transpose::yes, T{1}, a, a, T{0}, layer(l + 1).gram.stack());
            if (conditional(l + 1)) factorise(l + 1, layer(l + 1).gram.stack(), layer(l + 1).factor.stack());
        }
        draw_weights(first, depth());
    }

    void backward(std::uint32_t first, MatrixView<Real> out) {
        store_nngp(context_, nngp_term(architecture()), gram(depth()), out.col_range(this->layout().tangent, this->layout().nngp));
        add_term(depth(), Stack<T>(nullptr, 0, 0, 0), out);
        if (depth() == 1) return;
        Stack<T> delta = delta_.stack(delta_rows(), architecture().width(depth() - 1));
        output_delta(context_, layer(depth()).weight.stack(), layer(depth() - 1).slope.stack(), delta);
        for (Index l = depth() - 1; l >= 1; --l) {
            add_term(l, delta_products(delta), out);
            if (l == 1) break;
            T* const memory = delta.data == delta_.stack().data ? next_delta_.stack().data : delta_.stack().data;
            const Stack<T> below(memory, batch_, delta_rows(), architecture().width(l - 1));
            if (conditional(l)) {
                conditional_step(first, l, delta, below);
            } else {
                gemm(context_, Transpose::no, Transpose::no, T{1}, delta, layer(l).weight.stack(), T{0}, below);
            }
            multiply_by_slope(context_, layer(l - 1).slope.stack(), below);
            delta = below;
        }
    }

    void add_term(Index l, Stack<T> products, MatrixView<Real> out) {
        const KernelLayout layout = this->layout();
        const Index term = layout.layers > 0 ? layout.nngp + l * layout.tangent : -1;
        add_tangent_term(context_, this->options().block, architecture().outputs, layer_term(this->options(), l), gram(l), products,
                         TermTarget<Real>{out, layout.tangent, term, l == depth()});
    }

    /// delta delta^T in the form of the block.
    Stack<T> delta_products(const Stack<T>& delta) {
        const Index n = samples();
        if (this->options().block == Block::diag) {
            const Stack<T> norms = products_.stack(delta_rows(), 1);
            squared_norms(context_, delta, norms);
            return norms;
        }
        const bool full = this->options().block == Block::full;
        const Stack<T> rows = full ? delta : delta.reshaped(n, architecture().outputs * delta.cols);
        const Stack<T> products = products_.stack(rows.rows, rows.rows);
        gemm(context_, Transpose::no, Transpose::yes, T{1}, rows, rows, T{0}, products);
        return products;
    }

    /// below = delta W given the forward pass: s [(delta G^T - D M Q^T) Q + D M].
    void conditional_step(std::uint32_t first, Index l, const Stack<T>& delta, const Stack<T>& below) {
        if constexpr (std::is_same_v<T, double>) {
            const Index n = samples(), inputs = architecture().width(l - 1), columns = inputs + (has_biases() ? 1 : 0);
            const std::uint64_t seed = this->options().seed;
            const Stack<T> d = products_.stack(delta_rows(), delta_rows());
            gemm(context_, Transpose::no, Transpose::yes, T{1}, delta, delta, T{0}, d);
            semidefinite_cholesky(context_, d, 0, d);
            const Stack<T> m = backward_normals_.stack(delta_rows(), columns);
            draw(context_, {seed, first, backward_stream(l)}, 1, m.columns(0, inputs));
            if (has_biases()) draw(context_, {seed, first, backward_bias_stream(l)}, 1, m.columns(inputs, 1));
            const Stack<T> q = rows_.stack(n, columns);
            orthonormal_rows(context_, factor(l), input(l), bias_entry(l), q);
            const Stack<T> along_q = along_rows_.stack(), known = along_normals_.stack();
            gemm(context_, Transpose::no, Transpose::yes, T{1}, m, q, T{0}, along_q);
            gemm(context_, Transpose::no, Transpose::yes, T{1}, delta, layer(l).normals.stack(), T{0}, known);
            gemm(context_, Transpose::no, Transpose::no, T{-1}, d, along_q, T{1}, known);
            const T s = weight_factor(l);
            gemm(context_, Transpose::no, Transpose::no, s, known, q.columns(0, inputs), T{0}, below);
            gemm(context_, Transpose::no, Transpose::no, s, d, m.columns(0, inputs), T{1}, below);
        }
    }

    Context& context_;
    std::vector<std::unique_ptr<StackedLayer<T>>> layers_;
    Buffer inputs_;                               ///< a^0 in T
    PlannedStack<T> delta_, next_delta_;          ///< n O x n_l
    PlannedStack<T> products_;                    ///< delta delta^T, or its factor D
    PlannedStack<T> backward_normals_, rows_;     ///< M (n O x n_{l-1}, and a column for the biases) and Q (n x the same)
    PlannedStack<T> along_normals_, along_rows_;  ///< delta G^T and M Q^T (n O x n)
    Index elements_ = 0, batch_ = 0;
};

}  // namespace

template <class T, class Real>
std::unique_ptr<KernelSampler<Real>> make_batched_sampler(Context& context, std::shared_ptr<Backend<Real>> backend,
                                                          const KernelSamplerOptions& options, ConstMatrixView<Real> x,
                                                          const BatchLimits& limits) {
    return std::make_unique<BatchedSampler<T, Real>>(context, std::move(backend), options, x, limits);
}

#define NTKCUDA_INSTANTIATE(T, Real)                                             \
    template std::unique_ptr<KernelSampler<Real>> make_batched_sampler<T, Real>( \
        Context&, std::shared_ptr<Backend<Real>>, const KernelSamplerOptions&, ConstMatrixView<Real>, const BatchLimits&)
NTKCUDA_INSTANTIATE(float, float);
NTKCUDA_INSTANTIATE(double, float);
NTKCUDA_INSTANTIATE(double, double);
#undef NTKCUDA_INSTANTIATE

}  // namespace ntk::cuda

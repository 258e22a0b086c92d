#include <ntkcuda/kernel_operator.hpp>

#include "backward_pass.hpp"
#include "rank_sum.hpp"

#include <ntkcuda/propagate.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace ntk {
namespace {

/// Samples whose columns are asked for at a time, as far as the plan is concerned.
constexpr Index column_samples = 128;

/// One layer of the sum (scale <a, a'> + shift) <d, d'>, with d of `units` numbers a sample; 1 unit at the output layer, where d is 1.
struct Term {
    Index layer = 0, units = 0, inputs = 0;
    double scale = 0, shift = 0;
};

/// A kernel of a finite network: its layers and how products go through them.
struct Terms {
    std::vector<Term> layers;
    bool deltas = false;   ///< they are contracted with deltas, which are the same for every column
    bool columns = false;  ///< each column goes back and forth with its own weighted delta (Block::full of several outputs)
};

Terms tangent_terms(const Architecture& a, Block block) {
    if (block == Block::diag) throw Error(ErrorCode::invalid_argument, "products with a kernel are of block full or trace, not diag");
    Terms terms{{}, true, block == Block::full && a.outputs > 1};
    terms.deltas = !terms.columns;
    for (Index l = 1; l <= a.depth(); ++l) {
        const bool last = l == a.depth();
        const double mean = terms.columns || last ? 1 : 1 / static_cast<double>(a.outputs);
        const Index units = terms.columns ? a.width(l) : last ? 1 : a.outputs * a.width(l);
        terms.layers.push_back({l, units, a.width(l - 1), a.weight_gradient_variance(l) * mean, a.bias_gradient_variance() * mean});
    }
    return terms;
}

Terms nngp_terms(const Architecture& a) {
    const Index inputs = a.width(a.depth() - 1);
    return {{{a.depth(), 1, inputs, a.weight_std * a.weight_std / static_cast<double>(inputs),
              a.biases == Biases::none ? 0 : a.bias_std * a.bias_std}},
            false,
            false};
}

/// J^T V of some columns: of each layer its weights (units columns) x inputs, column by column, then its biases (units columns) x 1.
template <class Real>
class Gradient {
public:
    Gradient(const std::shared_ptr<Backend<Real>>& backend, const std::vector<Term>& terms, Index columns) : columns_(columns) {
        Index size = 0;
        for (const Term& term : terms) {
            offsets_.push_back(size);
            size += term.units * columns * (term.inputs + (term.shift > 0 ? 1 : 0));
        }
        values_ = Matrix<Real>(backend, 1, size);
        backend->fill(values_.view(), 0);
    }

    [[nodiscard]] Index columns() const { return columns_; }
    [[nodiscard]] Matrix<Real>& values() { return values_; }
    [[nodiscard]] MatrixView<Real> weights(std::size_t at, const Term& term) {
        return {values_.view().data() + offsets_[at], term.units * columns_, term.inputs};
    }
    [[nodiscard]] MatrixView<Real> biases(std::size_t at, const Term& term) {
        return {values_.view().data() + offsets_[at] + term.units * columns_ * term.inputs, term.units * columns_, 1};
    }

private:
    Index columns_;
    std::vector<Index> offsets_;
    Matrix<Real> values_;
};

/// What products need of some samples.
template <class Real>
struct Linearised {
    Forward<Real> pass;
    std::vector<Matrix<Real>> delta;  ///< delta^1 .. delta^{L-1}, (n O) x n_l

    [[nodiscard]] Index samples() const { return pass.input.rows(); }
};

template <class Real>
class TangentOperator final : public KernelOperator<Real> {
public:
    TangentOperator(const Network<Real>& network, ConstMatrixView<Real> samples, Terms terms, Index columns, const OperatorPlan& plan,
                    Ranks& ranks)
        : KernelOperator<Real>(network.backend(), samples, terms.columns ? network.architecture.outputs : 1, ranks),
          network_(network),
          backend_(*network.backend()),
          terms_(std::move(terms)),
          columns_(std::max<Index>(1, columns)),
          batch_(plan.batch) {
        for (Index first = 0; first < this->share().count && static_cast<Index>(kept_.size()) < plan.kept; first += batch_)
            kept_.push_back(linearise(batch_of(this->own_samples(), first)));
    }

    void apply(ConstMatrixView<Real> v, MatrixView<Real> out) override {
        this->require_rows(v);
        for_columns(v, [&](Index first, Gradient<Real>& gradient) {
            for_batches(this->own_samples(), true, [&](Index row, const Linearised<Real>& at) {
                forward_product(at, gradient, rows_of(out.col_range(first, gradient.columns()), row, at));
            });
        });
    }

    [[nodiscard]] Matrix<Real> cross(ConstMatrixView<Real> x, ConstMatrixView<Real> v) override {
        this->require_rows(v);
        Matrix<Real> out(this->backend(), x.rows() * this->rows_per_sample(), v.cols());
        backend_.fill(out.view(), 0);
        const SampleShare share = share_of(x.rows(), this->ranks());
        for_columns(v, [&](Index first, Gradient<Real>& gradient) {
            for_batches(x.row_range(share.first, share.count), false, [&](Index row, const Linearised<Real>& at) {
                forward_product(at, gradient, rows_of(out.view().col_range(first, gradient.columns()), share.first + row, at));
            });
        });
        sum_over_ranks(this->ranks(), out);
        return out;
    }

    [[nodiscard]] Matrix<Real> diagonal() override {
        Matrix<Real> out(this->backend(), this->rows(), 1);
        backend_.fill(out.view(), 0);
        for_batches(this->own_samples(), true, [&](Index row, const Linearised<Real>& at) {
            const MatrixView<Real> part = rows_of(out.view(), row, at);
            if (terms_.columns) {
                const Matrix<Real> by_output = empirical_ntk(network_, at.pass.input, {.block = Block::diag});
                return backend_.copy(by_output.view().reshaped(part.rows(), 1), part);
            }
            for (const Term& term : terms_.layers)
                backend_.accumulate_layer_diagonal(part, at.pass.activation(term.layer - 1), delta(at, term), term.scale, term.shift);
        });
        return out;
    }

    [[nodiscard]] Matrix<Real> columns(const std::vector<Index>& samples) override {
        const Matrix<Real> x = this->gathered(samples);
        Matrix<Real> out(this->backend(), this->rows(), x.rows() * this->rows_per_sample());
        if (terms_.columns) {
            for_ranges(this->own_samples(), [&](Index row, ConstMatrixView<Real> batch) {
                empirical_ntk_into(out.view().row_range(row * this->rows_per_sample(), batch.rows() * this->rows_per_sample()), network_,
                                   batch, x.view(), {.block = Block::full});
            });
            return out;
        }
        const Linearised<Real> chosen = linearise(x.view());
        backend_.fill(out.view(), 0);
        for_batches(this->own_samples(), true, [&](Index row, const Linearised<Real>& at) {
            for (const Term& term : terms_.layers)
                backend_.accumulate_layer_gram(rows_of(out.view(), row, at), at.pass.activation(term.layer - 1),
                                               chosen.pass.activation(term.layer - 1), delta(at, term), delta(chosen, term), term.scale,
                                               term.shift, Triangle::full);
        });
        return out;
    }

private:
    [[nodiscard]] ConstMatrixView<Real> batch_of(ConstMatrixView<Real> x, Index first) const {
        return x.row_range(first, std::min(batch_, x.rows() - first));
    }
    [[nodiscard]] MatrixView<Real> rows_of(MatrixView<Real> rows, Index sample, const Linearised<Real>& at) const {
        return rows.row_range(sample * this->rows_per_sample(), at.samples() * this->rows_per_sample());
    }

    [[nodiscard]] Linearised<Real> linearise(ConstMatrixView<Real> x) const {
        Linearised<Real> at{forward(network_, x), {}};
        at.pass.output = {};
        if (terms_.columns) return at;
        const Index depth = network_.architecture.depth();
        if (terms_.deltas) {
            at.delta.resize(static_cast<std::size_t>(depth - 1));
            for (Index l = depth; l > 1; --l)
                at.delta[static_cast<std::size_t>(l - 2)] =
                    delta_below(network_, at.pass, l,
                                l == depth ? ConstMatrixView<Real>() : std::as_const(at.delta[static_cast<std::size_t>(l - 1)]).view());
        } else {
            for (Index l = 1; l + 1 < depth; ++l) at.pass.hidden[static_cast<std::size_t>(l - 1)] = {};
        }
        at.pass.pre.clear();
        return at;
    }

    /// n x units; empty at the output layer.
    [[nodiscard]] static ConstMatrixView<Real> delta(const Linearised<Real>& at, const Term& term) {
        const auto l = static_cast<std::size_t>(term.layer - 1);
        return l < at.delta.size() ? at.delta[l].view().reshaped(at.samples(), term.units) : ConstMatrixView<Real>();
    }

    /// f(first sample, samples) for the batches of x.
    template <class F>
    void for_ranges(ConstMatrixView<Real> x, const F& f) const {
        for (Index first = 0; first < x.rows(); first += batch_) f(first, batch_of(x, first));
    }
    /// The same with what products need of them; `own`: x are the samples of this rank, of which some are kept.
    template <class F>
    void for_batches(ConstMatrixView<Real> x, bool own, const F& f) const {
        for_ranges(x, [&](Index first, ConstMatrixView<Real> batch) {
            const auto at = static_cast<std::size_t>(first / batch_);
            if (own && at < kept_.size()) return f(first, kept_[at]);
            f(first, linearise(batch));
        });
    }

    /// f(first column, J^T V of the columns from there on) by as many columns as were planned for.
    template <class F>
    void for_columns(ConstMatrixView<Real> v, const F& f) {
        for (Index first = 0; first < v.cols(); first += columns_) {
            const ConstMatrixView<Real> some = v.col_range(first, std::min(columns_, v.cols() - first));
            Gradient<Real> gradient(this->backend(), terms_.layers, some.cols());
            for_batches(this->own_samples(), true, [&](Index row, const Linearised<Real>& at) {
                const Index r = this->rows_per_sample();
                backward_product(at, some.row_range(row * r, at.samples() * r), gradient);
            });
            sum_over_ranks(this->ranks(), gradient.values());
            for (std::size_t k = 0; k < terms_.layers.size(); ++k) {
                const Term& term = terms_.layers[k];
                backend_.scale(term.scale, gradient.weights(k, term));
                if (term.shift > 0) backend_.scale(term.shift, gradient.biases(k, term));
            }
            f(first, gradient);
        }
    }

    /// gradient += weighted^T a, for the columns whose units are the rows of the two views.
    void add_gradient(ConstMatrixView<Real> weighted, ConstMatrixView<Real> a, MatrixView<Real> weights, MatrixView<Real> biases) const {
        backend_.gemm(Transpose::yes, Transpose::no, 1, weighted, a, 1, weights);
        if (biases.empty()) return;
        Matrix<Real> ones(this->backend(), a.rows(), 1);
        backend_.fill(ones.view(), 1);
        backend_.gemm(Transpose::yes, Transpose::no, 1, weighted, ones.view(), 1, biases);
    }

    /// out = a weights^T + biases, beside `kept` times what out holds.
    void add_tangents(ConstMatrixView<Real> a, ConstMatrixView<Real> weights, ConstMatrixView<Real> biases, double kept,
                      MatrixView<Real> out) const {
        backend_.gemm(Transpose::no, Transpose::yes, 1, a, weights, kept, out);
        if (!biases.empty()) backend_.add_row(biases.reshaped(1, biases.rows()), out);
    }

    /// gradient += J^T v for the samples of `at`.
    void backward_product(const Linearised<Real>& at, ConstMatrixView<Real> v, Gradient<Real>& gradient) const {
        const Index n = at.samples(), m = v.cols();
        if (terms_.columns) {
            for (Index c = 0; c < m; ++c) backward_column(at, v.col_range(c, 1), c, gradient);
            return;
        }
        for (std::size_t k = 0; k < terms_.layers.size(); ++k) {
            const Term& term = terms_.layers[k];
            const ConstMatrixView<Real> a = at.pass.activation(term.layer - 1), d = delta(at, term);
            if (d.empty()) {
                add_gradient(v, a, gradient.weights(k, term), biases(gradient, k));
                continue;
            }
            Matrix<Real> weighted(this->backend(), n, term.units * m);
            for (Index c = 0; c < m; ++c)
                backend_.jacobian_block(d, v.col_range(c, 1), 0, term.units, 1, weighted.view().col_range(c * term.units, term.units));
            add_gradient(weighted.view(), a, gradient.weights(k, term), biases(gradient, k));
        }
    }

    /// out = J gradient at the samples of `at`.
    void forward_product(const Linearised<Real>& at, Gradient<Real>& gradient, MatrixView<Real> out) const {
        const Index n = at.samples(), m = out.cols();
        if (terms_.columns) {
            for (Index c = 0; c < m; ++c) forward_column(at, gradient, c, out.col_range(c, 1));
            return;
        }
        backend_.fill(out, 0);
        for (std::size_t k = 0; k < terms_.layers.size(); ++k) {
            const Term& term = terms_.layers[k];
            const ConstMatrixView<Real> d = delta(at, term);
            Matrix<Real> tangents(this->backend(), n, term.units * m), dots(this->backend(), n, 1);
            add_tangents(at.pass.activation(term.layer - 1), gradient.weights(k, term), biases(gradient, k), 0, tangents.view());
            if (d.empty()) {
                backend_.axpy(1, std::as_const(tangents).view(), out);
                continue;
            }
            for (Index c = 0; c < m; ++c) {
                backend_.row_dots(tangents.view().col_range(c * term.units, term.units), d, dots.view());
                backend_.axpy(1, std::as_const(dots).view(), out.col_range(c, 1));
            }
        }
    }

    /// The backward pass with delta^L = v, a column of n O.
    void backward_column(const Linearised<Real>& at, ConstMatrixView<Real> v, Index column, Gradient<Real>& gradient) const {
        Matrix<Real> delta(this->backend(), at.samples(), network_.architecture.outputs);
        backend_.copy(v, delta.view().reshaped(v.rows(), 1));
        for (std::size_t k = terms_.layers.size(); k-- > 0;) {
            const Term& term = terms_.layers[k];
            MatrixView<Real> b = biases(gradient, k);
            if (!b.empty()) b = b.row_range(column * term.units, term.units);
            add_gradient(delta.view(), at.pass.activation(term.layer - 1),
                         gradient.weights(k, term).row_range(column * term.units, term.units), b);
            if (k > 0) delta = delta_below(network_, at.pass, term.layer, std::as_const(delta).view());
        }
    }

    /// The derivative of the forward pass in the direction of one column's gradient, to a column of n O.
    void forward_column(const Linearised<Real>& at, Gradient<Real>& gradient, Index column, MatrixView<Real> out) const {
        Matrix<Real> below;  // dz^{l-1}, then da^{l-1}
        for (std::size_t k = 0; k < terms_.layers.size(); ++k) {
            const Term& term = terms_.layers[k];
            Matrix<Real> dz(this->backend(), at.samples(), term.units);
            if (k > 0) {
                backend_.multiply_by_slope(network_.architecture.activation, at.pass.pre[k - 1].view(), below.view());
                backend_.gemm(Transpose::no, Transpose::yes, 1, std::as_const(below).view(), network_.weight[k].view(), 0, dz.view());
            }
            MatrixView<Real> b = biases(gradient, k);
            if (!b.empty()) b = b.row_range(column * term.units, term.units);
            add_tangents(at.pass.activation(term.layer - 1), gradient.weights(k, term).row_range(column * term.units, term.units), b,
                         k > 0 ? 1 : 0, dz.view());
            below = std::move(dz);
        }
        backend_.copy(std::as_const(below).view().reshaped(out.rows(), 1), out);
    }

    [[nodiscard]] MatrixView<Real> biases(Gradient<Real>& gradient, std::size_t k) const {
        return terms_.layers[k].shift > 0 ? gradient.biases(k, terms_.layers[k]) : MatrixView<Real>();
    }

    const Network<Real>& network_;
    Backend<Real>& backend_;
    Terms terms_;
    Index columns_, batch_;
    std::vector<Linearised<Real>> kept_;
};

template <class Real>
OperatorPlan plan_of(const Architecture& a, const Terms& terms, Index samples, Index columns, const OperatorOptions& options, int ranks) {
    constexpr auto real = static_cast<double>(sizeof(Real));
    const auto m = static_cast<double>(std::max<Index>(1, columns)), outputs = static_cast<double>(a.outputs);
    double units = 0, widest = 0, products = 0;  // sums of n_l and of n_l n_{l-1}
    for (Index l = 1; l <= a.depth(); ++l) {
        if (l < a.depth()) units += static_cast<double>(a.width(l)), widest = std::max(widest, static_cast<double>(a.width(l)));
        products += static_cast<double>(a.width(l)) * static_cast<double>(a.width(l - 1));
    }
    const double last = a.depth() > 1 ? static_cast<double>(a.width(a.depth() - 1)) : 0;
    const double keeping = terms.columns ? 2 * units : terms.deltas ? (1 + outputs) * units : last;
    const double making = (terms.deltas ? 2 + outputs : 2) * units + outputs;
    const double working = terms.columns ? 2 * std::max(widest, outputs) : terms.deltas ? m * outputs * widest + 1 : m;

    OperatorPlan plan;
    double contracted = 0;
    for (const Term& term : terms.layers) {
        plan.gradient_numbers += m * static_cast<double>(term.units * (term.inputs + (term.shift > 0 ? 1 : 0)));
        contracted += static_cast<double>(term.units * term.inputs);
    }
    const Index share = (samples + ranks - 1) / ranks;
    const double rest = options.memory - plan.gradient_numbers * real - column_samples * making * real;
    const double sample = std::max(making, keeping + working) * real;  // of the batch at work
    constexpr int share_of_batch = 4;
    const auto fits = static_cast<Index>(std::max(0.0, rest) / share_of_batch / std::max(1.0, sample));
    plan.batch = std::max<Index>(1, std::min({std::max(minimal_batch, fits / minimal_batch * minimal_batch), options.most_batch, share}));
    const Index batches = (share + plan.batch - 1) / plan.batch;
    const double at_work = static_cast<double>(plan.batch) * sample, batch = static_cast<double>(plan.batch) * keeping * real;
    plan.kept = batch == 0 ? batches : std::clamp<Index>(static_cast<Index>(std::max(0.0, rest - at_work) / batch), 0, batches);
    plan.bytes = plan.gradient_numbers * real + column_samples * making * real + static_cast<double>(plan.kept) * batch + at_work;

    const double n = static_cast<double>(share), kept = std::min(n, static_cast<double>(plan.kept * plan.batch));
    const double once = 2 * products * (terms.deltas ? 1 + outputs : 1);
    plan.setup_flops = kept * once;
    plan.product_flops = (terms.columns ? 8 * products : 4 * contracted) * n * m + 2 * (n - kept) * once;
    return plan;
}

template <class Real>
std::unique_ptr<KernelOperator<Real>> make(const Network<Real>& network, ConstMatrixView<Real> samples, Terms terms, Index columns,
                                           const OperatorOptions& options, Ranks& ranks) {
    const OperatorPlan plan = plan_of<Real>(network.architecture, terms, samples.rows(), columns, options, ranks.size());
    return std::make_unique<TangentOperator<Real>>(network, samples, std::move(terms), columns, plan, ranks);
}

}  // namespace

template <class Real>
OperatorPlan plan_tangent_operator(const Architecture& architecture, Index samples, Index columns, const OperatorOptions& options,
                                   int ranks) {
    return plan_of<Real>(architecture, tangent_terms(architecture, options.block), samples, columns, options, ranks);
}

template <class Real>
OperatorPlan plan_nngp_operator(const Architecture& architecture, Index samples, Index columns, const OperatorOptions& options, int ranks) {
    return plan_of<Real>(architecture, nngp_terms(architecture), samples, columns, options, ranks);
}

template <class Real>
std::unique_ptr<KernelOperator<Real>> tangent_operator(const Network<Real>& network, InputView<Real> samples, Index columns,
                                                       const OperatorOptions& options, Ranks& ranks) {
    return make(network, samples, tangent_terms(network.architecture, options.block), columns, options, ranks);
}

template <class Real>
std::unique_ptr<KernelOperator<Real>> nngp_operator(const Network<Real>& network, InputView<Real> samples, Index columns,
                                                    const OperatorOptions& options, Ranks& ranks) {
    return make(network, samples, nngp_terms(network.architecture), columns, options, ranks);
}

template OperatorPlan plan_tangent_operator<float>(const Architecture&, Index, Index, const OperatorOptions&, int);
template OperatorPlan plan_tangent_operator<double>(const Architecture&, Index, Index, const OperatorOptions&, int);
template OperatorPlan plan_nngp_operator<float>(const Architecture&, Index, Index, const OperatorOptions&, int);
template OperatorPlan plan_nngp_operator<double>(const Architecture&, Index, Index, const OperatorOptions&, int);
template std::unique_ptr<KernelOperator<float>> tangent_operator(const Network<float>&, ConstMatrixView<float>, Index,
                                                                 const OperatorOptions&, Ranks&);
template std::unique_ptr<KernelOperator<double>> tangent_operator(const Network<double>&, ConstMatrixView<double>, Index,
                                                                  const OperatorOptions&, Ranks&);
template std::unique_ptr<KernelOperator<float>> nngp_operator(const Network<float>&, ConstMatrixView<float>, Index, const OperatorOptions&,
                                                              Ranks&);
template std::unique_ptr<KernelOperator<double>> nngp_operator(const Network<double>&, ConstMatrixView<double>, Index,
                                                               const OperatorOptions&, Ranks&);

}  // namespace ntk

// The normalised recursion of every pair. For as many layers as a pass takes, a thread a sample tabulates what the sample brings to each
// layer, and a thread a pair goes through these layers with its state in registers; between passes the state lies in memory, by tiles.

#include "cuda_backend.hpp"
#include "pair_tiles.hpp"

#include "host/backend/pair_problem.hpp"

#include <vector>

namespace ntk::cuda {
namespace {

using namespace formulas;

template <class Dual>
using Entry = TableEntry<PreciseLayerFactors, Dual>;

/// The samples of one side, from some sample on. `stride`: all samples of the side.
struct Samples {
    Index count, stride;
    double* states;  ///< component of `variance` and `tangent_inverse`, sample
    double* table;   ///< layer, factor, sample

    Samples part(Index first, Index of_them) const { return {of_them, stride, states + first, table + first}; }
};

/// The state of a tile of pairs: field, row, column. `lower`: only j <= i is used.
struct PairTile {
    Index row, rows, col, cols;
    bool lower;
    double* state;

    __device__ bool used(Index i, Index j) const { return !lower || j <= i; }
    __device__ NormalizedPair load(Index i, Index j) const { return NormalizedPair::load(state + i * cols + j, rows * cols); }
    __device__ void store(const NormalizedPair& pair, Index i, Index j) const { pair.store(state + i * cols + j, rows * cols); }
};

enum class Quantity { correlation, correlation_below_one, tangent, tangent_below_one };

__device__ void store_sample(const Samples& samples, Index j, DoubleDouble variance, DoubleDouble tangent_inverse) {
    double* to = samples.states + j;
    to[0] = variance.hi;
    to[samples.stride] = variance.lo;
    to[2 * samples.stride] = tangent_inverse.hi;
    to[3 * samples.stride] = tangent_inverse.lo;
}

/// A thread a sample.
template <class Dual>
__global__ void first_samples_kernel(NormalizedConstants constants, Dual dual, const RowFacts* facts, Samples samples) {
    for_each_entry(1, samples.count, [&](Index, Index j) {
        DoubleDouble variance, tangent_inverse;
        first_layer(constants, dual, facts[j].mean_square, variance, tangent_inverse).store(samples.table + j, samples.stride);
        store_sample(samples, j, variance, tangent_inverse);
    });
}

template <class Dual>
__global__ void next_samples_kernel(NormalizedConstants constants, Dual dual, Samples samples, Index layers) {
    for_each_entry(1, samples.count, [&](Index, Index j) {
        const double* state = samples.states + j;
        const Index n = samples.stride;
        DoubleDouble variance{state[0], state[n]}, tangent_inverse{state[2 * n], state[3 * n]};
        for (Index l = 0; l < layers; ++l) {
            Entry<Dual> entry{};
            entry.layer = next_layer(constants, dual, variance, tangent_inverse, entry.dual);
            entry.store(samples.table + l * Entry<Dual>::count * n + j, n);
        }
        store_sample(samples, j, variance, tangent_inverse);
    });
}

/// A thread a pair. `Unequal`: norms matter.
template <bool Unequal>
__global__ void first_pairs_kernel(ScaledRows left, ScaledRows right, const double* products, Samples rows, Samples cols, PairTile tile) {
    for_each_entry(tile.rows, tile.cols, [&](Index i, Index j) {
        if (!tile.used(i, j)) return;
        const InputPair input = input_of(left, right, i, j, products[i * tile.cols + j]);
        tile.store(
            first_pair<Unequal>(input, FirstFactors::load(rows.table + i, rows.stride), FirstFactors::load(cols.table + j, cols.stride)), i,
            j);
    });
}

/// `Bias`: sigma_b > 0.
template <class Dual, bool Bias>
__global__ void next_pairs_kernel(Dual dual, Index layers, Samples rows, Samples cols, PairTile tile) {
    for_each_entry(tile.rows, tile.cols, [&](Index i, Index j) {
        if (!tile.used(i, j)) return;
        NormalizedPair pair = tile.load(i, j);
        for (Index l = 0; l < layers; ++l) {
            const Index layer = l * Entry<Dual>::count;
            pair = next_pair<Bias>(dual, pair, Entry<Dual>::load(rows.table + layer * rows.stride + i, rows.stride),
                                   Entry<Dual>::load(cols.table + layer * cols.stride + j, cols.stride));
        }
        tile.store(pair, i, j);
    });
}

__device__ double value_of(const NormalizedPair& pair, Quantity quantity) {
    switch (quantity) {
        case Quantity::correlation:
            return correlation_of(pair).rho;
        case Quantity::correlation_below_one:
            return correlation_of(pair).below_one;
        case Quantity::tangent:
            return tangent_of(pair).value;
        case Quantity::tangent_below_one:
            break;
    }
    return tangent_of(pair).below_one;
}

/// out: the part of the result that is the tile.
template <class Real>
__global__ void read_pairs_kernel(PairTile tile, Quantity quantity, DeviceMatrix<Real> out) {
    const bool complement = quantity == Quantity::correlation_below_one || quantity == Quantity::tangent_below_one;
    for_each_entry(tile.rows, tile.cols, [&](Index i, Index j) {
        if (!tile.used(i, j)) return;
        out(i, j) = static_cast<Real>(tile.lower && i == j ? (complement ? 0 : 1) : value_of(tile.load(i, j), quantity));
    });
}

template <class Real>
class CudaPairRecursion final : public PairRecursion<Real> {
public:
    CudaPairRecursion(std::shared_ptr<Backend<Real>> owner, Context& context, const Tiling& tiling, const PairRecursionOptions& options,
                      ConstMatrixView<Real> x1, ConstMatrixView<Real> x2, Triangle triangle)
        : owner_(std::move(owner)),
          context_(context),
          problem_(options),
          layers_at_once_(tiling.limit_layers),
          same_(triangle == Triangle::lower),
          states_(context),
          table_(context),
          state_(context) {
        if (x1.empty() || x2.empty()) return;
        const MeasuredRows<Real> rows(context, x1), cols(context, x2);
        check_rows(rows);
        check_rows(cols);
        place_samples(x1.rows(), x2.rows());
        place_tiles(tiling.limit, x1.rows(), x2.rows());
        problem_.with_dual([&](const auto& dual) {
            using Dual = std::decay_t<decltype(dual)>;
            const auto start = [&](const MeasuredRows<Real>& measured, const Samples& samples) {
                context.launch("first_samples", entries_shape(1, samples.count), first_samples_kernel<Dual>, problem_.constants, dual,
                               measured.facts(), samples);
            };
            start(rows, rows_);
            if (!same_) start(cols, cols_);
        });
        const bool unequal = problem_.biased() || problem_.activation.kind == Activation::Kind::erf;
        auto tile = tiles_.begin();
        for_each_product_tile(context, tiling.limit, rows, cols, same_,
                              [&](Index, Index, const ScaledRows& left, const ScaledRows& right, bool, double* products) {
                                  launch_pairs("first_pairs", unequal ? first_pairs_kernel<true> : first_pairs_kernel<false>, *tile, left,
                                               right, products, rows_.part(tile->row, tile->rows), cols_.part(tile->col, tile->cols));
                                  ++tile;
                              });
    }

    Index depth() const override { return depth_; }

    void advance(Index depth) override {
        PairProblem::check_depth(depth_, depth);
        context_.make_current();
        problem_.with_dual([&](const auto& dual) {
            while (depth_ < depth) {
                const Index layers = std::min(layers_at_once_, depth - depth_);
                pass(dual, layers);
                depth_ += layers;
            }
        });
    }

    void correlation(MatrixView<Real> out) override { read(Quantity::correlation, out); }
    void correlation_below_one(MatrixView<Real> out) override { read(Quantity::correlation_below_one, out); }
    void tangent(MatrixView<Real> out) override { read(Quantity::tangent, out); }
    void tangent_below_one(MatrixView<Real> out) override { read(Quantity::tangent_below_one, out); }

private:
    void check_rows(const MeasuredRows<Real>& rows) {
        std::vector<RowFacts> facts(static_cast<std::size_t>(rows.view().rows()));
        check(cudaMemcpyAsync(facts.data(), rows.facts(), facts.size() * sizeof(RowFacts), cudaMemcpyDeviceToHost, context_.stream()),
              "cudaMemcpyAsync");
        context_.synchronize();
        for (std::size_t i = 0; i < facts.size(); ++i)
            problem_.check_row(static_cast<Index>(i), facts[i].squared_norm, facts[i].mean_square);
    }

    void place_samples(Index n1, Index n2) {
        constexpr Index components = 4;
        const Index samples = same_ ? n1 : n1 + n2;
        Index factors = 0;
        problem_.with_dual([&](const auto& dual) { factors = std::max(FirstFactors::count, Entry<std::decay_t<decltype(dual)>>::count); });
        const Index table = layers_at_once_ * factors;
        states_.reserve(components * samples * sizeof(double));
        table_.reserve(table * samples * sizeof(double));
        rows_ = {n1, n1, states_.as<double>(), table_.as<double>()};
        cols_ = same_ ? rows_ : Samples{n2, n2, states_.as<double>() + components * n1, table_.as<double>() + table * n1};
    }

    /// In the order of for_each_product_tile.
    void place_tiles(Index side, Index n1, Index n2) {
        Index size = 0;
        for (Index i = 0; i < n1; i += side)
            for (Index j = 0; j < (same_ ? i + 1 : n2); j += side) {
                tiles_.push_back({i, std::min(side, n1 - i), j, std::min(side, n2 - j), same_ && i == j, nullptr});
                size += NormalizedPair::count * tiles_.back().rows * tiles_.back().cols;
            }
        state_.reserve(size * sizeof(double));
        double* at = state_.as<double>();
        for (PairTile& tile : tiles_) {
            tile.state = at;
            at += NormalizedPair::count * tile.rows * tile.cols;
        }
    }

    /// A kernel whose last parameter is the tile.
    template <class... Parameters, class... Arguments>
    void launch_pairs(const char* name, void (*kernel)(Parameters...), const PairTile& tile, Arguments&&... arguments) {
        context_.launch(name, entries_shape(tile.rows, tile.cols), kernel, std::forward<Arguments>(arguments)..., tile);
    }

    template <class Dual>
    void pass(const Dual& dual, Index layers) {
        const auto tabulate = [&](const Samples& samples) {
            context_.launch("next_samples", entries_shape(1, samples.count), next_samples_kernel<Dual>, problem_.constants, dual, samples,
                            layers);
        };
        if (tiles_.empty()) return;
        tabulate(rows_);
        if (!same_) tabulate(cols_);
        for (const PairTile& tile : tiles_)
            launch_pairs("next_pairs", problem_.biased() ? next_pairs_kernel<Dual, true> : next_pairs_kernel<Dual, false>, tile, dual,
                         layers, rows_.part(tile.row, tile.rows), cols_.part(tile.col, tile.cols));
    }

    void read(Quantity quantity, MatrixView<Real> out) {
        context_.make_current();
        for (const PairTile& tile : tiles_)
            context_.launch("read_pairs", entries_shape(tile.rows, tile.cols), read_pairs_kernel<Real>, tile, quantity,
                            MatrixView<Real>(out.data() + tile.row * out.stride() + tile.col, tile.rows, tile.cols, out.stride()));
    }

    std::shared_ptr<Backend<Real>> owner_;  ///< of the context
    Context& context_;
    PairProblem problem_;
    Index layers_at_once_;
    bool same_;  ///< both sides are the same samples
    Index depth_ = 1;
    Buffer states_, table_, state_;
    Samples rows_{}, cols_{};
    std::vector<PairTile> tiles_;
};

}  // namespace

template <class Real>
std::unique_ptr<PairRecursion<Real>> CudaPairs<Real>::pair_recursion(const PairRecursionOptions& options, ConstMatrixView<Real> x1,
                                                                     ConstMatrixView<Real> x2, Triangle triangle) {
    return std::make_unique<CudaPairRecursion<Real>>(this->shared_from_this(), this->context(), this->tiling(), options, x1, x2, triangle);
}

template class CudaPairs<float>;
template class CudaPairs<double>;

}  // namespace ntk::cuda

// Infinite width, by tiles of pairs of samples. cuBLAS makes the products of a tile; then, for as many layers as a pass takes, a thread a
// sample tabulates the factors of each layer, and a thread a pair goes through these layers with its state in registers.

#include "cuda_backend.hpp"
#include "pair_tiles.hpp"

#include "host/backend/limit_problem.hpp"

#include <ntkcuda/formulas/limit_recursion.hpp>

#include <algorithm>
#include <cmath>

namespace ntk::cuda {
namespace {

using namespace formulas;

/// A LimitProblem as kernels take it.
struct Recursion {
    LimitConstants constants;
    const DoubleDouble* gains;
    Index depth;
    bool tangent;
};

/// One side of a tile in the recursion.
struct Side : ScaledRows {
    SampleState* states;  ///< after the layers tabulated so far
    double* root;         ///< sqrt(q_1)
    double* table;        ///< layer, factor, sample
};

/// A tile of pairs. `lower`: both sides are the same samples and only j <= i is computed.
struct PairTile {
    Side rows, cols;
    double* entries;  ///< the products of the scaled rows, then the entries of the kernel
    double* pairs;    ///< state, pair: between passes
    bool lower;
};

/// The layers [first, last) of one pass.
struct Pass {
    Index first, last;
};

/// A thread a sample.
template <class Dual>
__global__ void tabulate_kernel(Recursion recursion, Dual dual, Side side, Pass pass) {
    for_each_entry(1, side.count, [&](Index, Index j) {
        SampleState state = pass.first == 0 ? SampleState{} : side.states[j];
        for (Index l = pass.first; l < pass.last; ++l) {
            TableEntry<LayerFactors, Dual> entry{};
            if (l == 0) {
                entry.layer =
                    first_layer(recursion.constants, recursion.gains[0], side.facts[j].mean_square, side.facts[j].squared_norm == 0, state);
                side.root[j] = sqrt(state.covariance.hi);
            } else {
                entry.layer = next_layer(recursion.constants, dual, recursion.gains[l], state, entry.dual);
            }
            entry.store(side.table + (l - pass.first) * TableEntry<LayerFactors, Dual>::count * side.count + j, side.count);
        }
        side.states[j] = state;
    });
}

/// The kernel between a sample and one that is exactly zero where sigma_b = 0. All it can hold is gradients of trained biases.
template <class Dual>
__device__ double zero_sample_entry(const Recursion& recursion, const Dual& dual, const RowFacts& other) {
    if (!recursion.tangent) return 0;
    SampleState sample;
    first_layer(recursion.constants, recursion.gains[0], other.mean_square, other.squared_norm == 0, sample);
    double entry = recursion.constants.bias_gradient.hi;
    for (Index l = 1; l < recursion.depth && entry != 0; ++l) {
        entry = next_tangent_with_zero(recursion.constants, dual, sample.covariance.hi, entry);
        typename Dual::Factors factors;
        next_layer(recursion.constants, dual, recursion.gains[l], sample, factors);
    }
    return entry;
}

__device__ double self_entry(const Recursion& recursion, const SampleState& state) {
    return recursion.tangent ? state.tangent.hi : state.covariance.hi;
}

/// A pair between two layers.
struct PairState {
    Correlation correlation;
    double tangent;

    static constexpr int count = 5;
    __device__ static PairState load(const double* from, Index stride) {
        return {{from[0], from[stride], from[2 * stride], from[3 * stride]}, from[4 * stride]};
    }
    __device__ void store(double* to, Index stride) const {
        to[0] = correlation.rho;
        to[stride] = correlation.below_one;
        to[2 * stride] = correlation.above_minus_one;
        to[3 * stride] = correlation.difference;
        to[4 * stride] = tangent;
    }
};

template <class Dual>
__device__ PairState first_state(const PairTile& tile, Index i, Index j, double product) {
    const InputPair input = input_of(tile.rows, tile.cols, i, j, product);
    const LayerFactors x = LayerFactors::load(tile.rows.table + i, tile.rows.count),
                       y = LayerFactors::load(tile.cols.table + j, tile.cols.count);
    return {first_correlation(input, x, y, tile.rows.root[i] / tile.cols.root[j]), first_tangent_value(input, x, y)};
}

/// `Bias`: sigma_b > 0 (without it the image is the next correlation).
template <class Dual, bool Bias>
__device__ PairState next_state(const Dual& dual, const PairState& state, const TableEntry<LayerFactors, Dual>& x,
                                const TableEntry<LayerFactors, Dual>& y) {
    const Image image = dual.image(state.correlation, x.dual, y.dual);
    return {Bias ? next_correlation(image, x.layer, y.layer) : image.value, next_tangent_value(state.tangent, image, x.layer, y.layer)};
}

template <class Dual>
__device__ double final_entry(const Recursion& recursion, const Dual& dual, const PairTile& tile, Index i, Index j,
                              const PairState& state) {
    const Side &rows = tile.rows, &cols = tile.cols;
    const double x = self_entry(recursion, rows.states[i]), y = self_entry(recursion, cols.states[j]);
    if (tile.lower && i == j) return x;
    if (recursion.constants.bias_variance.hi == 0) {
        if (rows.facts[i].squared_norm == 0) return zero_sample_entry(recursion, dual, cols.facts[j]);
        if (cols.facts[j].squared_norm == 0) return zero_sample_entry(recursion, dual, rows.facts[i]);
    }
    return sqrt(x) * sqrt(y) * (recursion.tangent ? state.tangent : state.correlation.rho);
}

/// A thread a pair.
template <class Dual, bool Bias>
__global__ void pairs_kernel(Recursion recursion, Dual dual, PairTile tile, Pass pass) {
    const Index pairs = tile.rows.count * tile.cols.count;
    for_each_entry(tile.rows.count, tile.cols.count, [&](Index i, Index j) {
        if (tile.lower && j > i) return;
        const Index pair = i * tile.cols.count + j;
        PairState state = pass.first == 0 ? first_state<Dual>(tile, i, j, tile.entries[pair]) : PairState::load(tile.pairs + pair, pairs);
        for (Index l = pass.first == 0 ? 1 : pass.first; l < pass.last; ++l) {
            const Index layer = (l - pass.first) * TableEntry<LayerFactors, Dual>::count;
            state = next_state<Dual, Bias>(
                dual, state, TableEntry<LayerFactors, Dual>::load(tile.rows.table + layer * tile.rows.count + i, tile.rows.count),
                TableEntry<LayerFactors, Dual>::load(tile.cols.table + layer * tile.cols.count + j, tile.cols.count));
        }
        if (pass.last < recursion.depth) {
            state.store(tile.pairs + pair, pairs);
        } else {
            tile.entries[pair] = final_entry(recursion, dual, tile, i, j, state);
        }
    });
}

template <class Dual, class Real>
__global__ void limit_diagonal_kernel(Recursion recursion, Dual dual, const RowFacts* facts, DeviceMatrix<Real> out) {
    for_each_entry(out.rows, 1, [&](Index i, Index) {
        SampleState state;
        typename Dual::Factors factors;
        first_layer(recursion.constants, recursion.gains[0], facts[i].mean_square, facts[i].squared_norm == 0, state);
        for (Index l = 1; l < recursion.depth; ++l) next_layer(recursion.constants, dual, recursion.gains[l], state, factors);
        out(i, 0) = static_cast<Real>(self_entry(recursion, state));
    });
}

/// A LimitProblem on the device.
class DeviceProblem {
public:
    DeviceProblem(Context& context, LimitProblem problem)
        : problem_(std::move(problem)), gains_(context, problem_.gains.size() * sizeof(DoubleDouble)) {
        check(cudaMemcpyAsync(gains_.as<void>(), problem_.gains.data(), problem_.gains.size() * sizeof(DoubleDouble),
                              cudaMemcpyHostToDevice, context.stream()),
              "cudaMemcpyAsync");
        context.synchronize();
    }

    Recursion recursion() const { return {problem_.constants, gains_.as<DoubleDouble>(), depth(), problem_.tangent}; }
    Index depth() const { return static_cast<Index>(problem_.gains.size()); }
    /// visit(dual) with the dual of the activation.
    template <class Visit>
    void with_dual(Visit visit) const {
        if (problem_.activation.kind == Activation::Kind::erf) {
            visit(ErfDual{});
        } else {
            visit(RectifierDual(problem_.activation));
        }
    }

private:
    LimitProblem problem_;
    Buffer gains_;
};

/// Memory of one side of a tile of up to `most` samples.
class SideMemory {
public:
    SideMemory(Context& context, Index most, Index layers, Index factors)
        : states_(context, most * sizeof(SampleState)),
          root_(context, most * sizeof(double)),
          table_(context, layers * factors * most * sizeof(double)) {}

    Side side(const ScaledRows& rows) const { return {rows, states_.as<SampleState>(), root_.as<double>(), table_.as<double>()}; }

private:
    Buffer states_, root_, table_;
};

/// Takes a tile through all layers.
template <class Dual>
void run_tile(Context& context, const Recursion& recursion, const Dual& dual, const PairTile& tile, Index layers) {
    const auto pairs = recursion.constants.bias_variance.hi > 0 ? pairs_kernel<Dual, true> : pairs_kernel<Dual, false>;
    for (Index first = 0; first < recursion.depth; first += layers) {
        const Pass pass{first, std::min(first + layers, recursion.depth)};
        for (const Side& side : {tile.rows, tile.cols})
            context.launch("tabulate", entries_shape(1, side.count), tabulate_kernel<Dual>, recursion, dual, side, pass);
        context.launch("limit_pairs", entries_shape(tile.rows.count, tile.cols.count), pairs, recursion, dual, tile, pass);
    }
}

template <class Dual, class Real>
void limit_kernel(Context& context, const Tiling& tiling, const Recursion& recursion, const Dual& dual, const MeasuredRows<Real>& x1,
                  const MeasuredRows<Real>& x2, bool lower, MatrixView<Real> out) {
    const Index rows = std::min(tiling.limit, out.rows()), cols = std::min(tiling.limit, out.cols());
    const Index layers = std::min(tiling.limit_layers, recursion.depth);
    const SideMemory row_memory(context, rows, layers, TableEntry<LayerFactors, Dual>::count),
        col_memory(context, cols, layers, TableEntry<LayerFactors, Dual>::count);
    const Buffer pairs(context, layers < recursion.depth ? PairState::count * rows * cols * sizeof(double) : 0);
    for_each_pair_tile(context, tiling.limit, x1, x2, lower, out,
                       [&](const ScaledRows& left, const ScaledRows& right, bool on_diagonal, double* entries) {
                           const PairTile tile{row_memory.side(left), col_memory.side(right), entries, pairs.as<double>(), on_diagonal};
                           run_tile(context, recursion, dual, tile, layers);
                       });
}

}  // namespace

template <class Real>
void CudaInfiniteWidth<Real>::infinite_width_kernel(const Architecture& architecture, InfiniteKernel kernel, ConstMatrixView<Real> x1,
                                                    ConstMatrixView<Real> x2, Triangle triangle, MatrixView<Real> out) {
    if (out.empty()) return;
    Context& context = this->context();
    const DeviceProblem problem(context, limit_problem(architecture, kernel));
    const MeasuredRows<Real> rows(context, x1), cols(context, x2);
    problem.with_dual([&](const auto& dual) {
        limit_kernel(context, this->tiling(), problem.recursion(), dual, rows, cols, triangle == Triangle::lower, out);
    });
}

template <class Real>
void CudaInfiniteWidth<Real>::infinite_width_diagonal(const Architecture& architecture, InfiniteKernel kernel, ConstMatrixView<Real> x,
                                                      MatrixView<Real> out) {
    if (out.empty()) return;
    Context& context = this->context();
    const DeviceProblem problem(context, limit_problem(architecture, kernel));
    const MeasuredRows<Real> rows(context, x);
    problem.with_dual([&](const auto& dual) {
        context.launch("limit_diagonal", entries_shape(out.rows(), 1), limit_diagonal_kernel<std::decay_t<decltype(dual)>, Real>,
                       problem.recursion(), dual, rows.facts(), out);
    });
}

template <class Real>
std::uint64_t CudaInfiniteWidth<Real>::kernel_workspace(Index rows, Index cols, Index inputs) const {
    const auto tile = [&](Index side) { return std::min(side, rows) * std::min(side, cols); };
    const Index gram = 2 * tile(this->tiling().gram) * static_cast<Index>(sizeof(Real)), side = this->tiling().limit;
    const Index numbers_a_sample = inputs + this->tiling().limit_layers * TableEntry<LayerFactors, ErfDual>::count;
    const Index samples = std::min(side, rows) + std::min(side, cols);
    const Index pairs = ((1 + PairState::count) * tile(side) + samples * numbers_a_sample) * static_cast<Index>(sizeof(double));
    return static_cast<std::uint64_t>(std::max(gram, pairs));
}

template class CudaInfiniteWidth<float>;
template class CudaInfiniteWidth<double>;

}  // namespace ntk::cuda

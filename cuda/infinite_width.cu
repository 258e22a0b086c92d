// Infinite width, by tiles of pairs of samples. cuBLAS makes the products of a tile; then, for as many layers as a pass takes, a thread a
// sample tabulates the factors of each layer, and a thread a pair goes through these layers with its state in registers.

#include "blas.hpp"
#include "cuda_backend.hpp"
#include "device_matrix.hpp"

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

/// One row, divided by 2^exponent so that no square over- or underflows.
struct RowFacts {
    double norm;          ///< of the scaled row; 1 for a zero row
    double squared_norm;  ///< of the scaled row
    double mean_square;   ///< |x|^2 / d, not scaled
    int exponent;
};

/// One side of a tile.
struct Side {
    Index count, inputs;
    const RowFacts* facts;
    double* values;       ///< count x inputs, scaled
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

/// value / 2^exponent in two steps, since 2^-exponent alone can overflow.
__device__ double scaled(double value, int exponent) { return ldexp(ldexp(value, -(exponent / 2)), -(exponent - exponent / 2)); }

__device__ double warp_largest(double value) {
    for (int distance = warp_threads / 2; distance > 0; distance /= 2) {
        const double other = __shfl_xor_sync(~0U, value, distance);
        value = other > value ? other : value;
    }
    return value;
}

/// A warp a row.
template <class Real>
__global__ void measure_rows_kernel(DeviceMatrix<const Real> x, RowFacts* facts) {
    for_each_warp_item(x.rows, [&](Index i, int lane) {
        double largest = 0, square = 0;
        for (Index j = lane; j < x.cols; j += warp_threads) {
            const double size = fabs(static_cast<double>(x(i, j)));
            largest = size > largest ? size : largest;
        }
        largest = warp_largest(largest);
        const int exponent = largest > 0 && isfinite(largest) ? ilogb(largest) : 0;
        for (Index j = lane; j < x.cols; j += warp_threads) {
            const double value = scaled(static_cast<double>(x(i, j)), exponent);
            square += value * value;
        }
        square = warp_sum(square);
        if (lane == 0)
            facts[i] = {square == 0 ? 1 : sqrt(square), square, ldexp(square / static_cast<double>(x.cols), 2 * exponent), exponent};
    });
}

template <class Real>
__global__ void scale_rows_kernel(DeviceMatrix<const Real> x, const RowFacts* facts, DeviceMatrix<double> out) {
    for_each_entry(out.rows, out.cols, [&](Index i, Index j) { out(i, j) = scaled(static_cast<double>(x(i, j)), facts[i].exponent); });
}

/// A thread a sample.
template <class Dual>
__global__ void tabulate_kernel(Recursion recursion, Dual dual, Side side, Pass pass) {
    for_each_entry(1, side.count, [&](Index, Index j) {
        SampleState state = pass.first == 0 ? SampleState{} : side.states[j];
        for (Index l = pass.first; l < pass.last; ++l) {
            TableEntry<Dual> entry{};
            if (l == 0) {
                entry.layer =
                    first_layer(recursion.constants, recursion.gains[0], side.facts[j].mean_square, side.facts[j].squared_norm == 0, state);
                side.root[j] = sqrt(state.covariance.hi);
            } else {
                entry.layer = next_layer(recursion.constants, dual, recursion.gains[l], state, entry.dual);
            }
            entry.store(side.table + (l - pass.first) * TableEntry<Dual>::count * side.count + j, side.count);
        }
        side.states[j] = state;
    });
}

__device__ InputPair input_of(const PairTile& tile, Index i, Index j, double product) {
    const Side &rows = tile.rows, &cols = tile.cols;
    const RowFacts &x = rows.facts[i], &y = cols.facts[j];
    const double cosine = product / (x.norm * y.norm);
    if (fabs(cosine) > near_line)
        return near_line_pair(rows.values + i * rows.inputs, cols.values + j * cols.inputs, rows.inputs, product, x.squared_norm,
                              y.squared_norm, y.exponent - x.exponent);
    return input_pair(cosine, ratio_or_zero(x.mean_square - y.mean_square, x.mean_square + y.mean_square));
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
    const InputPair input = input_of(tile, i, j, product);
    const LayerFactors x = LayerFactors::load(tile.rows.table + i, tile.rows.count),
                       y = LayerFactors::load(tile.cols.table + j, tile.cols.count);
    return {first_correlation(input, x, y, tile.rows.root[i] / tile.cols.root[j]), first_tangent_value(input, x, y)};
}

/// `Bias`: sigma_b > 0 (without it the image is the next correlation).
template <class Dual, bool Bias>
__device__ PairState next_state(const Dual& dual, const PairState& state, const TableEntry<Dual>& x, const TableEntry<Dual>& y) {
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
            const Index layer = (l - pass.first) * TableEntry<Dual>::count;
            state =
                next_state<Dual, Bias>(dual, state, TableEntry<Dual>::load(tile.rows.table + layer * tile.rows.count + i, tile.rows.count),
                                       TableEntry<Dual>::load(tile.cols.table + layer * tile.cols.count + j, tile.cols.count));
        }
        if (pass.last < recursion.depth) {
            state.store(tile.pairs + pair, pairs);
        } else {
            tile.entries[pair] = final_entry(recursion, dual, tile, i, j, state);
        }
    });
}

template <class Real>
__global__ void store_entries_kernel(DeviceMatrix<const double> entries, DeviceMatrix<Real> out, bool lower) {
    for_each_entry(out.rows, out.cols, [&](Index i, Index j) {
        if (!lower || j <= i) out(i, j) = static_cast<Real>(entries(i, j));
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

template <class Real>
class MeasuredRows {
public:
    MeasuredRows(Context& context, ConstMatrixView<Real> x) : x_(x), facts_(context, x.rows() * sizeof(RowFacts)) {
        context.launch("measure_rows", warps_shape(x.rows()), measure_rows_kernel<Real>, x, facts());
    }
    RowFacts* facts() const { return facts_.as<RowFacts>(); }
    ConstMatrixView<Real> view() const { return x_; }

private:
    ConstMatrixView<Real> x_;
    Buffer facts_;
};

/// Memory of one side of a tile of up to `most` samples.
class SideMemory {
public:
    SideMemory(Context& context, Index most, Index inputs, Index layers, Index factors)
        : values_(context, most * inputs * sizeof(double)),
          states_(context, most * sizeof(SampleState)),
          root_(context, most * sizeof(double)),
          table_(context, layers * factors * most * sizeof(double)) {}

    /// Rows [first, first + count), scaled.
    template <class Real>
    Side pack(Context& context, const MeasuredRows<Real>& rows, Index first, Index count) const {
        const Index inputs = rows.view().cols();
        const Side side{
            count, inputs, rows.facts() + first, values_.as<double>(), states_.as<SampleState>(), root_.as<double>(), table_.as<double>()};
        context.launch("scale_rows", entries_shape(count, inputs), scale_rows_kernel<Real>, rows.view().row_range(first, count), side.facts,
                       MatrixView<double>(side.values, count, inputs));
        return side;
    }

private:
    Buffer values_, states_, root_, table_;
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
    const Index inputs = x1.view().cols(), rows = std::min(tiling.limit, out.rows()), cols = std::min(tiling.limit, out.cols());
    const Index layers = std::min(tiling.limit_layers, recursion.depth);
    const SideMemory row_memory(context, rows, inputs, layers, TableEntry<Dual>::count),
        col_memory(context, cols, inputs, layers, TableEntry<Dual>::count);
    const Buffer entries(context, rows * cols * sizeof(double));
    const Buffer pairs(context, layers < recursion.depth ? PairState::count * rows * cols * sizeof(double) : 0);
    for (Index i = 0; i < out.rows(); i += tiling.limit)
        for (Index j = 0; j < (lower ? i + 1 : out.cols()); j += tiling.limit) {
            const Side left = row_memory.pack(context, x1, i, std::min(rows, out.rows() - i));
            const Side right = col_memory.pack(context, x2, j, std::min(cols, out.cols() - j));
            const PairTile tile{left, right, entries.as<double>(), pairs.as<double>(), lower && i == j};
            const MatrixView<double> values(tile.entries, left.count, right.count);
            gemm(context, Transpose::no, Transpose::yes, 1.0, ConstMatrixView<double>(left.values, left.count, inputs),
                 ConstMatrixView<double>(right.values, right.count, inputs), 0.0, values);
            run_tile(context, recursion, dual, tile, layers);
            context.launch("store_entries", entries_shape(left.count, right.count), store_entries_kernel<Real>,
                           ConstMatrixView<double>(values),
                           MatrixView<Real>(out.data() + i * out.stride() + j, left.count, right.count, out.stride()), tile.lower);
        }
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

template class CudaInfiniteWidth<float>;
template class CudaInfiniteWidth<double>;

}  // namespace ntk::cuda

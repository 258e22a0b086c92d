#include "limit_tiles.hpp"

#include "instruction_sets.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ntk {
namespace {

using namespace formulas;

/// Pairs of one row that go through all layers together: their state stays in the first cache.
constexpr Index block = 64;

/// Takes the samples through layers [first, last) and tabulates the factors: layer, factor, sample.
template <class Dual>
NTK_INLINE void tabulate(const LimitProblem& problem, const Dual& dual, const LimitSamples& samples, Index first, Index last,
                         SampleState* states, double* root, double* table) {
    for (Index l = first; l < last; ++l) {
        const DoubleDouble gain = problem.gains[static_cast<std::size_t>(l)];
        double* layer = table + (l - first) * TableEntry<LayerFactors, Dual>::count * samples.count;
        for (Index j = 0; j < samples.count; ++j) {
            TableEntry<LayerFactors, Dual> entry{};
            if (l == 0) {
                entry.layer = first_layer(problem.constants, gain, samples.mean_square[j], samples.squared_norm[j] == 0, states[j]);
                root[j] = std::sqrt(states[j].covariance.hi);
            } else {
                entry.layer = next_layer(problem.constants, dual, gain, states[j], entry.dual);
            }
            entry.store(layer + j, samples.count);
        }
    }
}

/// The kernel between a sample and one that is exactly zero where sigma_b = 0. All it can hold is gradients of trained biases.
template <class Dual>
NTK_INLINE double zero_sample_entry(const LimitProblem& problem, const Dual& dual, double mean_square, bool zero) {
    if (!problem.tangent) return 0;
    SampleState sample;
    first_layer(problem.constants, problem.gains[0], mean_square, zero, sample);
    double entry = problem.constants.bias_gradient.hi;
    for (std::size_t l = 1; l < problem.gains.size() && entry != 0; ++l) {
        entry = next_tangent_with_zero(problem.constants, dual, sample.covariance.hi, entry);
        typename Dual::Factors factors;
        next_layer(problem.constants, dual, problem.gains[l], sample, factors);
    }
    return entry;
}

/// The state of up to `block` pairs of one row.
struct PairBlock {
    double rho[block], below_one[block], above_minus_one[block], difference[block], tangent[block];
};

template <class Dual, bool Ntk, bool Bias>
NTK_INLINE void start_block(const LimitWorkspace& w, const LimitSamples& rows, Index i, const LimitSamples& cols, Index col, Index count,
                            const double* products, PairBlock& pairs) {
    constexpr bool unequal = Bias || Dual::depends_on_variance;
    const double norm = rows.norm[i], mean_square = rows.mean_square[i];
    double largest = 0;
#pragma omp simd reduction(max : largest)
    for (Index b = 0; b < count; ++b) {
        const double other = cols.mean_square[col + b];
        const double cosine = products[b] / (norm * cols.norm[col + b]);
        const InputPair input = input_pair(cosine, unequal ? ratio_or_zero(mean_square - other, mean_square + other) : 0);
        pairs.rho[b] = input.rho;
        pairs.below_one[b] = input.below_one;
        pairs.above_minus_one[b] = input.above_minus_one;
        pairs.difference[b] = input.difference;
        largest = std::max(largest, std::fabs(cosine));
    }
    for (Index b = 0; b < count && largest > near_line; ++b) {
        if (std::fabs(pairs.rho[b]) <= near_line) continue;
        const InputPair input = near_line_pair_of(rows, i, cols, col + b, products[b]);
        pairs.rho[b] = input.rho;
        pairs.below_one[b] = input.below_one;
        pairs.above_minus_one[b] = input.above_minus_one;
        pairs.difference[b] = input.difference;
    }
    const LayerFactors x = LayerFactors::load(w.row_table.data() + i, rows.count);
    const double* table = w.col_table.data() + col;
    const double* roots = w.col_root.data() + col;
    const double root = w.row_root[static_cast<std::size_t>(i)];
#pragma omp simd
    for (Index b = 0; b < count; ++b) {
        const InputPair input{pairs.rho[b], pairs.below_one[b], pairs.above_minus_one[b], pairs.difference[b]};
        const LayerFactors y = LayerFactors::load(table + b, cols.count);
        const Correlation c = unequal ? first_correlation(input, x, y, root / roots[b])
                                      : Correlation{input.rho, input.below_one, input.above_minus_one, input.difference};
        if constexpr (Ntk) pairs.tangent[b] = first_tangent_value(input, x, y);
        pairs.rho[b] = c.rho;
        pairs.below_one[b] = c.below_one;
        pairs.above_minus_one[b] = c.above_minus_one;
        pairs.difference[b] = c.difference;
    }
}

/// One layer for a block; `Bias`: sigma_b > 0 (without it the image is the next correlation).
template <class Dual, bool Ntk, bool Bias>
NTK_INLINE void advance_block(const Dual& dual, const double* row_table, Index row_stride, const double* col_table, Index col_stride,
                              Index count, PairBlock& pairs) {
    const TableEntry<LayerFactors, Dual> x = TableEntry<LayerFactors, Dual>::load(row_table, row_stride);
#pragma omp simd
    for (Index b = 0; b < count; ++b) {
        const TableEntry<LayerFactors, Dual> y = TableEntry<LayerFactors, Dual>::load(col_table + b, col_stride);
        const Correlation c{pairs.rho[b], pairs.below_one[b], pairs.above_minus_one[b], pairs.difference[b]};
        const Image image = dual.image(c, x.dual, y.dual);
        if constexpr (Ntk) pairs.tangent[b] = next_tangent_value(pairs.tangent[b], image, x.layer, y.layer);
        const Correlation next = Bias ? next_correlation(image, x.layer, y.layer) : image.value;
        pairs.rho[b] = next.rho;
        pairs.below_one[b] = next.below_one;
        pairs.above_minus_one[b] = next.above_minus_one;
        pairs.difference[b] = next.difference;
    }
}

/// Moves a block between the registers' side and the workspace.
template <bool Load>
NTK_INLINE void transfer_block(LimitWorkspace& w, Index pair_count, Index first, Index count, PairBlock& pairs) {
    double* const fields[LimitWorkspace::fields] = {pairs.rho, pairs.below_one, pairs.above_minus_one, pairs.difference, pairs.tangent};
    for (int f = 0; f < LimitWorkspace::fields; ++f) {
        double* stored = w.pairs.data() + f * pair_count + first;
        if constexpr (Load)
            std::copy(stored, stored + count, fields[f]);
        else
            std::copy(fields[f], fields[f] + count, stored);
    }
}

template <class Dual, bool Ntk, bool Bias>
NTK_INLINE void tile(const LimitProblem& problem, const Dual& dual, const LimitSamples& rows, const LimitSamples& cols, bool lower,
                     LimitWorkspace& w, double* entries) {
    constexpr Index factors = TableEntry<LayerFactors, Dual>::count;
    const auto depth = static_cast<Index>(problem.gains.size());
    const auto diagonal = [](const SampleState& s) { return Ntk ? s.tangent.hi : s.covariance.hi; };
    for (Index first = 0; first < depth; first += LimitWorkspace::layers_at_once) {
        const Index last = std::min(depth, first + LimitWorkspace::layers_at_once);
        tabulate(problem, dual, rows, first, last, w.row_states.data(), w.row_root.data(), w.row_table.data());
        tabulate(problem, dual, cols, first, last, w.col_states.data(), w.col_root.data(), w.col_table.data());
        for (Index i = 0; i < rows.count; ++i)
            w.row_last[static_cast<std::size_t>(i)] = std::sqrt(diagonal(w.row_states[static_cast<std::size_t>(i)]));
        for (Index j = 0; j < cols.count; ++j)
            w.col_last[static_cast<std::size_t>(j)] = std::sqrt(diagonal(w.col_states[static_cast<std::size_t>(j)]));
        for (Index i = 0; i < rows.count; ++i) {
            const Index used = lower ? i + 1 : cols.count;
            for (Index col = 0; col < used; col += block) {
                const Index count = std::min(block, used - col);
                double* out = entries + i * cols.count + col;
                PairBlock pairs;
                if (first == 0)
                    start_block<Dual, Ntk, Bias>(w, rows, i, cols, col, count, out, pairs);
                else
                    transfer_block<true>(w, rows.count * cols.count, i * cols.count + col, count, pairs);
                for (Index l = std::max<Index>(first, 1); l < last; ++l)
                    advance_block<Dual, Ntk, Bias>(dual, w.row_table.data() + (l - first) * factors * rows.count + i, rows.count,
                                                   w.col_table.data() + (l - first) * factors * cols.count + col, cols.count, count, pairs);
                if (last < depth) {
                    transfer_block<false>(w, rows.count * cols.count, i * cols.count + col, count, pairs);
                    continue;
                }
                const double* value = Ntk ? pairs.tangent : pairs.rho;
                for (Index b = 0; b < count; ++b)
                    out[b] = w.row_last[static_cast<std::size_t>(i)] * w.col_last[static_cast<std::size_t>(col + b)] * value[b];
            }
        }
    }
    if (problem.constants.bias_variance.hi == 0)
        for (Index i = 0; i < rows.count; ++i)
            for (Index j = 0; j < cols.count; ++j) {
                const bool zero_row = rows.squared_norm[i] == 0, zero_col = cols.squared_norm[j] == 0;
                if (zero_row)
                    entries[i * cols.count + j] = zero_sample_entry(problem, dual, cols.mean_square[j], zero_col);
                else if (zero_col)
                    entries[i * cols.count + j] = zero_sample_entry(problem, dual, rows.mean_square[i], zero_row);
            }
    if (lower)
        for (Index i = 0; i < rows.count; ++i) entries[i * cols.count + i] = diagonal(w.row_states[static_cast<std::size_t>(i)]);
}

template <class Dual>
NTK_INLINE void tile_of(const LimitProblem& problem, const Dual& dual, const LimitSamples& rows, const LimitSamples& cols, bool lower,
                        LimitWorkspace& w, double* entries) {
    const bool bias = problem.constants.bias_variance.hi > 0;
    if (problem.tangent && bias)
        tile<Dual, true, true>(problem, dual, rows, cols, lower, w, entries);
    else if (problem.tangent)
        tile<Dual, true, false>(problem, dual, rows, cols, lower, w, entries);
    else if (bias)
        tile<Dual, false, true>(problem, dual, rows, cols, lower, w, entries);
    else
        tile<Dual, false, false>(problem, dual, rows, cols, lower, w, entries);
}

NTK_INLINE void any_tile(const LimitProblem& problem, const LimitSamples& rows, const LimitSamples& cols, bool lower, LimitWorkspace& w,
                         double* entries) {
    if (problem.activation.kind == Activation::Kind::erf)
        tile_of(problem, ErfDual{}, rows, cols, lower, w, entries);
    else
        tile_of(problem, RectifierDual(problem.activation), rows, cols, lower, w, entries);
}

void tile_baseline(const LimitProblem& problem, const LimitSamples& rows, const LimitSamples& cols, bool lower, LimitWorkspace& w,
                   double* entries) {
    any_tile(problem, rows, cols, lower, w, entries);
}

NTK_AVX2 void tile_avx2(const LimitProblem& problem, const LimitSamples& rows, const LimitSamples& cols, bool lower, LimitWorkspace& w,
                        double* entries) {
    any_tile(problem, rows, cols, lower, w, entries);
}
NTK_AVX512 void tile_avx512(const LimitProblem& problem, const LimitSamples& rows, const LimitSamples& cols, bool lower, LimitWorkspace& w,
                            double* entries) {
    any_tile(problem, rows, cols, lower, w, entries);
}

template <class Dual>
double diagonal_of(const LimitProblem& problem, const Dual& dual, double mean_square, bool zero) {
    SampleState sample;
    typename Dual::Factors factors;
    first_layer(problem.constants, problem.gains[0], mean_square, zero, sample);
    for (std::size_t l = 1; l < problem.gains.size(); ++l) next_layer(problem.constants, dual, problem.gains[l], sample, factors);
    return problem.tangent ? sample.tangent.hi : sample.covariance.hi;
}

}  // namespace

LimitWorkspace::LimitWorkspace(const LimitProblem& problem, Index side) {
    const auto depth = static_cast<Index>(problem.gains.size());
    const auto samples = static_cast<std::size_t>(side);
    const Index factors = problem.activation.kind == Activation::Kind::erf ? TableEntry<LayerFactors, ErfDual>::count
                                                                           : TableEntry<LayerFactors, RectifierDual>::count;
    static_assert(TableEntry<LayerFactors, ErfDual>::count <= most_factors && TableEntry<LayerFactors, RectifierDual>::count <= most_factors);
    const std::size_t table = static_cast<std::size_t>(std::min(depth, layers_at_once) * factors) * samples;
    row_states.resize(samples);
    col_states.resize(samples);
    row_table.resize(table);
    col_table.resize(table);
    row_root.resize(samples);
    col_root.resize(samples);
    row_last.resize(samples);
    col_last.resize(samples);
    if (depth > layers_at_once) pairs.resize(fields * samples * samples);
}

const std::vector<LimitTile>& limit_tile_variants() {
    static const std::vector<LimitTile> variants = runnable_variants<LimitTile>(tile_baseline, tile_avx2, tile_avx512);
    return variants;
}

double limit_diagonal(const LimitProblem& problem, double mean_square, bool zero) {
    if (problem.activation.kind == Activation::Kind::erf) return diagonal_of(problem, ErfDual{}, mean_square, zero);
    return diagonal_of(problem, RectifierDual(problem.activation), mean_square, zero);
}

}  // namespace ntk

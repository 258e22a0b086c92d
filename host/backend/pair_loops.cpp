#include "pair_loops.hpp"

#include "instruction_sets.hpp"

#include <algorithm>
#include <cmath>

namespace ntk {
namespace {

using namespace formulas;

/// Pairs of one row that go through all layers of a pass together: their state stays in the first cache.
constexpr Index block = 64;

template <class Dual>
using Entry = TableEntry<PreciseLayerFactors, Dual>;

NTK_INLINE void store_state(double* to, Index stride, DoubleDouble variance, DoubleDouble tangent_inverse) {
    to[0] = variance.hi;
    to[stride] = variance.lo;
    to[2 * stride] = tangent_inverse.hi;
    to[3 * stride] = tangent_inverse.lo;
}

NTK_INLINE void first_samples(const PairProblem& problem, const double* mean_square, Index first, Index last, SampleStates states,
                              FactorTable table) {
    problem.with_dual([&](const auto& dual) __attribute__((always_inline)) {
        for (Index j = first; j < last; ++j) {
            DoubleDouble variance, tangent_inverse;
            first_layer(problem.constants, dual, mean_square[j - first], variance, tangent_inverse).store(table.values + j, table.stride);
            store_state(states.values + j, states.count, variance, tangent_inverse);
        }
    });
}

template <class Dual>
NTK_INLINE void next_samples_of(const NormalizedConstants& constants, const Dual& dual, Index layers, Index first, Index last,
                                const SampleStates& states, const FactorTable& table) {
    for (Index j = first; j < last; ++j) {
        double* state = states.values + j;
        const Index n = states.count;
        DoubleDouble variance{state[0], state[n]}, tangent_inverse{state[2 * n], state[3 * n]};
        for (Index l = 0; l < layers; ++l) {
            Entry<Dual> entry{};
            entry.layer = next_layer(constants, dual, variance, tangent_inverse, entry.dual);
            entry.store(table.values + l * Entry<Dual>::count * table.stride + j, table.stride);
        }
        store_state(state, n, variance, tangent_inverse);
    }
}

NTK_INLINE void next_samples(const PairProblem& problem, Index layers, Index first, Index last, SampleStates states, FactorTable table) {
    problem.with_dual([&](const auto& dual)
                          __attribute__((always_inline)) { next_samples_of(problem.constants, dual, layers, first, last, states, table); });
}

/// The state of up to `block` pairs of one row.
struct PairBlock {
    double values[NormalizedPair::count * block];

    NTK_INLINE NormalizedPair load(Index b) const { return NormalizedPair::load(values + b, block); }
    NTK_INLINE void store(const NormalizedPair& pair, Index b) { pair.store(values + b, block); }
};

/// The stored state of pairs from column `col` of row i on.
NTK_INLINE void read_block(const PairTileState& tile, Index i, Index col, Index count, PairBlock& pairs) {
    for (int f = 0; f < NormalizedPair::count; ++f) {
        const double* from = tile.values + (f * tile.rows + i) * tile.cols + col;
        std::copy(from, from + count, pairs.values + f * block);
    }
}
NTK_INLINE void write_block(const PairBlock& pairs, const PairTileState& tile, Index i, Index col, Index count) {
    for (int f = 0; f < NormalizedPair::count; ++f)
        std::copy(pairs.values + f * block, pairs.values + f * block + count, tile.values + (f * tile.rows + i) * tile.cols + col);
}

/// visit(i, col, count) for the blocks of a tile, so that the tables of a block's columns serve all rows while they are in cache.
template <class Visit>
NTK_INLINE void for_each_block(const PairTileState& tile, const Visit& visit) {
    for (Index col = 0; col < tile.cols; col += block)
        for (Index i = tile.lower ? col : 0; i < tile.rows; ++i) visit(i, col, std::min(block, (tile.lower ? i + 1 : tile.cols) - col));
}

template <bool Unequal>
NTK_INLINE void first_block(const LimitSamples& rows, const LimitSamples& cols, const double* products, FactorTable row_table,
                            FactorTable col_table, Index i, Index col, Index count, PairBlock& pairs) {
    InputPair input[block];
    for (Index b = 0; b < count; ++b) {
        const double x = rows.mean_square[i], y = cols.mean_square[col + b];
        const double cosine = products[b] / (rows.norm[i] * cols.norm[col + b]);
        input[b] = std::fabs(cosine) > near_line ? near_line_pair_of(rows, i, cols, col + b, products[b])
                                                 : input_pair(cosine, ratio_or_zero(x - y, x + y));
    }
    const FirstFactors x = FirstFactors::load(row_table.values + i, row_table.stride);
    for (Index b = 0; b < count; ++b)
        pairs.store(first_pair<Unequal>(input[b], x, FirstFactors::load(col_table.values + col + b, col_table.stride)), b);
}

NTK_INLINE void first_pairs(const PairProblem& problem, const LimitSamples& rows, const LimitSamples& cols, const double* products,
                            FactorTable row_table, FactorTable col_table, const PairTileState& tile) {
    const bool unequal = problem.biased() || problem.activation.kind == Activation::Kind::erf;
    for_each_block(
        tile, [&](Index i, Index col, Index count) __attribute__((always_inline)) {
            PairBlock pairs;
            const double* from = products + i * tile.cols + col;
            if (unequal)
                first_block<true>(rows, cols, from, row_table, col_table, i, col, count, pairs);
            else
                first_block<false>(rows, cols, from, row_table, col_table, i, col, count, pairs);
            write_block(pairs, tile, i, col, count);
        });
}

/// A block one layer on, with the factors x of its row and those of its columns. `dual` is a copy: what is behind a reference could be
/// what the loop writes.
template <bool Bias, class Dual>
NTK_INLINE void next_block(const Dual dual, const Entry<Dual> x, const double* columns, Index stride, Index count, PairBlock& pairs) {
#pragma omp simd
    for (Index b = 0; b < count; ++b) pairs.store(next_pair<Bias>(dual, pairs.load(b), x, Entry<Dual>::load(columns + b, stride)), b);
}

template <bool Bias, class Dual>
NTK_INLINE void next_pairs_of(const Dual& dual, Index layers, FactorTable row_table, FactorTable col_table, const PairTileState& tile) {
    constexpr Index factors = Entry<Dual>::count;
    for_each_block(
        tile, [&](Index i, Index col, Index count) __attribute__((always_inline)) {
            PairBlock pairs;
            read_block(tile, i, col, count, pairs);
            for (Index l = 0; l < layers; ++l)
                next_block<Bias>(dual, Entry<Dual>::load(row_table.values + l * factors * row_table.stride + i, row_table.stride),
                                 col_table.values + l * factors * col_table.stride + col, col_table.stride, count, pairs);
            write_block(pairs, tile, i, col, count);
        });
}

NTK_INLINE void next_pairs(const PairProblem& problem, Index layers, FactorTable row_table, FactorTable col_table,
                           const PairTileState& tile) {
    problem.with_dual([&](const auto& dual) __attribute__((always_inline)) {
        if (problem.biased())
            next_pairs_of<true>(dual, layers, row_table, col_table, tile);
        else
            next_pairs_of<false>(dual, layers, row_table, col_table, tile);
    });
}

/// The loops under one set of instructions.
#define NTK_PAIR_LOOPS(name, target)                                                                                               \
    struct name {                                                                                                                  \
        target static void first_of_samples(const PairProblem& problem, const double* mean_square, Index first, Index last,        \
                                            SampleStates states, FactorTable table) {                                              \
            first_samples(problem, mean_square, first, last, states, table);                                                       \
        }                                                                                                                          \
        target static void next_of_samples(const PairProblem& problem, Index layers, Index first, Index last, SampleStates states, \
                                           FactorTable table) {                                                                    \
            next_samples(problem, layers, first, last, states, table);                                                             \
        }                                                                                                                          \
        target static void first_of_pairs(const PairProblem& problem, const LimitSamples& rows, const LimitSamples& cols,          \
                                          const double* products, FactorTable row_table, FactorTable col_table,                    \
                                          const PairTileState& tile) {                                                             \
            first_pairs(problem, rows, cols, products, row_table, col_table, tile);                                                \
        }                                                                                                                          \
        target static void next_of_pairs(const PairProblem& problem, Index layers, FactorTable row_table, FactorTable col_table,   \
                                         const PairTileState& tile) {                                                              \
            next_pairs(problem, layers, row_table, col_table, tile);                                                               \
        }                                                                                                                          \
        static constexpr PairLoops loops{first_of_samples, next_of_samples, first_of_pairs, next_of_pairs};                        \
    };

#define NTK_BASELINE
NTK_PAIR_LOOPS(Baseline, NTK_BASELINE)
NTK_PAIR_LOOPS(Avx2, NTK_AVX2)
NTK_PAIR_LOOPS(Avx512, NTK_AVX512)

}  // namespace

Index PairLoops::factors(const PairProblem& problem) {
    return problem.activation.kind == Activation::Kind::erf ? Entry<PreciseErfDual>::count : Entry<RectifierDual>::count;
}

const std::vector<PairLoops>& pair_loop_variants() {
    static const std::vector<PairLoops> variants = runnable_variants<PairLoops>(Baseline::loops, Avx2::loops, Avx512::loops);
    return variants;
}

}  // namespace ntk

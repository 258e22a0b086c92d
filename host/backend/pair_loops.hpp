#pragma once

// The loops of the normalised recursion over samples and over a tile of pairs, compiled for several instruction sets (the same bits from
// each).

#include "limit_samples.hpp"
#include "pair_problem.hpp"

#include <vector>

namespace ntk {

/// Samples of one side of a recursion between two layers: the components of `variance` and `tangent_inverse` (normalized_sample.hpp),
/// each `count` long.
struct SampleStates {
    static constexpr int components = 4;
    Index count;
    double* values;
};

/// A table over layers of what samples bring to their pairs: layer, factor, sample. `stride` is from factor to factor.
struct FactorTable {
    double* values;
    Index stride;
};

/// The state of a tile of pairs: field, row, column. `lower`: only j <= i is used.
struct PairTileState {
    Index rows, cols;
    bool lower;
    double* values;
};

struct PairLoops {
    /// Factors of one sample and layer.
    static Index factors(const PairProblem& problem);

    /// Samples [first, last) at the first layer; mean_square[0] is that of sample `first`.
    void (*first_samples)(const PairProblem& problem, const double* mean_square, Index first, Index last, SampleStates states,
                          FactorTable table);
    /// The same at the next `layers` layers.
    void (*next_samples)(const PairProblem& problem, Index layers, Index first, Index last, SampleStates states, FactorTable table);
    /// A tile at the first layer, from the products of its scaled rows. The tables begin at the tile.
    void (*first_pairs)(const PairProblem& problem, const LimitSamples& rows, const LimitSamples& cols, const double* products,
                        FactorTable row_table, FactorTable col_table, const PairTileState& tile);
    /// The same at the layer that is `layers` on.
    void (*next_pairs)(const PairProblem& problem, Index layers, FactorTable row_table, FactorTable col_table, const PairTileState& tile);
};

/// Implementations that run on this machine, the fastest last.
[[nodiscard]] const std::vector<PairLoops>& pair_loop_variants();

}  // namespace ntk

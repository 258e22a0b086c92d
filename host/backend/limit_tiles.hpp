#pragma once

// The infinite-width recursion over one tile of pairs, compiled for several instruction sets (the same bits from each).

#include "limit_problem.hpp"
#include "limit_samples.hpp"

#include <vector>

namespace ntk {

/// Scratch memory of one thread for tiles of up to `side` x `side` pairs.
class LimitWorkspace {
public:
    LimitWorkspace(const LimitProblem& problem, Index side);

    /// Layers in one pass over the pairs; deeper recursions store the pairs in between.
    static constexpr Index layers_at_once = 16;
    /// Numbers that a table has of a layer and a sample, at most.
    static constexpr Index most_factors = 20;
    enum Field { rho, below_one, above_minus_one, difference, tangent, fields };

    std::vector<formulas::SampleState> row_states, col_states;
    std::vector<double> row_table, col_table;  ///< layers x factors x samples
    std::vector<double> row_root, col_root;    ///< sqrt(q_1)
    std::vector<double> row_last, col_last;    ///< root of the last diagonal
    std::vector<double> pairs;                 ///< fields x pairs, for recursions deeper than layers_at_once
};

/// entries (rows.count x cols.count, leading dimension cols.count) come in as the products of the scaled rows and become the entries of
/// the kernel. `lower`: both sides are the same samples and only j <= i is computed.
using LimitTile = void (*)(const LimitProblem& problem, const LimitSamples& rows, const LimitSamples& cols, bool lower,
                           LimitWorkspace& workspace, double* entries);

/// Implementations that run on this machine, the fastest last.
[[nodiscard]] const std::vector<LimitTile>& limit_tile_variants();

/// q_L or Theta_L of a sample with itself. NaN where a variance leaves the range of normal numbers.
[[nodiscard]] double limit_diagonal(const LimitProblem& problem, double mean_square, bool zero);

}  // namespace ntk

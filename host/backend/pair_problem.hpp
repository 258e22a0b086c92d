#pragma once

#include <ntkcuda/formulas/normalized_pair.hpp>
#include <ntkcuda/pair_recursion.hpp>

namespace ntk {

/// The normalised recursion to run, on any device.
struct PairProblem {
    Activation activation;
    formulas::NormalizedConstants constants;

    /// Throws Error(invalid_argument) naming the option that is out of its domain.
    explicit PairProblem(const PairRecursionOptions& options);

    [[nodiscard]] bool biased() const { return constants.bias_variance.hi > 0; }
    /// visit(dual) with the dual of the activation.
    template <class Visit>
    inline __attribute__((always_inline)) void with_dual(Visit visit) const {
        if (activation.kind == Activation::Kind::erf)
            visit(formulas::PreciseErfDual{});
        else
            visit(formulas::RectifierDual(activation));
    }
    /// Throws Error(invalid_argument), naming the row, if one has no normalised kernel. `squared_norm` is of the row divided by a power of
    /// two, `mean_square` is |x|^2 / d.
    void check_row(Index row, double squared_norm, double mean_square) const;
    /// Throws Error(invalid_argument) for a recursion that would have to go back.
    static void check_depth(Index present, Index asked);
};

}  // namespace ntk

#include "pair_problem.hpp"

#include <ntkcuda/backend.hpp>

#include <fmt/format.h>

#include <cfloat>
#include <cmath>

namespace ntk {
namespace {

[[noreturn]] void refuse(const std::string& what) { throw Error(ErrorCode::invalid_argument, "pair recursion: " + what); }

}  // namespace

PairProblem::PairProblem(const PairRecursionOptions& options) : activation(options.activation) {
    const double weight = options.weight_std, bias = options.bias_std;
    if (!(weight > 0) || !(weight * weight >= DBL_MIN) || !std::isfinite(weight * weight))
        refuse(fmt::format("weight_std must be positive, and its square in the range of doubles, not {}", weight));
    if (!(bias >= 0) || !std::isfinite(bias * bias) || (bias > 0 && bias * bias < DBL_MIN))
        refuse(fmt::format("bias_std must be 0 or more, and its square in the range of doubles, not {}", bias));
    if (!std::isfinite(activation.slope)) refuse(fmt::format("the slope of the activation must be finite, not {}", activation.slope));
    constants = {formulas::exact_product(weight, weight), formulas::exact_product(bias, bias), options.trained_biases};
}

void PairProblem::check_row(Index row, double squared_norm, double mean_square) const {
    if (!std::isfinite(squared_norm)) refuse(fmt::format("row {} is not finite", row));
    if (squared_norm == 0 && !biased())
        refuse(
            fmt::format("row {} is zero: without biases its kernel is zero at every depth and cannot be normalised; remove it or give "
                        "biases",
                        row));
    if (!biased() && activation.kind != Activation::Kind::erf) return;  // the norms cancel
    const double q = constants.weight_variance.hi * mean_square + constants.bias_variance.hi;
    if (!(q >= DBL_MIN && q <= 0.125 * DBL_MAX))
        refuse(fmt::format("the variance {} of row {} at the first layer leaves the range of doubles: scale the rows", q, row));
}

void PairProblem::check_depth(Index present, Index asked) {
    if (asked < present) refuse(fmt::format("it stands at depth {} and cannot go back to depth {}: start a new one", present, asked));
}

double pair_recursion_bytes(Index n1, Index n2, Index inputs, Triangle triangle) {
    // Whole tiles on the diagonal, tables of some layers and the scaled rows of a tile beside the pairs themselves.
    constexpr double tile = 2048, sample_bytes = 8.0 * 64 * 32;
    const auto rows = static_cast<double>(n1), cols = static_cast<double>(n2);
    const double pairs = triangle == Triangle::full ? rows * cols : std::fmin(rows * cols, 0.5 * rows * (cols + tile));
    const double products = std::fmin(rows, tile) * std::fmin(cols, tile);
    return 8 * formulas::NormalizedPair::count * pairs + sample_bytes * (rows + cols) +
           8 * (products + (std::fmin(rows, tile) + std::fmin(cols, tile)) * static_cast<double>(inputs));
}

}  // namespace ntk

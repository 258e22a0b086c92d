#include <ntkcuda/angle_table.hpp>

#include <ntkcuda/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ntk {
namespace {

/// Terms of a series: the truncation is below the rounding of double (the terms fall as 6^-k).
constexpr Index terms = 28;
/// Layers between two looks at the state; no exponential regime underflows within.
constexpr Index layers_at_once = 64;
/// Below this 1 - rho the first correction to the linear recursion, its root, is below the rounding of long double.
constexpr long double linear_below = 1e-42L;
/// A share of 1 - K that no digit shows any more.
constexpr long double negligible = 1e-20L;

constexpr long double pi = std::numbers::pi_v<long double>;

/// The Chebyshev node x_j in (-1, 1).
long double node(Index j) { return std::cos(static_cast<long double>(2 * j + 1) * pi / (2 * terms)); }

/// Chebyshev coefficients of the values at the nodes of one octave.
void to_series(const long double* values, double* coefficients) {
    for (Index k = 0; k < terms; ++k) {
        long double sum = 0;
        for (Index j = 0; j < terms; ++j) sum += values[j] * std::cos(static_cast<long double>(k * (2 * j + 1)) * pi / (2 * terms));
        coefficients[k] = static_cast<double>((k == 0 ? 1 : 2) * sum / terms);
    }
}

/// What the dropped terms of a series may amount to, from its last ones.
double dropped(const double* coefficients) { return std::fabs(coefficients[terms - 1]) + std::fabs(coefficients[terms - 2]); }

bool same(const SpherePair& a, const SpherePair& b) {
    return a.correlation.rho == b.correlation.rho && a.correlation.below_one == b.correlation.below_one &&
           a.correlation.above_minus_one == b.correlation.above_minus_one && a.tangent == b.tangent &&
           a.tangent_below_one == b.tangent_below_one;
}

bool same(const SphereLayer& a, const SphereLayer& b) {
    return a.weight == b.weight && a.tangent_weight == b.tangent_weight && a.tangent_carry == b.tangent_carry &&
           a.dual.at_one().derivative == b.dual.at_one().derivative;
}

}  // namespace

AngleTable::AngleTable(const KernelFamily& family, double mean_square, double smallest, double largest)
    : family_(family), sample_(family, mean_square) {
    if (!(smallest > 0) || !(largest >= smallest) || !std::isfinite(largest))
        throw Error(
            ErrorCode::invalid_argument,
            fmt::format("an angle table needs half-angle tangents 0 < smallest <= largest < infinity, not {} and {}", smallest, largest));
    first_octave_ = std::ilogb(smallest);
    octaves_ = std::ilogb(largest) - first_octave_ + 1;
    pairs_.resize(static_cast<std::size_t>(octaves_ * terms + 1));
    const SphereLayer first = sample_.next();
    for (Index k = 0; k < octaves_; ++k)
        for (Index j = 0; j < terms; ++j)
            pairs_[static_cast<std::size_t>(k * terms + j)] =
                first_pair(first, cosine_of(std::ldexp((3 + node(j)) / 2, first_octave_ + static_cast<int>(k))));
    pairs_.back() = first_pair(first, {-1, 2, 0});
}

AngleTable::Scaled AngleTable::scaled(long double mantissa, std::int64_t exponent) {
    int shift = 0;
    const long double fraction = std::frexp(mantissa, &shift);
    return {fraction, exponent + shift};
}

AngleTable::Scaled AngleTable::sum(const Scaled& a, const Scaled& b) {
    if (a.mantissa == 0) return b;
    if (b.mantissa == 0) return a;
    const std::int64_t top = std::max(a.exponent, b.exponent);
    const auto aligned = [&](const Scaled& s) {
        return s.exponent < top - 200 ? 0 : std::ldexp(s.mantissa, static_cast<int>(s.exponent - top));
    };
    return scaled(aligned(a) + aligned(b), top);
}

void AngleTable::advance_nodes(Index layers) {
    std::vector<SphereLayer> steps;
    for (Index l = 0; l < layers; ++l) steps.push_back(sample_.next());
    bool moved = layers < 2 || !same(steps[steps.size() - 2], steps.back()), linear = true;
#pragma omp parallel for schedule(static) reduction(|| : moved) reduction(&& : linear)
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
        SpherePair pair = pairs_[i], before = pair;
        for (const SphereLayer& step : steps) {
            before = pair;
            pair = next_pair(step, pair);
        }
        pairs_[i] = pair;
        moved = moved || !same(before, pair);
        linear = linear && pair.correlation.below_one < linear_below;
    }
    frozen_ = !moved;
    if (!linear || frozen_) return;
    linear_.emplace();
    power_ = steps.back().dual.at_one().power;
}

void AngleTable::advance_linear() {
    const SphereLayer layer = sample_.next();
    const DualAtOne& dual = layer.dual.at_one();
    LinearRegime& s = *linear_;
    const auto times = [](const Scaled& a, long double factor) { return scaled(a.mantissa * factor, a.exponent); };
    // (1 - rho)^power of the layer below, in units of (1 - rho*)^power; an odd exponent gives half of itself to the root.
    Scaled bent = s.correlation;
    if (power_ == 0.5) {
        const std::int64_t odd = bent.exponent & 1;
        bent = scaled(std::sqrt(std::ldexp(bent.mantissa, static_cast<int>(odd))), (bent.exponent - odd) / 2);
    }
    s.alpha = times(s.alpha, layer.tangent_carry);
    s.beta = times(sum(s.beta, times(bent, dual.bend)), layer.tangent_carry);
    // A kinked dual's own 1 - rho is smaller than its root by more than all digits.
    if (power_ == 1) s.beta = sum(s.beta, times(s.correlation, layer.tangent_weight * dual.derivative));
    s.correlation = times(s.correlation, layer.weight * dual.derivative);
}

void AngleTable::advance(Index depth, const std::function<void(Index)>& progress) {
    if (depth < sample_.depth())
        throw Error(ErrorCode::invalid_argument, fmt::format("the angle table is at depth {}, past {}", sample_.depth(), depth));
    while (sample_.depth() < depth) {
        const Index layers = std::min(depth - sample_.depth(), layers_at_once);
        if (linear_)
            for (Index l = 0; l < layers; ++l) advance_linear();
        else if (frozen_)
            for (Index l = 0; l < layers; ++l) (void)sample_.next();
        else
            advance_nodes(layers);
        if (progress) progress(sample_.depth());
    }
}

std::vector<AngleTable::Scaled> AngleTable::below_one_at_nodes() const {
    std::vector<Scaled> result;
    for (const SpherePair& pair : pairs_) {
        const long double correlation = pair.correlation.below_one, tangent = pair.tangent_below_one;
        if (!linear_) {
            result.push_back(scaled(family_.kernel == InfiniteKernel::nngp ? correlation : tangent));
        } else if (family_.kernel == InfiniteKernel::nngp) {
            result.push_back(scaled(linear_->correlation.mantissa * correlation, linear_->correlation.exponent));
        } else {
            const long double bent = power_ == 0.5 ? std::sqrt(correlation) : correlation;
            result.push_back(sum(scaled(linear_->alpha.mantissa * tangent, linear_->alpha.exponent),
                                 scaled(linear_->beta.mantissa * bent, linear_->beta.exponent)));
        }
    }
    return result;
}

bool AngleTable::still() const {
    if (!linear_ || family_.kernel == InfiniteKernel::nngp) return frozen_ || linear_.has_value();
    // The part that does not grow like the rest: alpha (1 - K*) against beta (1 - rho*)^power.
    return std::all_of(pairs_.begin(), pairs_.end(), [&](const SpherePair& pair) {
        const long double bent = power_ == 0.5 ? std::sqrt(pair.correlation.below_one) : pair.correlation.below_one;
        const Scaled fading = scaled(linear_->alpha.mantissa * pair.tangent_below_one, linear_->alpha.exponent),
                     lasting = scaled(linear_->beta.mantissa * bent * negligible, linear_->beta.exponent);
        return fading.exponent < lasting.exponent;
    });
}

AngleLevel AngleTable::level() const {
    AngleLevel level{sample_.depth(), first_octave_, octaves_, terms, {}, {}, 0, 0, 0, 0, still()};
    const std::vector<Scaled> below = below_one_at_nodes();
    level.exponent = std::max_element(below.begin(), below.end(), [](const Scaled& a, const Scaled& b) {
                         return a.mantissa != 0 && b.mantissa != 0 ? a.exponent < b.exponent : b.mantissa != 0;
                     })->exponent;
    std::vector<long double> values, differences;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
        const Scaled& b = below[i];
        const std::int64_t shift = b.exponent - level.exponent;
        differences.push_back(shift < -16000 ? 0 : std::ldexp(b.mantissa, static_cast<int>(shift)));
        values.push_back(linear_ ? 1 : family_.kernel == InfiniteKernel::nngp ? pairs_[i].correlation.rho : pairs_[i].tangent);
    }
    level.value.resize(static_cast<std::size_t>(octaves_ * terms));
    level.below_one.resize(level.value.size());
    for (Index k = 0; k < octaves_; ++k) {
        const auto at = static_cast<std::size_t>(k * terms);
        to_series(values.data() + at, level.value.data() + at);
        to_series(differences.data() + at, level.below_one.data() + at);
        long double largest = 0, smallest = differences[at];
        for (std::size_t j = at; j < at + terms; ++j) {
            largest = std::max(largest, std::fabs(values[j]));
            smallest = std::min(smallest, differences[j]);
        }
        level.error = std::max({level.error, dropped(level.value.data() + at) / static_cast<double>(largest),
                                dropped(level.below_one.data() + at) / static_cast<double>(smallest)});
    }
    level.value_opposite = static_cast<double>(values.back());
    level.below_one_opposite = static_cast<double>(differences.back());
    return level;
}

}  // namespace ntk

#include <ntkcuda/angle_table.hpp>

#include <ntkcuda/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

namespace ntk {
namespace {

/// Terms of a series: the truncation is below the rounding of double (the terms fall as 6^-k).
constexpr Index terms = 28;
/// Layers between two looks at the state, at the same depths wherever advance() stops in between, so that stops change no bit. No
/// exponential regime underflows within.
constexpr Index layers_at_once = 64;
/// Several ranks tell each other what they see there after up to this many layers; the first to begin or end the movement of all nodes may
/// lie before, and they go back to it, once.
constexpr Index layers_apart = 4096;
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

AngleTable::AngleTable(const KernelFamily& family, double mean_square, double smallest, double largest, Ranks& ranks)
    : family_(family), ranks_(ranks), sample_(std::in_place, family, mean_square), stride_(layers_at_once) {
    if (!(smallest > 0) || !(largest >= smallest) || !std::isfinite(largest))
        throw Error(
            ErrorCode::invalid_argument,
            fmt::format("an angle table needs half-angle tangents 0 < smallest <= largest < infinity, not {} and {}", smallest, largest));
    first_octave_ = std::ilogb(smallest);
    octaves_ = std::ilogb(largest) - first_octave_ + 1;
    pairs_.resize(static_cast<std::size_t>(octaves_ * terms + 1));
    const SphereLayer first = sample_->next();
    for (Index k = 0; k < octaves_; ++k)
        for (Index j = 0; j < terms; ++j)
            pairs_[static_cast<std::size_t>(k * terms + j)] =
                first_pair(first, cosine_of(std::ldexp((3 + node(j)) / 2, first_octave_ + static_cast<int>(k))));
    pairs_.back() = first_pair(first, {-1, 2, 0});
}

std::span<SpherePair> AngleTable::nodes_of(int rank) {
    const std::size_t all = pairs_.size(), ranks = static_cast<std::size_t>(ranks_.size()), at = static_cast<std::size_t>(rank);
    return std::span(pairs_).subspan(all * at / ranks, all * (at + 1) / ranks - all * at / ranks);
}

void AngleTable::advance_nodes(Index depth, std::vector<Look>& looks) {
    const std::span<SpherePair> own = nodes_of(ranks_.rank());
    while (sample_->depth() < depth) {
        const Index layers = std::min(depth - sample_->depth(), layers_at_once - sample_->depth() % layers_at_once);
        std::vector<SphereLayer> steps;
        for (Index l = 0; l < layers; ++l) steps.push_back(sample_->next());
        const auto before_last = layers < 2 ? last_layer_ : steps[steps.size() - 2];
        last_layer_ = steps.back();
        bool moved = !before_last || !same(*before_last, steps.back()), linear = true;
#pragma omp parallel for schedule(static) reduction(|| : moved) reduction(&& : linear)
        for (std::size_t i = 0; i < own.size(); ++i) {
            SpherePair pair = own[i], before = pair;
            for (const SphereLayer& step : steps) {
                before = pair;
                pair = next_pair(step, pair);
            }
            own[i] = pair;
            moved = moved || !same(before, pair);
            linear = linear && pair.correlation.below_one < LinearRegime::begins_below;
        }
        if (sample_->depth() % layers_at_once == 0) looks.push_back({sample_->depth(), moved, linear});
    }
}

void AngleTable::look_and_advance(Index depth) {
    const std::span<SpherePair> own = nodes_of(ranks_.rank());
    const SphereSample sample = *sample_;
    const std::optional<SphereLayer> last_layer = last_layer_;
    const std::vector<SpherePair> nodes(own.begin(), own.end());
    std::vector<Look> looks;
    advance_nodes(depth, looks);
    if (looks.empty()) return;
    for (const auto& bytes : ranks_.all_gather(std::as_bytes(std::span(looks)))) {
        std::vector<Look> seen(looks.size());
        std::memcpy(seen.data(), bytes.data(), bytes.size());
        for (std::size_t i = 0; i < looks.size(); ++i) {
            looks[i].moved = looks[i].moved || seen[i].moved;
            looks[i].linear = looks[i].linear && seen[i].linear;
        }
    }
    for (const Look& look : looks) {
        frozen_ = !look.moved;
        if (!frozen_ && !look.linear) continue;
        if (look.depth < sample_->depth()) {
            sample_.emplace(sample);
            last_layer_ = last_layer;
            std::copy(nodes.begin(), nodes.end(), own.begin());
            std::vector<Look> again;
            advance_nodes(look.depth, again);
        }
        if (!frozen_) linear_.emplace(family_.kernel, last_layer_->dual.at_one().power);
        return;
    }
}

void AngleTable::exchange_nodes() {
    if (ranks_.size() == 1) return;
    const auto all = ranks_.all_gather(std::as_bytes(nodes_of(ranks_.rank())));
    for (int rank = 0; rank < ranks_.size(); ++rank) {
        const auto& bytes = all[static_cast<std::size_t>(rank)];
        if (!bytes.empty()) std::memcpy(nodes_of(rank).data(), bytes.data(), bytes.size());
    }
}

void AngleTable::advance(Index depth, const std::function<void(Index)>& progress) {
    if (depth < sample_->depth())
        throw Error(ErrorCode::invalid_argument, fmt::format("the angle table is at depth {}, past {}", sample_->depth(), depth));
    bool exchanged = true;
    while (sample_->depth() < depth) {
        if (linear_ || frozen_) {
            const Index end = std::min(depth, (sample_->depth() / layers_at_once + 1) * layers_at_once);
            while (sample_->depth() < end) {
                const SphereLayer layer = sample_->next();
                if (linear_) linear_->advance(layer);
            }
        } else {
            look_and_advance(std::min(depth, (sample_->depth() / stride_ + 1) * stride_));
            if (ranks_.size() > 1) stride_ = std::min(layers_apart, 2 * stride_);
            exchanged = false;
        }
        if (progress) progress(sample_->depth());
    }
    if (!exchanged) exchange_nodes();
}

AngleLevel AngleTable::level() const {
    std::vector<ScaledNumber> below_one;
    bool still = frozen_ || linear_.has_value();
    for (const SpherePair& pair : pairs_) {
        const long double correlation = pair.correlation.below_one, tangent = pair.tangent_below_one;
        below_one.push_back(linear_                                  ? linear_->below_one(correlation, tangent)
                            : family_.kernel == InfiniteKernel::nngp ? ScaledNumber(correlation)
                                                                     : ScaledNumber(tangent));
        still = still && (frozen_ || linear_->reached_limit(correlation, tangent));
    }
    AngleLevel level = to_level(below_one);
    level.still = still;
    return level;
}

AngleLevel AngleTable::limit() const {
    std::vector<ScaledNumber> shape;
    for (const SpherePair& pair : pairs_) shape.emplace_back(linear_.value().limiting_shape(pair.correlation.below_one));
    AngleLevel level = to_level(shape);
    level.exponent = 0;
    level.still = true;
    return level;
}

AngleLevel AngleTable::to_level(const std::vector<ScaledNumber>& below_one) const {
    AngleLevel level{sample_->depth(), first_octave_, octaves_, terms, {}, {}, 0, 0, 0, 0, false};
    level.exponent = std::max_element(below_one.begin(), below_one.end())->exponent;
    std::vector<long double> values, differences;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
        differences.push_back(below_one[i].over(level.exponent));
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

#include <ntkcuda/how_deep.hpp>

#include "byte_archive.hpp"

#include <ntkcuda/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ntk {
namespace {

/// 10^-1, 10^-2, ..
const std::array<long double, how_deep_decades> tolerances = [] {
    std::array<long double, how_deep_decades> result{};
    for (int k = 0; k < how_deep_decades; ++k) result[static_cast<std::size_t>(k)] = 1 / std::pow(10.0L, k + 1);
    return result;
}();

/// Fills FirstDepths as distances come in, depth by depth.
class Watch {
public:
    explicit Watch(FirstDepths& found) : found_(found) {}
    void see(Index depth, long double distance) {
        for (; next_ < tolerances.size() && distance < tolerances[next_]; ++next_) found_[next_] = depth;
    }
    [[nodiscard]] bool done() const { return next_ == tolerances.size(); }

private:
    FirstDepths& found_;
    std::size_t next_ = 0;
};

/// The distances of the angles at one depth.
struct Extremes {
    long double ones = 0, limit = 0, identity = 0;
    long double least = std::numeric_limits<long double>::infinity(), most = -least, sum = 0;
};

Extremes extremes(const std::vector<SpherePair>& pairs, InfiniteKernel kernel, std::optional<double> limit) {
    Extremes e;
    for (const SpherePair& pair : pairs) {
        const bool ntk = kernel == InfiniteKernel::ntk;
        const long double value = ntk ? pair.tangent : pair.correlation.rho;
        const long double below_one = ntk ? pair.tangent_below_one : pair.correlation.below_one;
        e.ones = std::max(e.ones, std::fabs(below_one));
        e.identity = std::max(e.identity, std::fabs(value));
        if (limit) e.limit = std::max(e.limit, std::fabs(below_one - (1 - static_cast<long double>(*limit))));
        e.least = std::min(e.least, value);
        e.most = std::max(e.most, value);
        e.sum += value;
    }
    return e;
}

void follow(const KernelFamily& family, double mean_square, std::span<const long double> tangents, Index deepest, HowDeep& result) {
    SphereSample sample(family, mean_square);
    Watch ones(result.ones), limit(result.to_limit), identity(result.identity);
    std::vector<SpherePair> pairs;
    Extremes e;
    do {
        const SphereLayer layer = sample.next();
        if (pairs.empty())
            for (const long double t : tangents) pairs.push_back(first_pair(layer, cosine_of(t)));
        else
            for (SpherePair& pair : pairs) pair = next_pair(layer, pair);
        e = extremes(pairs, family.kernel, result.limit);
        ones.see(sample.depth(), e.ones);
        identity.see(sample.depth(), e.identity);
        if (result.limit) limit.see(sample.depth(), e.limit);
    } while (sample.depth() < deepest && !(result.limit && limit.done()));
    result.depth = sample.depth();
    result.offdiag_min = static_cast<double>(e.least);
    result.offdiag_max = static_cast<double>(e.most);
    result.offdiag_mean = static_cast<double>(e.sum / static_cast<long double>(pairs.size()));
}

/// Rows of norm 1.
HostMatrix<double> directions(const HostMatrix<double>& x) {
    HostMatrix<double> result(x.rows(), x.cols());
    for (Index i = 0; i < x.rows(); ++i) {
        double square = 0;
        for (Index j = 0; j < x.cols(); ++j) square += x(i, j) * x(i, j);
        if (!(square > 0) || !std::isfinite(square))
            throw Error(ErrorCode::invalid_argument, fmt::format("sample {} (counting from 1) has no direction: expected a finite, "
                                                                 "positive norm; remove it",
                                                                 i + 1));
        const double norm = std::sqrt(square);
        for (Index j = 0; j < x.cols(); ++j) result(i, j) = x(i, j) / norm;
    }
    return result;
}

}  // namespace

/// What follow() finds.
template <class Archive, class Value>
requires std::same_as<std::remove_const_t<Value>, HowDeep>
void fields(Archive& archive, Value& cell) {
    for (auto* distance : {&cell.ones, &cell.to_limit, &cell.identity})
        for (auto& depth : *distance) archive(depth);
    archive(cell.depth, cell.offdiag_min, cell.offdiag_mean, cell.offdiag_max);
}

namespace {

/// Of every rank the families that are its own.
void exchange(Ranks& ranks, std::vector<HowDeep>& cells) {
    if (ranks.size() == 1) return;
    const auto own = [&](int rank, const auto& visit) {
        for (auto i = static_cast<std::size_t>(rank); i < cells.size(); i += static_cast<std::size_t>(ranks.size())) visit(cells[i]);
    };
    ByteWriter told;
    own(ranks.rank(), [&](const HowDeep& cell) { told(cell); });
    const auto all = ranks.all_gather(told.bytes());
    for (int rank = 0; rank < ranks.size(); ++rank) {
        ByteReader heard(all[static_cast<std::size_t>(rank)]);
        own(rank, [&](HowDeep& cell) { heard(cell); });
    }
}

}  // namespace

std::vector<long double> spread_angles(const HostMatrix<double>& x, Index count) {
    if (x.rows() < 2 || count < 2)
        throw Error(ErrorCode::invalid_argument, "angles need at least two samples, and a range of them at least two angles");
    const HostMatrix<double> unit = directions(x);
    double least = std::numeric_limits<double>::infinity(), most = 0;
    for (Index i = 0; i < x.rows(); ++i)
        for (Index k = 0; k < i; ++k) {
            double difference = 0, sum = 0;
            for (Index j = 0; j < x.cols(); ++j) {
                const double a = unit(i, j), b = unit(k, j);
                difference += (a - b) * (a - b);
                sum += (a + b) * (a + b);
            }
            if (difference == 0)
                throw Error(ErrorCode::invalid_argument,
                            fmt::format("samples {} and {} (counting from 1) have the same direction; remove one", k + 1, i + 1));
            const double angle = 2 * std::atan2(std::sqrt(difference), std::sqrt(sum));
            least = std::min(least, angle);
            most = std::max(most, angle);
        }
    std::vector<long double> result;
    for (Index k = 0; k < count; ++k) {
        const long double share = static_cast<long double>(k) / static_cast<long double>(count - 1);
        result.push_back(std::tan(((1 - share) * least + share * most) / 2));
    }
    return result;
}

std::vector<HowDeep> how_deep(std::span<const KernelFamily> families, double mean_square, std::span<const long double> half_angle_tangents,
                              Index deepest, const Progress<Index, Index>& progress, Ranks& ranks) {
    if (half_angle_tangents.empty() || deepest < 1)
        throw Error(ErrorCode::invalid_argument, "how_deep needs at least one angle and one layer");
    for (const long double t : half_angle_tangents)
        if (!(t > 0))
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("a half-angle tangent of {} is no angle of two samples: expected one in (0, infinity]",
                                    static_cast<double>(t)));
    std::vector<HowDeep> result(families.size());
    for (std::size_t i = 0; i < families.size(); ++i) {  // all that can be refused is refused here, outside of the parallel loop
        result[i].regime = analyze_regime(families[i], mean_square);
        result[i].limit = result[i].regime.prediction(families[i].kernel).limit;
    }
    // Neighbours take about as long: they go to different ranks.
    const auto first = static_cast<std::size_t>(ranks.rank()), step = static_cast<std::size_t>(ranks.size());
    const Index total = families.size() > first ? static_cast<Index>((families.size() - first + step - 1) / step) : 0;
    Index done = 0;
#pragma omp parallel for schedule(dynamic)
    for (std::size_t i = first; i < families.size(); i += step) {
        if (progress.stop().stop_requested()) continue;
        follow(families[i], mean_square, half_angle_tangents, deepest, result[i]);
#pragma omp critical
        progress(++done, total);
    }
    if (done < total) progress.check();
    exchange(ranks, result);
    return result;
}

}  // namespace ntk

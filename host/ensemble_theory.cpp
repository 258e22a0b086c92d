#include <ntkcuda/ensemble.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ntk {
namespace {

using Kernel = KernelEntry::Kernel;

/// Whose kernel an entry is of: samples x, x' and outputs o, o' (-1: the mean over outputs, or the NNGP, which is the same for all).
struct Place {
    Index sample1, sample2, output1, output2;
    [[nodiscard]] bool same_output() const { return output1 == output2; }
    [[nodiscard]] bool same_sample() const { return sample1 == sample2; }
};

Place place_of(const Ensemble& ensemble, const KernelEntry& entry) {
    const Index outputs = ensemble.options().architecture.outputs;
    if (entry.kernel == Kernel::nngp || ensemble.options().block == Block::trace) return {entry.row, entry.column, -1, -1};
    if (ensemble.options().block == Block::diag) return {entry.row, entry.row, entry.column, entry.column};
    return {entry.row / outputs, entry.column / outputs, entry.row % outputs, entry.column % outputs};
}

double squared_norm(const HostMatrix<double>& x, Index row) {
    double sum = 0;
    for (Index j = 0; j < x.cols(); ++j) sum += x(row, j) * x(row, j);
    return sum;
}

/// The comparisons of one ensemble as they are collected.
class Collector {
public:
    Collector(const Ensemble& ensemble, const HostMatrix<double>& x, const EnsembleLimit& limit,
              const std::function<DiagonalMoments(const Architecture&)>& second_moments)
        : ensemble_(ensemble),
          x_(x),
          limit_(limit),
          architecture_(ensemble.options().architecture),
          exact_(has_exact_moments(architecture_)) {
        second_moments_conclusive_ = depth_over_width(architecture_) <= heavy_tail_lambda;
        if (exact_) moments_ = second_moments(architecture_);
    }

    void add_entry(const KernelEntry& entry) {
        const Place place = place_of(ensemble_, entry);
        const Statistics s = ensemble_.at(entry);
        const std::string name = to_string(entry);
        if (const auto mean = exact_mean(entry, place)) add_mean(name, s, *mean);
        if (!exact_ || !place.same_sample()) return;
        const double mean = diagonal_mean(architecture_, squared_norm(x_, place.sample1)), squared = mean * mean;
        if (entry.kernel == Kernel::nngp)
            add_second(name, s, nngp_second_moment(squared / std::pow(static_cast<double>(architecture_.depth()), 2)));
        else if (place.output1 < 0)
            add_second(name, s, (1 + moments_.variance(architecture_.outputs)) * squared);
        else
            add_second(name, s, place.same_output() ? (1 + moments_.variance()) * squared : moments_.mixed * squared);
    }

    void add_layers(const KernelEntry& diagonal) {
        const Place place = place_of(ensemble_, diagonal);
        if (!exact_ || !place.same_sample() || !place.same_output()) return;
        const auto depth = static_cast<double>(architecture_.depth());
        const double share = diagonal_mean(architecture_, squared_norm(x_, place.sample1)) / depth;
        for (Index layer = 1; layer <= ensemble_.layout().layers; ++layer) {
            const KernelEntry term{Kernel::tangent, diagonal.row, diagonal.column, layer};
            add_mean(to_string(term), ensemble_.at(term), share);
        }
    }

    void add_pair(std::size_t index, const std::pair<KernelEntry, KernelEntry>& pair) {
        const auto& [first, second] = pair;
        if (!exact_ || first.kernel != Kernel::tangent || second.kernel != Kernel::tangent || first.layer != 0 || second.layer != 0) return;
        const Place a = place_of(ensemble_, first), b = place_of(ensemble_, second);
        const bool diagonal_outputs = a.output1 >= 0 && a.same_output() && b.same_output() && a.output1 != b.output1;
        if (!diagonal_outputs || !a.same_sample() || !b.same_sample() || a.sample1 != b.sample1) return;
        const double mean = diagonal_mean(architecture_, squared_norm(x_, a.sample1));
        const Covariance covariance = ensemble_.covariance(index, pair);
        add({fmt::format("E {} {}", to_string(first), to_string(second)), covariance.product, covariance.product_error,
             (1 + moments_.covariance) * mean * mean, ensemble_.at(first).effective4, second_moments_conclusive_});
    }

    std::vector<Comparison> take() { return std::move(comparisons_); }

private:
    [[nodiscard]] std::optional<double> exact_mean(const KernelEntry& entry, const Place& place) const {
        if (!place.same_output()) return 0;
        if (architecture_.depth() == 2 || (exact_ && place.same_sample())) return limit_.at(ensemble_, entry);
        return std::nullopt;
    }

    /// E (q t)^2 of the NNGP with q_{l+1} = |phi(z)|^2: each layer of width n multiplies by 1 + 5/n.
    [[nodiscard]] double nngp_second_moment(double squared_mean) const {
        for (const Index width : architecture_.hidden) squared_mean *= 1 + 5 / static_cast<double>(width);
        return squared_mean;
    }

    void add_mean(const std::string& name, const Statistics& s, double exact) {
        add({"E " + name, s.mean, s.mean_error, exact, s.effective2, true});
    }
    void add_second(const std::string& name, const Statistics& s, double exact) {
        add({fmt::format("E {}^2", name), s.second_moment, s.second_moment_error, exact, s.effective4, second_moments_conclusive_});
    }
    void add(Comparison comparison) {
        // Where nothing is random (a linear model, a zero sample) only rounding is left.
        if (comparison.error <= 1e-14 * std::max(std::fabs(comparison.exact), std::fabs(comparison.measured))) return;
        comparison.conclusive = comparison.conclusive && comparison.effective >= heavy_tail_values;
        comparisons_.push_back(std::move(comparison));
    }

    const Ensemble& ensemble_;
    const HostMatrix<double>& x_;
    const EnsembleLimit& limit_;
    const Architecture& architecture_;
    bool exact_, second_moments_conclusive_ = true;
    DiagonalMoments moments_{};
    std::vector<Comparison> comparisons_;
};

}  // namespace

std::optional<double> EnsembleLimit::at(const Ensemble& ensemble, const KernelEntry& entry) const {
    if (entry.layer != 0) return std::nullopt;
    const Place place = place_of(ensemble, entry);
    if (!place.same_output()) return 0;
    return (entry.kernel == Kernel::nngp ? nngp : tangent)(place.sample1, place.sample2);
}

std::vector<Comparison> compare_with_theory(const Ensemble& ensemble, const HostMatrix<double>& x, const EnsembleLimit& limit,
                                            const std::vector<std::pair<KernelEntry, KernelEntry>>& covariances,
                                            const std::function<DiagonalMoments(const Architecture&)>& second_moments) {
    Collector collector(ensemble, x, limit, second_moments);
    for (const KernelEntry& entry : ensemble.entries()) {
        collector.add_entry(entry);
        if (entry.kernel == Kernel::tangent) collector.add_layers(entry);
    }
    for (std::size_t i = 0; i < covariances.size(); ++i) collector.add_pair(i, covariances[i]);
    return collector.take();
}

Verdict judge(const std::vector<Comparison>& comparisons) {
    Verdict verdict;
    for (const Comparison& comparison : comparisons) {
        if (!comparison.conclusive) {
            ++verdict.inconclusive;
            continue;
        }
        ++verdict.comparisons;
        // What is not a number is as far from theory as can be.
        const double z = std::isnan(comparison.z()) ? std::numeric_limits<double>::infinity() : std::fabs(comparison.z());
        if (z > verdict.largest_z) {
            verdict.largest_z = z;
            verdict.worst = comparison.what;
        }
    }
    const double one = std::erfc(verdict.largest_z / std::sqrt(2.0));
    if (verdict.comparisons > 0 && one < 1) verdict.probability = -std::expm1(static_cast<double>(verdict.comparisons) * std::log1p(-one));
    return verdict;
}

std::optional<WidthFit> fit_width(const std::vector<Index>& widths, const std::vector<Statistics>& entry, double limit) {
    if (widths.size() < 2 || limit == 0) return std::nullopt;
    // y = c_1 u + c_2 u^2 with u = 1/w: the normal equations of one or two terms.
    double uu = 0, uuu = 0, uuuu = 0, uy = 0, uuy = 0, yy = 0;
    for (std::size_t i = 0; i < widths.size(); ++i) {
        const double u = 1 / static_cast<double>(widths[i]), y = entry[i].mean / limit - 1, error = entry[i].mean_error / std::fabs(limit);
        if (!(error > 0)) return std::nullopt;
        const double weight = 1 / (error * error);
        uu += weight * u * u;
        uuu += weight * u * u * u;
        uuuu += weight * u * u * u * u;
        uy += weight * u * y;
        uuy += weight * u * u * y;
        yy += weight * y * y;
    }
    WidthFit fit;
    fit.terms = widths.size() > 2 ? 2 : 1;
    fit.freedom = std::ssize(widths) - fit.terms;
    if (fit.terms == 1) {
        fit.coefficient = uy / uu;
        fit.error = 1 / std::sqrt(uu);
        fit.chi_squared = yy - uy * uy / uu;
    } else {
        const double determinant = uu * uuuu - uuu * uuu, second = (uu * uuy - uuu * uy) / determinant;
        fit.coefficient = (uuuu * uy - uuu * uuy) / determinant;
        fit.error = std::sqrt(uuuu / determinant);
        fit.chi_squared = yy - fit.coefficient * uy - second * uuy;
    }
    return fit;
}

}  // namespace ntk

#include <ntkcuda/moments.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace ntk {
namespace {

/// Fraction bits of a double that a bin does not tell apart.
constexpr int dropped_bits = 42;

/// Non-negative doubles order like their bits; negative ones go below them, mirrored, and -0 is 0. A bin is closed at its end nearer to
/// zero.
std::int32_t bin_of(double x) {
    const auto bin = static_cast<std::int32_t>(std::bit_cast<std::uint64_t>(std::fabs(x)) >> dropped_bits);
    return x < 0 ? -bin - 1 : bin + 1;
}

/// The smallest magnitude of a bin of magnitudes.
double magnitude(std::int32_t bin) { return std::bit_cast<double>(static_cast<std::uint64_t>(bin) << dropped_bits); }

}  // namespace

Moments::Moments(Index count, HostMatrix<double> values) : count_(count), values_(std::move(values)) {
    if (values_.rows() != 6) throw Error(ErrorCode::shape_mismatch, fmt::format("moments have 6 rows, not {}", values_.rows()));
}

void Moments::merge(Index count, const HostMatrix<double>& batch) {
    if (batch.rows() != 6 || batch.cols() != columns())
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("a batch of moments is {} x {}, not 6 x {}", batch.rows(), batch.cols(), columns()));
    if (count == 0) return;
    if (count_ == 0) {
        values_ = batch;
        count_ = count;
        return;
    }
    const auto a = static_cast<double>(count_), b = static_cast<double>(count), n = a + b;
    for (Index j = 0; j < columns(); ++j) {
        const double delta = batch(0, j) - values_(0, j), d = delta / n;
        const double m2 = values_(1, j), m3 = values_(2, j), m4 = values_(3, j);
        const double b2 = batch(1, j), b3 = batch(2, j), b4 = batch(3, j);
        values_(0, j) += d * b;
        values_(1, j) = m2 + b2 + delta * d * a * b;
        values_(2, j) = m3 + b3 + delta * d * d * a * b * (a - b) + 3 * d * (a * b2 - b * m2);
        values_(3, j) = m4 + b4 + delta * d * d * d * a * b * (a * a - a * b + b * b) + 6 * d * d * (a * a * b2 + b * b * m2) +
                        4 * d * (a * b3 - b * m3);
        values_(4, j) = std::min(values_(4, j), batch(4, j));
        values_(5, j) = std::max(values_(5, j), batch(5, j));
    }
    count_ += count;
}

Statistics Moments::at(Index column) const {
    Statistics s;
    s.count = count_;
    s.mean = values_(0, column);
    s.min = values_(4, column);
    s.max = values_(5, column);
    const auto n = static_cast<double>(count_);
    const double m2 = values_(1, column) / n, m3 = values_(2, column) / n, m4 = values_(3, column) / n;
    s.variance = count_ > 1 ? values_(1, column) / (n - 1) : 0;
    s.mean_error = std::sqrt(s.variance / n);
    s.variance_error = std::sqrt(std::max(0.0, m4 - m2 * m2 * (n - 3) / std::max(1.0, n - 1)) / n);
    s.second_moment = s.mean * s.mean + m2;
    s.second_moment_error = std::sqrt(std::max(0.0, m4 + 4 * s.mean * m3 + 4 * s.mean * s.mean * m2 - m2 * m2) / n);
    s.skewness = m3 / (m2 * std::sqrt(m2));
    s.kurtosis = m4 / (m2 * m2);
    const double farthest = std::max(s.max - s.mean, s.mean - s.min);
    s.effective2 = farthest > 0 ? values_(1, column) / std::pow(farthest, 2) : n;
    s.effective4 = farthest > 0 ? values_(3, column) / std::pow(farthest, 4) : n;
    return s;
}

void ValueHistogram::add(const std::vector<double>& values) {
    std::vector<std::int32_t> bins;
    bins.reserve(values.size());
    for (const double x : values) {
        if (!std::isfinite(x)) throw Error(ErrorCode::invalid_argument, fmt::format("a histogram takes finite values, not {}", x));
        bins.push_back(x == 0 ? 0 : bin_of(x));
    }
    std::sort(bins.begin(), bins.end());
    for (auto run = bins.begin(); run != bins.end();) {
        const auto end = std::upper_bound(run, bins.end(), *run);
        add_bin(*run, static_cast<std::uint64_t>(end - run));
        run = end;
    }
}

void ValueHistogram::add_bin(std::int32_t bin, std::uint64_t count) {
    bins_[bin] += count;
    count_ += count;
}

double ValueHistogram::lower_edge(std::int32_t bin) { return bin < 0 ? -magnitude(-bin) : bin <= 1 ? 0 : magnitude(bin - 1); }

double ValueHistogram::quantile(double p) const {
    if (!(p > 0 && p < 1) || count_ == 0)
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("a quantile needs 0 < p < 1 and at least one value: p is {}, and there are {}", p, count_));
    const double wanted = p * static_cast<double>(count_);
    double below = 0;
    for (const auto& [bin, count] : bins_) {
        const auto inside = static_cast<double>(count);
        if (below + inside >= wanted) {
            const double from = lower_edge(bin), to = lower_edge(bin + 1);
            return from + (to - from) * (wanted - below) / inside;
        }
        below += inside;
    }
    return lower_edge(bins_.rbegin()->first + 1);
}

double ValueHistogram::quantile_error(double p) const {
    const double spread = std::sqrt(p * (1 - p) / static_cast<double>(count_));
    if (p - spread <= 0 || p + spread >= 1) return std::numeric_limits<double>::infinity();
    return (quantile(p + spread) - quantile(p - spread)) / 2;
}

}  // namespace ntk

#include "depth_meter.hpp"

#include <ntkcuda/metrics.hpp>
#include <ntkcuda/normalized_system.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace ntk {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
/// Entries followed for figures.
constexpr Index traced_entries = 5;
/// Where all of K off the diagonal is below this, K itself is the well-conditioned matrix.
constexpr double near_identity_below = 0.5;

/// Columns at the quantiles of one row of 1 - K.
std::vector<Index> quantile_columns(const Matrix<double>& below_one, bool skip_first) {
    HostMatrix<double> row(1, below_one.cols());
    below_one.backend()->download(below_one.view().row_range(0, 1), row.view());
    std::vector<Index> order(static_cast<std::size_t>(row.cols()));
    std::iota(order.begin(), order.end(), Index{0});
    if (skip_first) order.erase(order.begin());
    std::sort(order.begin(), order.end(), [&](Index a, Index b) { return row(0, a) < row(0, b); });
    std::vector<Index> result;
    const auto count = static_cast<Index>(order.size());
    for (Index k = 0; k < std::min(traced_entries, count); ++k)
        result.push_back(order[static_cast<std::size_t>(count <= traced_entries ? k : k * (count - 1) / (traced_entries - 1))]);
    return result;
}

std::vector<double> entries_of_first_row(const Matrix<double>& x, const std::vector<Index>& columns) {
    std::vector<double> result;
    if (columns.empty()) return result;
    HostMatrix<double> row(1, x.cols());
    x.backend()->download(x.view().row_range(0, 1), row.view());
    for (const Index j : columns) result.push_back(row(0, j));
    return result;
}

/// ||x - shift off the diagonal||_F, of a symmetric matrix of which each pair was summarised once.
double frobenius(const EntrySummary& pairs) { return std::sqrt(2 * pairs.sum_of_squares); }

/// ||K_limit||_F of ones on the diagonal and c off it.
double limit_norm(Index n, double c) { return std::sqrt(static_cast<double>(n) * (1 + static_cast<double>(n - 1) * c * c)); }

/// The logarithm of 2^exponent x.
double log10_scaled(double x, std::int64_t exponent) { return std::log10(x) + static_cast<double>(exponent) * std::log10(2.0); }

}  // namespace

DepthMeter::DepthMeter(const std::shared_ptr<Backend<double>>& backend, const Dataset& train, const Dataset* test,
                       const DepthOptions& options)
    : backend_(backend), train_(train), test_(test), options_(options) {
    if (train.has_targets()) targets_ = upload(backend, train.y);
}

TracedEntries DepthMeter::entries_to_follow(const KernelPair& below_one) const {
    return {quantile_columns(below_one.train, true), tests() > 0 ? quantile_columns(below_one.cross, false) : std::vector<Index>()};
}

DepthRecord DepthMeter::measure(Index depth, DepthLevel level, bool solved) const {
    DepthRecord record;
    DepthPoint& point = record.point;
    point.depth = depth;
    add_differences(point, level.below_one.train, level.exponent);
    add_values(point, level.value);
    if (!solved) return record;
    const bool near_identity = std::max(std::fabs(point.offdiag_min), std::fabs(point.offdiag_max)) < near_identity_below;
    KernelPair pair = std::move(near_identity ? level.value : level.below_one);
    const std::int64_t exponent = level.exponent;
    level = {};  // the other one goes before the system needs room
    solve(record, std::move(pair), exponent, near_identity);
    return record;
}

void DepthMeter::add_differences(DepthPoint& point, const Matrix<double>& e, std::int64_t exponent) const {
    const EntrySummary s = backend_->summarize(e.view(), Entries::off_diagonal, 0);
    const int shift = static_cast<int>(std::clamp<std::int64_t>(exponent, -5000, 5000));  // ldexp takes an int
    point.max_one_minus_k = std::ldexp(s.max, shift);
    point.log10_max_one_minus_k = log10_scaled(s.max, exponent);
    point.dist_ones = std::ldexp(frobenius(s) / static_cast<double>(n()), shift);
    point.dist_ones_max = std::ldexp(s.max_abs, shift);
}

void DepthMeter::add_values(DepthPoint& point, const KernelPair& pair) const {
    const EntrySummary s = backend_->summarize(pair.train.view(), Entries::off_diagonal, 0);
    point.offdiag_min = s.min;
    point.offdiag_max = s.max;
    point.offdiag_mean = s.count > 0 ? s.sum / static_cast<double>(s.count) : nan;
    point.dist_identity = frobenius(s) / std::sqrt(static_cast<double>(n()));
    point.dist_identity_max = s.max_abs;
    point.dist_limit = point.dist_limit_max = nan;
    if (options_.off_diagonal_limit == 1.0) {
        point.dist_limit = point.dist_ones;
        point.dist_limit_max = point.dist_ones_max;
    } else if (options_.off_diagonal_limit) {
        const double c = *options_.off_diagonal_limit;
        const EntrySummary shifted = backend_->summarize(pair.train.view(), Entries::off_diagonal, c);
        point.dist_limit = frobenius(shifted) / limit_norm(n(), c);
        point.dist_limit_max = shifted.max_abs;
    }
    point.traced_kernel = entries_of_first_row(pair.train, traced_.train);
    point.traced_cross = entries_of_first_row(pair.cross, traced_.test);
}

void DepthMeter::solve(DepthRecord& record, KernelPair pair, std::int64_t exponent, bool near_identity) const {
    DepthPoint& point = record.point;
    try {
        const NormalizedSystem system = near_identity ? NormalizedSystem::near_identity(std::move(pair.train))
                                                      : NormalizedSystem::near_ones(std::move(pair.train), exponent);
        NormalizedReport report = system.report(options_.spectrum);
        point.log10_lambda_min = report.log10_lambda_min;
        point.log10_lambda_max = report.log10_lambda_max;
        point.log_determinant = report.log_determinant;
        point.u_error = report.error;
        point.log10_spectrum = std::move(report.log10_spectrum);
        if (tests() > 0) {
            const Matrix<double> u = system.weights(pair.cross);
            point.traced_weight = entries_of_first_row(u, traced_.test);
            point.score = score(u);
            record.weights = download(u);
        }
    } catch (const Error& e) {
        if (e.code() != ErrorCode::not_positive_definite) throw;
        point.closed_form_note = e.what();
        point.log10_lambda_min = point.log10_lambda_max = point.log_determinant = point.u_error = nan;
        point.log10_spectrum.assign(options_.spectrum ? static_cast<std::size_t>(n()) : 0, nan);
        point.traced_weight.assign(traced_.test.size(), nan);
    }
}

std::optional<double> DepthMeter::score(const Matrix<double>& u) const {
    if (targets_.empty() || !test_->has_targets()) return std::nullopt;
    Matrix<double> predicted(backend_, tests(), targets_.cols());
    backend_->gemm(Transpose::no, Transpose::no, 1, u.view(), targets_.view(), 0, predicted.view());
    const HostMatrix<double> values = download(predicted);
    return train_.classification() ? accuracy(values, *test_) : rmse(values, test_->y);
}

}  // namespace ntk

#include <ntkcuda/depth_limit.hpp>

#include <ntkcuda/metrics.hpp>
#include <ntkcuda/normalized_system.hpp>

#include "depth_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

namespace ntk {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
/// Entries followed for figures.
constexpr Index traced_entries = 5;
/// 1 - K below 2^this leaves no trace in the bordered system but through E.
constexpr std::int64_t invisible_exponent = -60;
/// Layers past the deepest checkpoint in which the linear regime may begin, for the limit of u; by brute force no more than it took to get
/// there.
constexpr Index layers_for_limit = 100000, pair_layers_for_limit = 1000;
/// Where all of K off the diagonal is below this, K itself is the well-conditioned matrix.
constexpr double near_identity_below = 0.5;

double mean_square(const HostMatrix<double>& x, Index row) {
    double sum = 0;
    for (Index j = 0; j < x.cols(); ++j) sum += x(row, j) * x(row, j);
    return sum / static_cast<double>(x.cols());
}

void check(const DepthOptions& options, const HostMatrix<double>& train, const HostMatrix<double>& test) {
    options.family.validate();
    if (options.depths.empty() || options.depths.front() < 1 || !std::is_sorted(options.depths.begin(), options.depths.end()) ||
        std::adjacent_find(options.depths.begin(), options.depths.end()) != options.depths.end())
        throw Error(ErrorCode::invalid_argument, "depths must be ascending, each at least 1 and given once");
    if (test.rows() > 0 && test.cols() != train.cols())
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("the test samples have {} features, the training samples {}", test.cols(), train.cols()));
    if (options.family.bias_std > 0) return;
    for (const auto* x : {&train, &test})
        for (Index i = 0; i < x->rows(); ++i)
            if (mean_square(*x, i) == 0)
                throw Error(
                    ErrorCode::invalid_argument,
                    fmt::format("{} sample {} (counting from 1) is zero: without biases its kernel is zero at every depth and cannot be "
                                "normalised; remove it or give biases",
                                x == &train ? "training" : "test", i + 1));
}

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

class Study {
public:
    Study(const std::shared_ptr<Backend<double>>& backend, const Dataset& train, const Dataset* test, const DepthOptions& options,
          const Progress<const DepthProgress&>& progress, DepthStore* store)
        : backend_(backend), train_(train), test_(test), options_(options), progress_(progress), store_(store) {
        const HostMatrix<double> none;
        const HostMatrix<double>& tests = test != nullptr ? test->x : none;
        check(options, train.x, tests);
        result_.equal_norms = angle_alone(options.family, train.x, tests);
        source_ = (result_.equal_norms ? make_angle_source : make_pair_source)(backend, options.family, train.x, tests);
        result_.table_nodes = source_->nodes();
        if (train.has_targets()) targets_ = upload(backend, train.y);
    }

    DepthResult run() {
        trace_entries();
        for (const Index depth : options_.depths) {
            std::optional<DepthRecord> record = store_ != nullptr ? store_->load(depth) : std::nullopt;
            if (record) {
                ++result_.found;
            } else {
                progress_.check();
                source_->advance(depth, [&](Index layer) {
                    report(layer);
                    progress_.check();
                });
                record = measure_depth(depth);
                if (store_ != nullptr) store_->save(*record);
            }
            result_.points.push_back(std::move(record->point));
            result_.weights.push_back(std::move(record->weights));
            report(depth);
        }
        measure_weights();
        return std::move(result_);
    }

private:
    [[nodiscard]] Index n() const { return train_.samples(); }
    [[nodiscard]] Index tests() const { return test_ != nullptr ? test_->samples() : 0; }
    [[nodiscard]] KernelPair new_pair() const {
        return {Matrix<double>(backend_, n(), n()), Matrix<double>(backend_, tests(), tests() > 0 ? n() : 0)};
    }

    void report(Index layer) const {
        const Index deepest = options_.depths.back();
        progress_(
            {std::min(layer, deepest), deepest, static_cast<Index>(result_.points.size()), static_cast<Index>(options_.depths.size())});
    }

    /// Chooses the entries to follow, at depth 1: the same ones whatever depths are asked for.
    void trace_entries() {
        source_->advance(1, {});
        KernelPair pair = new_pair();
        (void)source_->below_one(pair);
        result_.traced_train = quantile_columns(pair.train, true);
        if (tests() > 0) result_.traced_test = quantile_columns(pair.cross, false);
    }

    DepthRecord measure_depth(Index depth) {
        DepthRecord record;
        DepthPoint& point = record.point;
        point.depth = depth;
        point.table_error = source_->error();
        KernelPair pair = new_pair();
        const std::int64_t exponent = source_->below_one(pair);
        add_differences(point, pair.train, exponent);
        source_->value(pair);
        add_values(point, pair);
        point.still = source_->still() && (!source_->linear() || exponent < invisible_exponent);
        if (point.still && !result_.points.empty() && result_.points.back().still) {
            repeat_closed_form(record);
        } else {
            const bool near_identity = std::max(std::fabs(point.offdiag_min), std::fabs(point.offdiag_max)) < near_identity_below;
            if (!near_identity) (void)source_->below_one(pair);
            solve(record, std::move(pair), exponent, near_identity);
        }
        return record;
    }

    void add_differences(DepthPoint& point, const Matrix<double>& e, std::int64_t exponent) const {
        const EntrySummary s = backend_->summarize(e.view(), Entries::off_diagonal, 0);
        const int shift = static_cast<int>(std::clamp<std::int64_t>(exponent, -5000, 5000));  // ldexp takes an int
        point.max_one_minus_k = std::ldexp(s.max, shift);
        point.log10_max_one_minus_k = log10_scaled(s.max, exponent);
        point.dist_ones = std::ldexp(frobenius(s) / static_cast<double>(n()), shift);
        point.dist_ones_max = std::ldexp(s.max_abs, shift);
    }

    void add_values(DepthPoint& point, const KernelPair& pair) const {
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
        point.traced_kernel = entries_of_first_row(pair.train, result_.traced_train);
        point.traced_cross = entries_of_first_row(pair.cross, result_.traced_test);
    }

    void solve(DepthRecord& record, KernelPair pair, std::int64_t exponent, bool near_identity) {
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
                point.traced_weight = entries_of_first_row(u, result_.traced_test);
                point.score = score(u);
                record.weights = download(u);
            }
        } catch (const Error& e) {
            if (e.code() != ErrorCode::not_positive_definite) throw;
            point.closed_form_note = e.what();
            point.log10_lambda_min = point.log10_lambda_max = point.log_determinant = point.u_error = nan;
            point.log10_spectrum.assign(options_.spectrum ? static_cast<std::size_t>(n()) : 0, nan);
            point.traced_weight.assign(result_.traced_test.size(), nan);
        }
    }

    /// The closed form of the level before, whose 1 - K differs by one factor.
    void repeat_closed_form(DepthRecord& record) const {
        DepthPoint& point = record.point;
        const DepthPoint& before = result_.points.back();
        const double shrunk = point.log10_max_one_minus_k - before.log10_max_one_minus_k;
        point.log10_lambda_min = before.log10_lambda_min + shrunk;
        point.log10_lambda_max = before.log10_lambda_max;
        point.log_determinant = before.log_determinant + static_cast<double>(n() - 1) * shrunk * std::numbers::ln10;
        point.u_error = before.u_error;
        point.score = before.score;
        point.closed_form_note = before.closed_form_note;
        point.traced_weight = before.traced_weight;
        point.log10_spectrum = before.log10_spectrum;
        for (std::size_t i = 0; i + 1 < point.log10_spectrum.size(); ++i) point.log10_spectrum[i] += shrunk;
        record.weights = result_.weights.back();
    }

    [[nodiscard]] std::optional<double> score(const Matrix<double>& u) const {
        if (targets_.empty() || !test_->has_targets()) return std::nullopt;
        Matrix<double> predicted(backend_, tests(), targets_.cols());
        backend_->gemm(Transpose::no, Transpose::no, 1, u.view(), targets_.view(), 0, predicted.view());
        const HostMatrix<double> values = download(predicted);
        return train_.classification() ? accuracy(values, *test_) : rmse(values, test_->y);
    }

    /// The limit of u, and how far every level is from it.
    void measure_weights() {
        if (tests() == 0) return;
        const HostMatrix<double> limit = weight_limit();
        for (const Index j : result_.traced_test) result_.traced_limit.push_back(limit.empty() ? nan : limit(0, j));
        for (std::size_t i = 0; i < result_.points.size(); ++i) measure(result_.points[i], result_.weights[i], limit);
    }

    [[nodiscard]] HostMatrix<double> weight_limit() {
        result_.weight_limit = options_.weight_limit;
        HostMatrix<double> limit;
        if (options_.weight_limit == WeightLimit::constant) {
            const double c = options_.off_diagonal_limit.value();
            limit = HostMatrix<double>(tests(), n());
            std::fill(limit.data(), limit.data() + limit.size(), c / (1 - c + c * static_cast<double>(n())));
        } else if (options_.weight_limit == WeightLimit::kriging) {
            limit = kriging_limit();
        }
        if (limit.empty()) {
            result_.weight_limit = WeightLimit::deepest;
            const auto last = std::find_if(result_.weights.rbegin(), result_.weights.rend(), [](const auto& u) { return !u.empty(); });
            if (last != result_.weights.rend()) limit = *last;
        }
        if (!limit.empty()) result_.limit_score = score(upload(backend_, limit));
        return limit;
    }

    /// Empty where the linear regime does not begin soon after the deepest level.
    [[nodiscard]] HostMatrix<double> kriging_limit() {
        const Index deepest = options_.depths.back(),
                    last = deepest + (result_.equal_norms ? layers_for_limit : std::max(deepest, pair_layers_for_limit));
        for (Index depth = deepest; !source_->linear() && depth < last; depth += 1000) source_->advance(depth, {});
        if (!source_->linear()) return {};
        KernelPair pair = new_pair();
        source_->limiting_shape(pair);
        return download(NormalizedSystem::near_ones(std::move(pair.train), 0, true).weights(pair.cross));
    }

    void measure(DepthPoint& point, const HostMatrix<double>& u, const HostMatrix<double>& limit) const {
        point.u_sum = point.u_dist_limit = point.u_dist_limit_max = nan;
        if (u.empty()) return;
        double sum = 0, squares = 0, limit_squares = 0, largest = 0;
        for (Index i = 0; i < u.size(); ++i) {
            const double difference = u.data()[i] - limit.data()[i];
            sum += u.data()[i];
            squares += difference * difference;
            limit_squares += limit.data()[i] * limit.data()[i];
            largest = std::max(largest, std::fabs(difference));
        }
        point.u_sum = sum / static_cast<double>(tests());
        point.u_dist_limit_max = largest;
        point.u_dist_limit = limit_squares > 0 ? std::sqrt(squares / limit_squares) : std::sqrt(squares);
    }

    std::shared_ptr<Backend<double>> backend_;
    const Dataset& train_;
    const Dataset* test_;
    const DepthOptions& options_;
    const Progress<const DepthProgress&>& progress_;
    DepthStore* store_;
    DepthResult result_;
    std::unique_ptr<DepthSource> source_;
    Matrix<double> targets_;
};

}  // namespace

bool angle_alone(const KernelFamily& family, const HostMatrix<double>& train, const HostMatrix<double>& test) {
    if (family.dual.homogeneous() && family.bias_std == 0) return true;
    const double expected = mean_square(train, 0);
    for (const auto* x : {&train, &test})
        for (Index i = 0; i < x->rows(); ++i)
            if (!(std::fabs(mean_square(*x, i) - expected) <= 1e-13 * expected)) return false;
    return true;
}

DepthMemory depth_memory(const DepthOptions& options, const HostMatrix<double>& train, const HostMatrix<double>& test) {
    return depth_memory(options, train.rows(), test.rows(), train.cols(), angle_alone(options.family, train, test));
}

DepthMemory depth_memory(const DepthOptions& options, Index train, Index tests, Index features, bool by_angle) {
    const double n = static_cast<double>(train), t = static_cast<double>(tests), pairs = n * n + t * n;
    // Kernel and the factorised system; right-hand sides, residuals and weights; inverse, product and workspace of the spectrum.
    const double values = pairs + (n + 1) * (n + 1) + 3 * t * (n + 1) + (options.spectrum ? 4 * n * n : 0);
    // Angles; or the state of every pair, and what it was before.
    const double source = by_angle ? pairs * sizeof(double)
                                   : 3 * pairs * sizeof(double) + pair_recursion_bytes(train, train, features, Triangle::lower) +
                                         pair_recursion_bytes(tests, train, features, Triangle::full);
    return {values * sizeof(double) + source, static_cast<double>(options.depths.size()) * t * n * sizeof(double)};
}

DepthEstimate depth_estimate(const std::shared_ptr<Backend<double>>& backend, const DepthOptions& options, const HostMatrix<double>& train,
                             const HostMatrix<double>& test) {
    if (angle_alone(options.family, train, test)) return {};
    const auto n = static_cast<double>(train.rows()), t = static_cast<double>(test.rows());
    DepthEstimate estimate;
    estimate.pair_layers = (n * (n + 1) / 2 + t * n) * static_cast<double>(options.depths.back());
    estimate.seconds = estimate.pair_layers / pair_layers_per_second(backend, options.family, train);
    return estimate;
}

DepthResult depth_limit(const std::shared_ptr<Backend<double>>& backend, const Dataset& train, const Dataset* test,
                        const DepthOptions& options, const Progress<const DepthProgress&>& progress, DepthStore* store) {
    return Study(backend, train, test, options, progress, store).run();
}

}  // namespace ntk

#include <ntkcuda/depth_limit.hpp>

#include <ntkcuda/normalized_system.hpp>

#include "depth_meter.hpp"
#include "depth_record.hpp"
#include "pair_share.hpp"
#include "sweep_rounds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace ntk {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
/// Layers past the deepest checkpoint in which the linear regime may begin, for the limit of u; by brute force no more than it took to get
/// there.
constexpr Index layers_for_limit = 100000, pair_layers_for_limit = 1000;

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

/// The depths of a study. Every rank goes through all of them with its share of the source; the levels are dealt out, and each rank keeps
/// one of them and solves its system: 2/3 n^3 flops and up to 6 n^3 for the spectrum of a depth, against 2 (n + tests) n numbers that
/// go to its rank where pairs are shared, and tests n that go to the root.
class Study {
public:
    Study(const std::shared_ptr<Backend<double>>& backend, Ranks& ranks, const Dataset& train, const Dataset* test,
          const DepthOptions& options, const Progress<const DepthProgress&>& progress, DepthStore* store)
        : backend_(backend),
          ranks_(ranks),
          train_(train),
          test_(test),
          options_(options),
          progress_(progress),
          store_(ranks.root() ? store : nullptr),
          meter_(backend, train, test, options),
          states_(options.depths.size(), State::missing),
          found_(options.depths.size()),
          records_(options.depths.size()) {
        const HostMatrix<double> none;
        const HostMatrix<double>& tests = test != nullptr ? test->x : none;
        check(options, train.x, tests);
        (void)Team(Workers<double>(std::vector{backend}, ranks));  // refuses ranks on different kinds of devices
        result_.equal_norms = angle_alone(options.family, train.x, tests);
        source_ = (result_.equal_norms ? make_angle_source : make_pair_source)(backend, ranks, options.family, train.x, tests);
        result_.table_nodes = source_->nodes();
    }

    DepthResult run() {
        choose_entries();
        find();
        for (std::size_t next = 0; next < states_.size();) next = round(next);
        collect();
        measure_weights();
        return std::move(result_);
    }

private:
    /// What every rank knows of a depth.
    enum class State : char { missing, moving, still };
    /// What a rank has to do in a round.
    struct Task {
        std::size_t at = 0;  ///< of the depths
        DepthLevel level;
        double error = 0;
    };

    [[nodiscard]] Index n() const { return train_.samples(); }
    [[nodiscard]] Index tests() const { return test_ != nullptr ? test_->samples() : 0; }

    void report(Index layer) const {
        const Index deepest = options_.depths.back();
        progress_(
            {std::min(layer, deepest), deepest, static_cast<Index>(result_.points.size()), static_cast<Index>(options_.depths.size())});
    }

    /// What `make` gives on the root, on every rank.
    template <class Value, class Make>
    [[nodiscard]] Value told_by_root(const Make& make) const {
        return ranks_.size() == 1 ? make() : from_root<Value>(ranks_, make);
    }

    /// At depth 1: the same entries whatever depths are asked for.
    void choose_entries() {
        source_->advance(1, {});
        const DepthLevel first = source_->level(0);
        TracedEntries chosen = told_by_root<TracedEntries>([&] { return meter_.entries_to_follow(first.below_one); });
        result_.traced_train = chosen.train;
        result_.traced_test = chosen.test;
        meter_.follow(std::move(chosen));
    }

    /// Looks for what was saved before.
    void find() {
        states_ = told_by_root<std::vector<State>>([&] {
            for (std::size_t at = 0; store_ != nullptr && at < states_.size(); ++at) {
                records_[at] = store_->load(options_.depths[at]);
                found_[at] = records_[at].has_value();
                if (!found_[at]) continue;
                states_[at] = records_[at]->point.still ? State::still : State::moving;
                ++result_.found;
            }
            return states_;
        });
        collect();
    }

    /// Does the next missing depths from `next` on, one for each rank. Returns where to go on.
    [[nodiscard]] std::size_t round(std::size_t next) {
        std::vector<std::size_t> dealt;
        std::optional<Task> mine;
        for (; next < states_.size() && std::ssize(dealt) < ranks_.size(); ++next) {
            if (states_[next] != State::missing) continue;
            progress_.check();
            source_->advance(options_.depths[next], [&](Index layer) {
                report(layer);
                progress_.check();
            });
            states_[next] = source_->still() ? State::still : State::moving;
            const auto owner = static_cast<int>(dealt.size());
            DepthLevel level = source_->level(owner);
            if (owner == ranks_.rank()) mine = Task{next, std::move(level), source_->error()};
            dealt.push_back(next);
        }
        std::optional<DepthRecord> record;
        std::exception_ptr failure;
        try {
            if (mine) record = measure(std::move(*mine));
        } catch (...) {
            failure = std::current_exception();
        }
        bring_together(dealt, std::move(record), failure);
        return next;
    }

    [[nodiscard]] DepthRecord measure(Task task) const {
        DepthRecord record = meter_.measure(options_.depths[task.at], std::move(task.level), !repeats(task.at));
        record.point.table_error = task.error;
        record.point.still = states_[task.at] == State::still;
        return record;
    }

    /// Whether nothing moves since the depth before: the closed form is that one's.
    [[nodiscard]] bool repeats(std::size_t at) const { return at > 0 && states_[at] == State::still && states_[at - 1] == State::still; }

    /// What is done is kept before a failure of any rank is thrown on all of them.
    void bring_together(const std::vector<std::size_t>& dealt, std::optional<DepthRecord> mine, const std::exception_ptr& failure) {
        if (ranks_.size() == 1) {
            if (failure) std::rethrow_exception(failure);
            if (!dealt.empty()) records_[dealt.front()] = std::move(mine);
            return collect();
        }
        ByteWriter told;
        told(describe_failure(failure, ranks_), mine);
        std::optional<RankFailure> first;
        ranks_.gather(told.bytes(), 0, [&](int from, std::span<const std::byte> bytes) {
            std::optional<RankFailure> said;
            std::optional<DepthRecord> record;
            ByteReader{bytes}(said, record);
            if (record) records_[dealt[static_cast<std::size_t>(from)]] = std::move(record);
            if (said && !first) first = std::move(said);
        });
        collect();
        if (const auto all = from_root<std::optional<RankFailure>>(ranks_, [&] { return first; })) throw Error(all->code, all->message);
    }

    /// On the root: all depths before the first that is missing join the result, and new ones the store.
    void collect() {
        for (std::size_t at = result_.points.size(); at < records_.size() && records_[at]; ++at) {
            DepthRecord& record = *records_[at];
            if (!found_[at]) {
                if (repeats(at)) repeat_closed_form(record);
                if (store_ != nullptr) store_->save(record);
            }
            result_.points.push_back(std::move(record.point));
            result_.weights.push_back(std::move(record.weights));
            report(options_.depths[at]);
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

    /// The limit of u, and how far every level is from it.
    void measure_weights() {
        if (tests() == 0) return;
        std::optional<KernelPair> shape = options_.weight_limit == WeightLimit::kriging ? limiting_shape() : std::optional<KernelPair>();
        if (!ranks_.root()) return;
        const HostMatrix<double> limit = weight_limit(std::move(shape));
        for (const Index j : result_.traced_test) result_.traced_limit.push_back(limit.empty() ? nan : limit(0, j));
        for (std::size_t i = 0; i < result_.points.size(); ++i) measure_distances(result_.points[i], result_.weights[i], limit);
    }

    /// On the root, what 1 - K is proportional to in the limit; nothing where the linear regime does not begin soon after the deepest
    /// level.
    [[nodiscard]] std::optional<KernelPair> limiting_shape() {
        const Index deepest = options_.depths.back(),
                    last = deepest + (result_.equal_norms ? layers_for_limit : std::max(deepest, pair_layers_for_limit));
        for (Index depth = deepest; !source_->linear() && depth < last; depth += 1000) source_->advance(depth, {});
        if (!source_->linear()) return std::nullopt;
        return source_->limiting_shape(0);
    }

    [[nodiscard]] HostMatrix<double> weight_limit(std::optional<KernelPair> shape) {
        result_.weight_limit = options_.weight_limit;
        HostMatrix<double> limit;
        if (options_.weight_limit == WeightLimit::constant) {
            const double c = options_.off_diagonal_limit.value();
            limit = HostMatrix<double>(tests(), n());
            std::fill(limit.data(), limit.data() + limit.size(), c / (1 - c + c * static_cast<double>(n())));
        } else if (shape) {
            limit = download(NormalizedSystem::near_ones(std::move(shape->train), 0, true).weights(shape->cross));
        }
        if (limit.empty()) {
            result_.weight_limit = WeightLimit::deepest;
            const auto last = std::find_if(result_.weights.rbegin(), result_.weights.rend(), [](const auto& u) { return !u.empty(); });
            if (last != result_.weights.rend()) limit = *last;
        }
        if (!limit.empty()) result_.limit_score = meter_.score(upload(backend_, limit));
        return limit;
    }

    void measure_distances(DepthPoint& point, const HostMatrix<double>& u, const HostMatrix<double>& limit) const {
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
    Ranks& ranks_;
    const Dataset& train_;
    const Dataset* test_;
    const DepthOptions& options_;
    const Progress<const DepthProgress&>& progress_;
    DepthStore* store_;  ///< the root's
    DepthMeter meter_;
    std::unique_ptr<DepthSource> source_;
    std::vector<State> states_;
    std::vector<bool> found_;                          ///< what was in the store; here and below the root's
    std::vector<std::optional<DepthRecord>> records_;  ///< moved into the result when those before are there
    DepthResult result_;
};

/// The state of every pair, what it was before, and what is on its way to another rank.
double largest_pair_share_bytes(Index train, Index tests, Index features, int ranks) {
    double most = 0;
    for (int rank = 0; rank < ranks; ++rank) {
        const PairShare share = pair_share(train, tests, ranks, rank);
        const double parts = (ranks > 1 ? 6 : 3) * static_cast<double>(share.entries(train)) * sizeof(double);
        const auto recursion = [&](Index rows, Index cols, Triangle triangle) {
            return rows > 0 && cols > 0 ? pair_recursion_bytes(rows, cols, features, triangle) : 0;
        };
        most = std::max(most, parts + recursion(share.rows, share.first, Triangle::full) +
                                  recursion(share.rows, share.rows, Triangle::lower) + recursion(share.tests, train, Triangle::full));
    }
    return most;
}

}  // namespace

bool angle_alone(const KernelFamily& family, const HostMatrix<double>& train, const HostMatrix<double>& test) {
    if (family.dual.homogeneous() && family.bias_std == 0) return true;
    const double expected = mean_square(train, 0);
    for (const auto* x : {&train, &test})
        for (Index i = 0; i < x->rows(); ++i)
            if (!(std::fabs(mean_square(*x, i) - expected) <= 1e-13 * expected)) return false;
    return true;
}

DepthMemory depth_memory(const DepthOptions& options, const HostMatrix<double>& train, const HostMatrix<double>& test, int ranks) {
    return depth_memory(options, train.rows(), test.rows(), train.cols(), angle_alone(options.family, train, test), ranks);
}

DepthMemory depth_memory(const DepthOptions& options, Index train, Index tests, Index features, bool by_angle, int ranks) {
    const double n = static_cast<double>(train), t = static_cast<double>(tests), pairs = n * n + t * n;
    // Kernel and the factorised system; right-hand sides, residuals and weights; inverse, product and workspace of the spectrum.
    const double values = pairs + (n + 1) * (n + 1) + 3 * t * (n + 1) + (options.spectrum ? 4 * n * n : 0);
    double source = pairs * sizeof(double);  // angles
    if (!by_angle) source = largest_pair_share_bytes(train, tests, features, ranks);
    return {values * sizeof(double) + source, static_cast<double>(options.depths.size()) * t * n * sizeof(double)};
}

DepthEstimate depth_estimate(const std::shared_ptr<Backend<double>>& backend, const DepthOptions& options, const HostMatrix<double>& train,
                             const HostMatrix<double>& test, int ranks) {
    if (angle_alone(options.family, train, test)) return {};
    const auto n = static_cast<double>(train.rows()), t = static_cast<double>(test.rows());
    DepthEstimate estimate;
    estimate.pair_layers = (n * (n + 1) / 2 + t * n) * static_cast<double>(options.depths.back());
    estimate.seconds = estimate.pair_layers / ranks / pair_layers_per_second(backend, options.family, train);
    return estimate;
}

DepthResult depth_limit(const std::shared_ptr<Backend<double>>& backend, const Dataset& train, const Dataset* test,
                        const DepthOptions& options, const Progress<const DepthProgress&>& progress, DepthStore* store, Ranks& ranks) {
    return Study(backend, ranks, train, test, options, progress, store).run();
}

}  // namespace ntk

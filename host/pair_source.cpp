#include "depth_source.hpp"
#include "pair_share.hpp"
#include "rank_numbers.hpp"

#include <ntkcuda/linear_regime.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

namespace ntk {
namespace {

/// Layers between two looks at the state.
constexpr Index layers_at_once = 256;
/// 1 - rho may fall by this much between two looks: it stays in the range of normal numbers until the linear regime takes over.
constexpr long double largest_fall = 1e-60L;
/// Two samples whose layers differ by less than this are one.
constexpr long double negligible = 1e-17L;
/// Rows that come to the host at a time.
constexpr Index panel_rows = 256;

PairRecursionOptions recursion_options(const KernelFamily& family) {
    if (family.dual.activation() == nullptr)
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("the samples have unequal norms, and the dual {} is known between equal norms only: normalise the samples "
                                "to one norm (--normalize sphere), or take an activation of the engine",
                                family.dual.name()));
    return {*family.dual.activation(), family.weight_std, family.bias_std, family.trained_biases};
}

void refuse_equal_samples(const HostMatrix<double>& x) {
    std::vector<Index> order(static_cast<std::size_t>(x.rows()));
    std::iota(order.begin(), order.end(), Index{0});
    const auto row = [&](Index i) { return x.data() + i * x.cols(); };
    const auto before = [&](Index i, Index j) {
        return std::lexicographical_compare(row(i), row(i) + x.cols(), row(j), row(j) + x.cols());
    };
    std::stable_sort(order.begin(), order.end(), before);
    for (std::size_t k = 1; k < order.size(); ++k)
        if (!before(order[k - 1], order[k]))
            throw Error(ErrorCode::not_positive_definite,
                        fmt::format("training samples {} and {} (counting from 1) are equal: the kernel is singular at every depth; remove "
                                    "one of them",
                                    order[k - 1] + 1, order[k] + 1));
}

/// The smallest and largest |x|^2 / d.
std::pair<double, double> mean_square_range(const HostMatrix<double>& train, const HostMatrix<double>& test) {
    double smallest = std::numeric_limits<double>::infinity(), largest = 0;
    for (const auto* x : {&train, &test})
        for (Index i = 0; i < x->rows(); ++i) {
            double square = 0;
            for (Index j = 0; j < x->cols(); ++j) square += (*x)(i, j) * (*x)(i, j);
            square /= static_cast<double>(x->cols());
            smallest = std::min(smallest, square);
            largest = std::max(largest, square);
        }
    return {smallest, largest};
}

bool near(long double a, long double b) { return std::fabs(a - b) <= negligible * std::fabs(a); }
bool same(const SphereLayer& a, const SphereLayer& b) {
    return near(a.weight, b.weight) && near(a.tangent_weight, b.tangent_weight) && near(a.tangent_carry, b.tangent_carry) &&
           near(a.dual.at_one().derivative, b.dual.at_one().derivative) && near(a.dual.at_one().bend, b.dual.at_one().bend);
}

using Pairs = PairRecursion<double>;
using Quantity = void (Pairs::*)(MatrixView<double>);

/// The recursion of the pairs that a rank has.
class PairRecursions {
public:
    PairRecursions(const std::shared_ptr<Backend<double>>& backend, const KernelFamily& family, const PairShare& share,
                   const HostMatrix<double>& train, const HostMatrix<double>& test, bool others)
        : backend_(backend) {
        const PairRecursionOptions options = recursion_options(family);
        const Matrix<double> x = upload(backend, train);
        const Matrix<double> tests = test.rows() > 0 ? upload(backend, test) : Matrix<double>();
        const auto all = std::as_const(x).view(), rows = all.row_range(share.first, share.rows);
        if (others) {  // rows are refused by their number among all, by every rank alike
            (void)backend->pair_recursion(options, all, all.row_range(0, 1), Triangle::full);
            if (!tests.empty()) (void)backend->pair_recursion(options, tests.view(), all.row_range(0, 1), Triangle::full);
        }
        if (share.rows > 0) own_ = backend->pair_recursion(options, rows, rows, Triangle::lower);
        if (share.rows > 0 && share.first > 0)
            before_ = backend->pair_recursion(options, rows, all.row_range(0, share.first), Triangle::full);
        if (share.tests > 0)
            cross_ = backend->pair_recursion(options, tests.view().row_range(share.first_test, share.tests), all, Triangle::full);
    }

    void advance(Index depth) {
        for (Pairs* pairs : {before_.get(), own_.get(), cross_.get()})
            if (pairs) pairs->advance(depth);
    }
    void read(Quantity quantity, PairParts& out) {
        if (before_) (*before_.*quantity)(out.before.view());
        if (own_) (*own_.*quantity)(out.own.view());
        if (own_) backend_->mirror_lower(out.own.view());
        if (cross_) (*cross_.*quantity)(out.cross.view());
    }

private:
    std::shared_ptr<Backend<double>> backend_;
    std::unique_ptr<Pairs> before_, own_, cross_;
};

void fill(PairParts& parts, double value) {
    for_each_part([&](Matrix<double>& x) { x.backend()->fill(x.view(), value); }, parts);
}

/// to += factor from^power, elementwise.
void add_power(double factor, Power power, const PairParts& from, PairParts& to) {
    for_each_part([&](const Matrix<double>& x, Matrix<double>& y) { y.backend()->add_power(factor, power, x.view(), y.view()); }, from, to);
}

bool equal(Ranks& ranks, const PairParts& a, const PairParts& b) {
    double difference = 0;
    for_each_part(
        [&](const Matrix<double>& x, const Matrix<double>& y) {
            const double norm = x.backend()->difference_norms(x.view(), y.view()).max_abs;
            if (norm != 0) difference = 1;  // NaN differs too
        },
        a, b);
    return largest_of_ranks(ranks, difference) == 0;
}

/// The largest entry off the diagonal; 0 if there is none.
double largest(Ranks& ranks, const PairParts& parts) {
    double result = 0;
    const auto look = [&](const Matrix<double>& x) {
        const EntrySummary summary = x.backend()->summarize(x.view(), &x == &parts.own ? Entries::off_diagonal : Entries::all, 0);
        if (summary.count > 0) result = std::max(result, summary.max);
    };
    for_each_part(look, parts);
    return largest_of_ranks(ranks, result);
}

/// The smallest entry > 0, looked for entry by entry: a test sample may equal a training sample.
double smallest_positive(Ranks& ranks, const PairParts& parts) {
    double smallest = std::numeric_limits<double>::infinity();
    const auto look = [&](const Matrix<double>& x) {
        for (Index first = 0; first < x.rows(); first += panel_rows) {
            HostMatrix<double> panel(std::min(panel_rows, x.rows() - first), x.cols());
            x.backend()->download(x.view().row_range(first, panel.rows()), panel.view());
            for (Index e = 0; e < panel.size(); ++e)
                if (panel.data()[e] > 0) smallest = std::min(smallest, panel.data()[e]);
        }
    };
    for_each_part(look, parts);
    return smallest_of_ranks(ranks, smallest);
}

/// Divides by the power of two that leaves the largest entry at order one. Returns the exponent.
std::int64_t to_order_one(Ranks& ranks, PairParts& parts) {
    int exponent = 0;
    (void)std::frexp(largest(ranks, parts), &exponent);
    const double factor = std::ldexp(1.0, -exponent);
    for_each_part([&](Matrix<double>& x) { x.backend()->scale(factor, x.view()); }, parts);
    return exponent;
}

/// The pairs in the linear regime: what they were where it began, and the scalars since.
class LinearPairs {
public:
    LinearPairs(const KernelFamily& family, double power, Ranks& ranks, PairParts correlation, PairParts tangent)
        : ranks_(ranks),
          regime_(family.kernel, power),
          power_(family.kernel == InfiniteKernel::ntk && power != 1 ? Power::half : Power::one),
          correlation_(std::move(correlation)),
          tangent_(std::move(tangent)),
          smallest_correlation_(smallest_positive(ranks, correlation_)),
          largest_correlation_(largest(ranks, correlation_)),
          largest_tangent_(largest(ranks, tangent_)) {}

    void advance(const SphereLayer& layer) { regime_.advance(layer); }

    /// DepthLevel::exponent.
    [[nodiscard]] std::int64_t exponent() const {
        return (alpha() * largest_tangent_ + beta() * regime_.limiting_shape(largest_correlation_)).exponent;
    }
    /// DepthLevel::below_one.
    void below_one(PairParts& out) const {
        const std::int64_t unit = exponent();
        fill(out, 0);
        add_power(static_cast<double>(alpha().over(unit)), Power::one, tangent_, out);
        add_power(static_cast<double>(beta().over(unit)), power_, correlation_, out);
    }
    /// Whether every pair's 1 - K has its limiting shape to all digits.
    [[nodiscard]] bool reached_limit() const { return regime_.reached_limit(smallest_correlation_, largest_tangent_); }
    void limiting_shape(PairParts& out) const {
        fill(out, 0);
        add_power(1, power_, correlation_, out);
        (void)to_order_one(ranks_, out);
    }

private:
    [[nodiscard]] ScaledNumber alpha() const { return regime_.below_one(0, 1); }
    [[nodiscard]] ScaledNumber beta() const { return regime_.below_one(1, 0); }

    Ranks& ranks_;
    LinearRegime regime_;
    Power power_;
    PairParts correlation_, tangent_;  ///< 1 - rho*, 1 - K*
    double smallest_correlation_, largest_correlation_, largest_tangent_;
};

class PairSource final : public DepthSource {
public:
    PairSource(const std::shared_ptr<Backend<double>>& backend, Ranks& ranks, const KernelFamily& family, const HostMatrix<double>& train,
               const HostMatrix<double>& test)
        : backend_(backend),
          ranks_(ranks),
          family_(family),
          samples_(train.rows()),
          tests_(test.rows()),
          share_(share_of(ranks.rank())),
          recursions_(std::in_place, backend, family, share_, train, test, ranks.size() > 1),
          least_(family, mean_square_range(train, test).first),
          most_(family, mean_square_range(train, test).second) {
        refuse_equal_samples(train);
        (void)least_.next();
        (void)most_.next();
        for (PairParts* parts : {&correlation_, &tangent_, &scratch_}) *parts = new_parts();
    }

    void advance(Index depth, const std::function<void(Index)>& progress) override {
        while (least_.depth() < depth) {
            if (linear_)
                linear_->advance(least_.next());
            else if (frozen_)
                (void)least_.next();
            else
                advance_pairs(depth);
            if (progress && least_.depth() % layers_at_once == 0) progress(least_.depth());
        }
    }
    DepthLevel level(int owner) override {
        DepthLevel level;
        PairParts parts = new_parts();
        if (linear_) {
            level.exponent = linear_->exponent();
            linear_->below_one(parts);
            level.below_one = brought(std::move(parts), owner);
            if (ranks_.rank() == owner) level.value = ones();
        } else {
            recursions_->read(ntk() ? &Pairs::tangent_below_one : &Pairs::correlation_below_one, parts);
            level.exponent = to_order_one(ranks_, parts);
            level.below_one = brought(std::move(parts), owner);
            PairParts values = new_parts();
            recursions_->read(ntk() ? &Pairs::tangent : &Pairs::correlation, values);
            level.value = brought(std::move(values), owner);
        }
        return level;
    }
    KernelPair limiting_shape(int owner) override {
        PairParts parts = new_parts();
        linear_.value().limiting_shape(parts);
        return brought(std::move(parts), owner);
    }
    [[nodiscard]] bool still() const override {
        return frozen_ || (linear_ && linear_->reached_limit() && linear_->exponent() < invisible_exponent);
    }
    [[nodiscard]] bool linear() const override { return linear_.has_value(); }
    [[nodiscard]] double error() const override { return 0; }

private:
    [[nodiscard]] bool ntk() const { return family_.kernel == InfiniteKernel::ntk; }
    [[nodiscard]] PairShare share_of(int rank) const { return pair_share(samples_, tests_, ranks_.size(), rank); }
    [[nodiscard]] PairParts new_parts() const { return {backend_, share_, samples_}; }
    [[nodiscard]] KernelPair new_pair() const {
        return {Matrix<double>(backend_, samples_, samples_), Matrix<double>(backend_, tests_, tests_ > 0 ? samples_ : 0)};
    }
    [[nodiscard]] KernelPair ones() const {
        KernelPair pair = new_pair();
        for (Matrix<double>* x : {&pair.train, &pair.cross})
            if (!x->empty()) backend_->fill(x->view(), 1);
        return pair;
    }

    /// The parts of all ranks on `owner`, which has one share at a time beside the whole: about n^2 / 2 + tests n numbers go to it.
    [[nodiscard]] KernelPair brought(PairParts parts, int owner) const {
        if (ranks_.size() == 1) return {std::move(parts.own), std::move(parts.cross)};
        std::vector<double> mine(static_cast<std::size_t>(share_.entries(samples_)));
        double* to = mine.data();
        const auto append = [&](const Matrix<double>& x) {
            download(x, {to, x.rows(), x.cols()});
            to += x.view().size();
        };
        for_each_part(append, parts);
        parts = {};
        KernelPair whole;
        if (ranks_.rank() == owner) whole = new_pair();
        ranks_.gather(std::as_bytes(std::span(mine)), owner,
                      [&](int from, std::span<const std::byte> bytes) { place(share_of(from), bytes, whole); });
        if (ranks_.rank() == owner) backend_->mirror_lower(whole.train.view());
        return whole;
    }
    void place(const PairShare& share, std::span<const std::byte> bytes, KernelPair& whole) const {
        const auto* from = reinterpret_cast<const double*>(bytes.data());
        const auto take = [&](MatrixView<double> to) {
            if (!to.empty()) backend_->upload({from, to.rows(), to.cols()}, to);
            from += to.size();
        };
        const MatrixView<double> rows = whole.train.view().row_range(share.first, share.rows);
        take(rows.col_range(0, share.first));
        take(rows.col_range(share.first, share.rows));
        if (share.tests > 0) take(whole.cross.view().row_range(share.first_test, share.tests));
        backend_->synchronize();  // the bytes go
    }

    /// To the next look at the state, at most to `depth`. Looks come at the same depths wherever advance() stops: stops change no bit.
    void advance_pairs(Index depth) {
        SphereLayer low, high;
        bool look = false;
        while (!look && least_.depth() < depth) {
            low = least_.next();
            high = most_.next();
            fall_ *= std::min(low.weight * low.dual.at_one().derivative, high.weight * high.dual.at_one().derivative);
            look = least_.depth() % layers_at_once == 0 || fall_ < largest_fall;
        }
        recursions_->advance(least_.depth());
        if (!look) return;
        fall_ = 1;
        if (same(low, high)) {
            recursions_->read(&Pairs::correlation_below_one, scratch_);
            if (largest(ranks_, scratch_) < LinearRegime::begins_below) return begin_linear(low.dual.at_one().power);
        }
        if (least_.depth() == next_comparison_) compare_states();
    }

    void begin_linear(double power) {
        recursions_->read(&Pairs::tangent_below_one, tangent_);
        linear_.emplace(family_, power, ranks_, std::move(scratch_), std::move(tangent_));
        recursions_.reset();
        correlation_ = {};
    }

    /// With the state at half the depth: no regime rests for so long and then moves again.
    void compare_states() {
        const auto unchanged = [&](Quantity quantity, PairParts& before) {
            recursions_->read(quantity, scratch_);
            const bool result = next_comparison_ > layers_at_once && equal(ranks_, scratch_, before);
            std::swap(scratch_, before);
            return result;
        };
        const bool correlation = unchanged(&Pairs::correlation_below_one, correlation_), tangent = unchanged(&Pairs::tangent, tangent_);
        frozen_ = correlation && tangent;
        next_comparison_ *= 2;
    }

    std::shared_ptr<Backend<double>> backend_;
    Ranks& ranks_;
    const KernelFamily& family_;
    Index samples_, tests_;
    PairShare share_;
    std::optional<PairRecursions> recursions_;
    SphereSample least_, most_;  ///< of the smallest and of the largest norm: all others lie between
    std::optional<LinearPairs> linear_;
    bool frozen_ = false;
    Index next_comparison_ = layers_at_once;
    long double fall_ = 1;                       ///< of 1 - rho since the last look
    PairParts correlation_, tangent_, scratch_;  ///< 1 - rho and K at the last comparison
};

}  // namespace

std::unique_ptr<DepthSource> make_pair_source(const std::shared_ptr<Backend<double>>& backend, Ranks& ranks, const KernelFamily& family,
                                              const HostMatrix<double>& train, const HostMatrix<double>& test) {
    return std::make_unique<PairSource>(backend, ranks, family, train, test);
}

double pair_layers_per_second(const std::shared_ptr<Backend<double>>& backend, const KernelFamily& family,
                              const HostMatrix<double>& train) {
    using Clock = std::chrono::steady_clock;
    constexpr Index samples = 1024, warm_up = 17, layers = 64;
    const Matrix<double> x = upload(backend, train);
    const auto part = std::as_const(x).view().row_range(0, std::min(samples, train.rows()));
    const auto pairs = backend->pair_recursion(recursion_options(family), part, part, Triangle::lower);
    pairs->advance(warm_up);
    backend->synchronize();
    const auto start = Clock::now();
    pairs->advance(warm_up + layers);
    backend->synchronize();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const auto n = static_cast<double>(part.rows());
    return n * (n + 1) / 2 * layers / seconds;
}

}  // namespace ntk

#include "depth_source.hpp"

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

/// The recursion between training samples and between test and training samples.
class PairRecursions {
public:
    PairRecursions(const std::shared_ptr<Backend<double>>& backend, const KernelFamily& family, const HostMatrix<double>& train,
                   const HostMatrix<double>& test)
        : backend_(backend) {
        const PairRecursionOptions options = recursion_options(family);
        const Matrix<double> x = upload(backend, train);
        train_ = backend->pair_recursion(options, x.view(), x.view(), Triangle::lower);
        if (test.rows() > 0) cross_ = backend->pair_recursion(options, upload(backend, test).view(), x.view(), Triangle::full);
    }

    void advance(Index depth) {
        train_->advance(depth);
        if (cross_) cross_->advance(depth);
    }
    using Quantity = void (PairRecursion<double>::*)(MatrixView<double>);
    void read(Quantity quantity, KernelPair& out) {
        (*train_.*quantity)(out.train.view());
        backend_->mirror_lower(out.train.view());
        if (cross_) (*cross_.*quantity)(out.cross.view());
    }

private:
    std::shared_ptr<Backend<double>> backend_;
    std::unique_ptr<PairRecursion<double>> train_, cross_;
};

void fill(KernelPair& pair, double value) {
    pair.train.backend()->fill(pair.train.view(), value);
    if (!pair.cross.empty()) pair.cross.backend()->fill(pair.cross.view(), value);
}

/// to += factor from^power, elementwise.
void add_power(double factor, Power power, const KernelPair& from, KernelPair& to) {
    const auto& backend = to.train.backend();
    backend->add_power(factor, power, from.train.view(), to.train.view());
    if (!to.cross.empty()) backend->add_power(factor, power, from.cross.view(), to.cross.view());
}

bool equal(const KernelPair& a, const KernelPair& b) {
    const auto same_entries = [](const Matrix<double>& x, const Matrix<double>& y) {
        return x.empty() || x.backend()->difference_norms(x.view(), y.view()).max_abs == 0;
    };
    return same_entries(a.train, b.train) && same_entries(a.cross, b.cross);
}

/// The largest entry off the diagonal; 0 if there is none.
double largest(const KernelPair& pair) {
    const auto& backend = pair.train.backend();
    const EntrySummary train = backend->summarize(pair.train.view(), Entries::off_diagonal, 0);
    const double result = train.count > 0 ? train.max : 0;
    return pair.cross.empty() ? result : std::max(result, backend->summarize(pair.cross.view(), Entries::all, 0).max);
}

/// The smallest entry > 0, looked for entry by entry: a test sample may equal a training sample.
double smallest_positive(const KernelPair& pair) {
    double smallest = std::numeric_limits<double>::infinity();
    for (const auto* x : {&pair.train, &pair.cross})
        for (Index first = 0; first < x->rows(); first += panel_rows) {
            HostMatrix<double> panel(std::min(panel_rows, x->rows() - first), x->cols());
            x->backend()->download(x->view().row_range(first, panel.rows()), panel.view());
            for (Index e = 0; e < panel.size(); ++e)
                if (panel.data()[e] > 0) smallest = std::min(smallest, panel.data()[e]);
        }
    return smallest;
}

/// Divides by the power of two that leaves the largest entry at order one. Returns the exponent.
std::int64_t to_order_one(KernelPair& pair) {
    int exponent = 0;
    (void)std::frexp(largest(pair), &exponent);
    const double factor = std::ldexp(1.0, -exponent);
    pair.train.backend()->scale(factor, pair.train.view());
    if (!pair.cross.empty()) pair.cross.backend()->scale(factor, pair.cross.view());
    return exponent;
}

/// All pairs in the linear regime: what they were where it began, and the scalars since.
class LinearPairs {
public:
    LinearPairs(const KernelFamily& family, double power, KernelPair correlation, KernelPair tangent)
        : regime_(family.kernel, power),
          power_(family.kernel == InfiniteKernel::ntk && power != 1 ? Power::half : Power::one),
          correlation_(std::move(correlation)),
          tangent_(std::move(tangent)),
          smallest_correlation_(smallest_positive(correlation_)),
          largest_correlation_(largest(correlation_)),
          largest_tangent_(largest(tangent_)) {}

    void advance(const SphereLayer& layer) { regime_.advance(layer); }

    /// DepthSource::below_one.
    std::int64_t below_one(KernelPair& out) const {
        const ScaledNumber alpha = regime_.below_one(0, 1), beta = regime_.below_one(1, 0);
        const std::int64_t exponent = (alpha * largest_tangent_ + beta * regime_.limiting_shape(largest_correlation_)).exponent;
        fill(out, 0);
        add_power(static_cast<double>(alpha.over(exponent)), Power::one, tangent_, out);
        add_power(static_cast<double>(beta.over(exponent)), power_, correlation_, out);
        return exponent;
    }
    /// Whether every pair's 1 - K has its limiting shape to all digits.
    [[nodiscard]] bool reached_limit() const { return regime_.reached_limit(smallest_correlation_, largest_tangent_); }
    void limiting_shape(KernelPair& out) const {
        fill(out, 0);
        add_power(1, power_, correlation_, out);
        (void)to_order_one(out);
    }

private:
    LinearRegime regime_;
    Power power_;
    KernelPair correlation_, tangent_;  ///< 1 - rho*, 1 - K*
    double smallest_correlation_, largest_correlation_, largest_tangent_;
};

class PairSource final : public DepthSource {
public:
    PairSource(const std::shared_ptr<Backend<double>>& backend, const KernelFamily& family, const HostMatrix<double>& train,
               const HostMatrix<double>& test)
        : family_(family),
          recursions_(std::in_place, backend, family, train, test),
          least_(family, mean_square_range(train, test).first),
          most_(family, mean_square_range(train, test).second) {
        refuse_equal_samples(train);
        (void)least_.next();
        (void)most_.next();
        for (KernelPair* pair : {&correlation_, &tangent_, &scratch_})
            *pair = {Matrix<double>(backend, train.rows(), train.rows()),
                     Matrix<double>(backend, test.rows(), test.rows() > 0 ? train.rows() : 0)};
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
    void value(KernelPair& out) override {
        if (linear_)
            fill(out, 1);
        else
            recursions_->read(ntk() ? &PairRecursion<double>::tangent : &PairRecursion<double>::correlation, out);
    }
    std::int64_t below_one(KernelPair& out) override {
        if (linear_) return linear_->below_one(out);
        recursions_->read(ntk() ? &PairRecursion<double>::tangent_below_one : &PairRecursion<double>::correlation_below_one, out);
        return to_order_one(out);
    }
    bool still() override { return frozen_ || (linear_ && linear_->reached_limit()); }
    [[nodiscard]] bool linear() const override { return linear_.has_value(); }
    void limiting_shape(KernelPair& out) override { linear_.value().limiting_shape(out); }
    double error() override { return 0; }

private:
    [[nodiscard]] bool ntk() const { return family_.kernel == InfiniteKernel::ntk; }

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
            recursions_->read(&PairRecursion<double>::correlation_below_one, scratch_);
            if (largest(scratch_) < LinearRegime::begins_below) return begin_linear(low.dual.at_one().power);
        }
        if (least_.depth() == next_comparison_) compare_states();
    }

    void begin_linear(double power) {
        recursions_->read(&PairRecursion<double>::tangent_below_one, tangent_);
        linear_.emplace(family_, power, std::move(scratch_), std::move(tangent_));
        recursions_.reset();
        correlation_ = {};
    }

    /// With the state at half the depth: no regime rests for so long and then moves again.
    void compare_states() {
        const auto unchanged = [&](PairRecursions::Quantity quantity, KernelPair& before) {
            recursions_->read(quantity, scratch_);
            const bool result = next_comparison_ > layers_at_once && equal(scratch_, before);
            std::swap(scratch_, before);
            return result;
        };
        const bool correlation = unchanged(&PairRecursion<double>::correlation_below_one, correlation_),
                   tangent = unchanged(&PairRecursion<double>::tangent, tangent_);
        frozen_ = correlation && tangent;
        next_comparison_ *= 2;
    }

    const KernelFamily& family_;
    std::optional<PairRecursions> recursions_;
    SphereSample least_, most_;  ///< of the smallest and of the largest norm: all others lie between
    std::optional<LinearPairs> linear_;
    bool frozen_ = false;
    Index next_comparison_ = layers_at_once;
    long double fall_ = 1;                        ///< of 1 - rho since the last look
    KernelPair correlation_, tangent_, scratch_;  ///< 1 - rho and K at the last comparison
};

}  // namespace

std::unique_ptr<DepthSource> make_pair_source(const std::shared_ptr<Backend<double>>& backend, const KernelFamily& family,
                                              const HostMatrix<double>& train, const HostMatrix<double>& test) {
    return std::make_unique<PairSource>(backend, family, train, test);
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

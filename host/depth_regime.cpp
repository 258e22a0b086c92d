#include <ntkcuda/depth_regime.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ntk {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
/// Two units in the last place of a std, as a relative error of it; twice that of its square.
constexpr long double std_tolerance = 0x1p-51L;
constexpr long double square_tolerance = 2 * std_tolerance;
/// Stands for the limit q -> 0, where smooth duals are linear to all digits.
constexpr long double vanishing_variance = 1e-1000L;

bool is_one(long double value) { return std::fabs(value - 1) <= square_tolerance; }

/// q -> sigma_w^2 E[phi^2](q) + sigma_b^2.
class VarianceMap {
public:
    VarianceMap(const DualActivation& dual, long double weight_std, long double bias_std)
        : dual_(dual), weight_(weight_std * weight_std), bias_(bias_std * bias_std) {}

    [[nodiscard]] long double bias() const { return bias_; }
    [[nodiscard]] long double operator()(long double q) const { return weight_ * dual_.second_moment(q) + bias_; }
    /// The slope at q; of a bounded dual by a difference that is right to ten digits.
    [[nodiscard]] long double slope(long double q) const {
        if (dual_.homogeneous()) return weight_ * dual_.second_moment(1);
        if (q == 0) return weight_ * dual_.slope_second_moment(0);
        const long double step = 1e-5L * q;
        return weight_ * (dual_.second_moment(q + step) - dual_.second_moment(q - step)) / (2 * step);
    }
    /// The positive fixed point of a concave map that has one: Newton from above falls towards it.
    [[nodiscard]] long double fixed_point() const {
        if (dual_.homogeneous()) return bias_ / (1 - slope(1));
        long double q = weight_ * dual_.second_moment(1e30L) + bias_;
        for (int i = 0; i < 200; ++i) {
            const long double next = q - (q - (*this)(q)) / (1 - slope(q));
            if (!(next < q)) break;
            q = next;
        }
        return q;
    }
    /// sigma_w^2 E[phi'^2].
    [[nodiscard]] long double chi(long double q) const { return weight_ * dual_.slope_second_moment(q); }

private:
    const DualActivation& dual_;
    long double weight_, bias_;
};

/// The map of correlations in the limit of depth.
struct CorrelationMap {
    DualLayer dual;
    long double weight, bias, chi;

    [[nodiscard]] SphereImage image(long double below_one) const { return dual.image({1 - below_one, below_one, 2 - below_one}); }
    /// R'(1 - below_one).
    [[nodiscard]] long double slope(long double below_one) const { return chi * image(below_one).slope; }
    /// 1 - rho of the stable fixed point in [0, 1), for chi > 1: Newton from rho = 0, from which a convex map rises to it.
    [[nodiscard]] long double stable_point() const {
        long double e = 1;
        for (int i = 0; i < 200; ++i) {
            const SphereImage at = image(e);
            const long double next = e - (e - weight * at.value.below_one) / (1 - chi * at.slope);
            if (!(next < e)) break;
            e = next;
        }
        return e;
    }
    /// d of 1 - kappa = kappa'(1) (e - b e^2/2 + d e^3 - ...) of a smooth dual, from its slope, extrapolated.
    [[nodiscard]] long double third_coefficient() const {
        const auto estimate = [&](long double e) { return (dual.at_one().bend * e - image(e).slope_below_one) / (3 * e * e); };
        return 2 * estimate(1e-6L) - estimate(2e-6L);
    }
};

DepthRate exponential(long double factor, int prefactor = 0) {
    return {DepthRate::Kind::exponential, static_cast<double>(factor), prefactor, {}};
}

DepthRate algebraic(double exponent, int logarithms = 0, std::optional<double> coefficient = {}) {
    return {DepthRate::Kind::algebraic, exponent, logarithms, coefficient};
}

/// Everything about the family that the predictions are made of.
struct Setting {
    bool homogeneous, biased;
    bool kinked = false, bent = false;
    /// Of a homogeneous dual's variance with biases: exponential growth, or by sigma_b^2 a layer.
    bool grows = false, grows_by_bias = false;
    CorrelationMap map{};
    long double variance_slope = 0;  // at the limiting variance, where it is finite and positive
};

void predict_ordered(const Setting& s, RegimeReport& report) {
    report.nngp.limit = report.ntk.limit = 1;
    if (s.grows_by_bias) {  // each layer's share of the weights is 1 - 1/L
        report.nngp.rate = exponential(s.map.chi, -1);
        return;
    }
    report.nngp.rate = exponential(s.map.chi);
    // 1 - K' = chi (1 - K) + terms like e^p: with a kink they are larger than what they feed, else they resonate with it.
    report.ntk.rate = s.kinked ? exponential(std::sqrt(s.map.chi)) : exponential(s.map.chi, 1);
}

/// chi = 1 with weights that make up all of the next layer in the limit, and enough to keep K a mean over layers.
void predict_critical(const Setting& s, RegimeReport& report) {
    const double bend = static_cast<double>(s.map.dual.at_one().bend);
    report.nngp.limit = 1;
    report.nngp.uniform = true;
    if (s.kinked) {
        report.nngp.rate = algebraic(2, 0, 9 / (bend * bend));
        report.ntk.limit = 0.25;
        report.ntk.rate = algebraic(1, 1, 0.375);
    } else {
        // 1/e = (b/2) L (1 + c ln L / L), c = 1 - 4 d/b^2, moves K by (c/3) ln L / L.
        const double logarithm =
            static_cast<double>(1 - 4 * s.map.third_coefficient() / (s.map.dual.at_one().bend * s.map.dual.at_one().bend));
        report.nngp.rate = algebraic(1, 0, 2 / bend);
        report.ntk.limit = 1.0 / 3;
        report.ntk.rate = std::fabs(logarithm) > 1e-6 ? algebraic(1, 1, std::fabs(logarithm) / 3) : algebraic(1);
    }
}

/// chi = 1 while the share of the biases falls like 1/L.
void predict_critical_with_bias(const Setting& s, RegimeReport& report) {
    const double bend = static_cast<double>(s.map.dual.at_one().bend);
    report.nngp.limit = 1;
    if (!s.bent) {
        report.ntk.limit = 1;
        report.nngp.rate = report.ntk.rate = algebraic(1);
    } else if (s.kinked) {
        // e^(-1/2) = (2 b/3) L + C sqrt(L): the second term depends on the data and decides the rate of K.
        report.nngp.uniform = true;
        report.nngp.rate = algebraic(2, 0, 9 / (4 * bend * bend));
        report.ntk.limit = 4.0 / 7;
        report.ntk.rate = algebraic(0.5);
    } else {
        report.nngp.uniform = report.ntk.uniform = true;
        report.nngp.rate = algebraic(1, -1, 2 / bend);
        report.ntk.limit = 1;
        report.ntk.rate = DepthRate{DepthRate::Kind::logarithmic, 1, 0, 1.0};
    }
}

void predict_chaotic(const Setting& s, RegimeReport& report) {
    const bool bias_remains = s.map.bias > 0, bias_dies_out = s.biased && !bias_remains;
    const long double at_zero = s.map.image(1).value.rho;  // kappa(0)
    report.ntk.limit = 0;
    if (!bias_remains && at_zero == 0) {
        const long double slope = s.map.slope(1);
        report.nngp.limit = 0;
        if (bias_dies_out || slope == 0) return;  // led by the biases; faster than any exponential
        report.nngp.rate = exponential(slope);
        report.ntk.rate = exponential(slope / s.map.chi, 1);
        return;
    }
    const long double stable = s.map.stable_point(), slope = s.map.slope(stable);
    report.nngp.limit = static_cast<double>(1 - stable);
    report.ntk.rate = exponential(1 / s.map.chi);  // Theta(x, y) converges, Theta(x, x) grows by chi a layer
    if (bias_dies_out) return;
    const long double variance_slope = s.biased || !s.homogeneous ? s.variance_slope : 0;
    if (std::fabs(slope - variance_slope) > 1e-6L) report.nngp.rate = exponential(std::max(slope, variance_slope));
}

std::string describe(const KernelFamily& family, const RegimeReport& report) {
    const std::string who = fmt::format("{}, weight std {}, bias std {}: ", family.dual.name(), family.weight_std, family.bias_std);
    const std::string near = report.treated_as_critical ? " (1 to the digits of the values given, and treated as exactly 1)" : "";
    switch (report.regime) {
        case Regime::ordered:
            return who + fmt::format(
                             "ordered, chi = {:.6g}: the normalised kernel tends to the matrix of ones exponentially, the "
                             "closed form to a fixed limit that depends on the data",
                             report.chi);
        case Regime::critical:
        case Regime::critical_finite:
            return who + fmt::format(
                             "critical, chi = 1{}{}: off-diagonal entries of the normalised NTK tend to {}, of the NNGP to 1, "
                             "algebraically",
                             near,
                             report.regime == Regime::critical_finite ? fmt::format(" at variance {:.6g}", report.variance_limit) : "",
                             report.at_one.power < 1 ? "1/4" : "1/3");
        case Regime::growing:
            return who + fmt::format(
                             "chi = 1{} and a variance that grows exponentially, so that the biases die out: off-diagonal entries of "
                             "the normalised NTK tend to {}, of the NNGP to 1, algebraically",
                             near, report.at_one.power < 1 ? "1/4" : "1/3");
        case Regime::critical_with_bias:
            return who + fmt::format(
                             "critical with biases, chi = 1{} and a variance that grows by sigma_b^2 a layer: off-diagonal entries of "
                             "the normalised NTK tend to {}, of the NNGP to 1",
                             near,
                             report.at_one.power < 1  ? "4/7 algebraically"
                             : report.at_one.bend > 0 ? "1 logarithmically"
                                                      : "1 algebraically");
        case Regime::linear:
            return who + fmt::format("linear, {}{}: angles are kept in the limit, and all limits depend on the data",
                                     report.at_one.bend > 0 ? "because the variance tends to 0" : "at any depth", near);
        case Regime::chaotic:
            return who + fmt::format(
                             "chaotic, chi = {:.6g}: off-diagonal entries of the normalised NTK tend to 0, of the NNGP to {:.6g} "
                             "(except between opposite points of an odd activation without biases)",
                             report.chi, report.nngp.limit.value());
    }
    throw Error(ErrorCode::invalid_argument, "a regime of no known kind");
}

/// Of a dual that depends on the variance: chi at the fixed point is 1 for some weight and bias std next to those given.
bool critical_nearby(const KernelFamily& family) {
    long double least = std::numeric_limits<long double>::infinity(), most = -least;
    for (const long double weight : {-std_tolerance, 0.0L, std_tolerance})
        for (const long double bias : {-std_tolerance, 0.0L, std_tolerance}) {
            const VarianceMap map(family.dual, family.weight_std * (1 + weight), family.bias_std * (1 + bias));
            const long double chi = map.chi(map.fixed_point());
            least = std::min(least, chi);
            most = std::max(most, chi);
        }
    return least <= 1 && most >= 1;
}

}  // namespace

std::string to_string(Regime regime) {
    switch (regime) {
        case Regime::ordered:
            return "ordered";
        case Regime::critical:
            return "critical";
        case Regime::growing:
            return "growing";
        case Regime::critical_with_bias:
            return "critical-with-bias";
        case Regime::critical_finite:
            return "critical-finite";
        case Regime::linear:
            return "linear";
        case Regime::chaotic:
            return "chaotic";
    }
    throw Error(ErrorCode::invalid_argument, "a regime of no known kind");
}

std::optional<double> LimitPrediction::weight(Index samples) const {
    if (!limit || (*limit == 1 && !uniform)) return std::nullopt;
    return *limit / (1 - *limit + *limit * static_cast<double>(samples));
}

std::optional<double> LimitPrediction::condition(Index samples) const {
    if (!limit) return std::nullopt;
    if (samples == 1) return 1;
    return (1 - *limit + *limit * static_cast<double>(samples)) / (1 - *limit);
}

RegimeReport analyze_regime(const KernelFamily& family, double mean_square) {
    const SphereSample accepted(family, mean_square);  // refuses what has no kernel
    const VarianceMap variance(family.dual, family.weight_std, family.bias_std);
    const bool homogeneous = family.dual.homogeneous(), biased = family.bias_std > 0;
    RegimeReport report;
    Setting s{homogeneous, biased};
    const long double growth = variance.slope(homogeneous ? 1 : 0);  // at q = 0 of a bounded dual
    const bool steady = is_one(growth);
    report.treated_as_critical = steady && growth != 1 && (biased || !homogeneous);  // else the growth decides nothing
    long double limit = 0;
    if (homogeneous) {
        if (biased && (steady || growth > 1))
            limit = std::numeric_limits<long double>::infinity();
        else if (biased)
            limit = variance.fixed_point();
        else if (steady)
            limit = static_cast<long double>(family.weight_std) * family.weight_std * mean_square;
        else
            limit = growth > 1 ? std::numeric_limits<long double>::infinity() : 0;
        s.grows = biased && growth > 1 && !steady;
        s.grows_by_bias = biased && steady;
    } else if (biased || (growth > 1 && !steady)) {
        limit = variance.fixed_point();
    }
    if (!biased) report.fixed_points.push_back({0, static_cast<double>(growth)});
    const bool settles = limit > 0 && std::isfinite(limit) && (biased || !homogeneous);
    s.variance_slope = settles ? variance.slope(limit) : 0;
    if (settles) report.fixed_points.push_back({static_cast<double>(limit), static_cast<double>(s.variance_slope)});

    s.map.dual = family.dual.at(homogeneous ? 1 : std::max(limit, vanishing_variance));
    const DualAtOne& one = s.map.dual.at_one();
    s.map.bias = settles ? variance.bias() / limit : 0;
    s.map.weight = 1 - s.map.bias;
    s.map.chi = settles && biased ? variance.chi(limit) : one.derivative;
    s.kinked = one.power < 1;
    s.bent = one.bend > 0;

    const bool vanishes = !homogeneous && limit == 0;
    // Without biases, a bounded dual's chi at a positive fixed point is above 1, however little.
    const bool critical = homogeneous ? is_one(s.map.chi) : vanishes || (biased && critical_nearby(family));
    if (vanishes || (homogeneous && !s.bent && critical && !s.grows_by_bias)) {
        report.regime = Regime::linear;
    } else if (critical) {
        report.treated_as_critical = report.treated_as_critical || s.map.chi != 1;
        report.regime = settles           ? Regime::critical_finite
                        : s.grows_by_bias ? Regime::critical_with_bias
                        : s.grows         ? Regime::growing
                                          : Regime::critical;
        if (s.grows_by_bias)
            predict_critical_with_bias(s, report);
        else
            predict_critical(s, report);
    } else if (s.map.chi < 1) {
        report.regime = Regime::ordered;
        predict_ordered(s, report);
    } else {
        report.regime = Regime::chaotic;
        predict_chaotic(s, report);
    }
    report.variance_limit = static_cast<double>(limit);
    report.chi = static_cast<double>(s.map.chi);
    report.at_one = one;
    report.depth_scale = critical ? infinity : static_cast<double>(1 / std::fabs(std::log(s.map.chi)));
    report.statement = describe(family, report);
    return report;
}

}  // namespace ntk

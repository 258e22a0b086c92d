#include <ntkcuda/depth_regime.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace ntk {
namespace {

using Kind = DepthRate::Kind;

constexpr long double pi = std::numbers::pi_v<long double>;
const double root2 = std::sqrt(2.0);
const double erf_root = std::sqrt(std::numbers::pi) / 2;
const double no = std::numeric_limits<double>::quiet_NaN();  // no limit predicted

/// The bias std at which erf with weight std 1.2 has chi = 1.
double erf_critical_bias() {
    const long double w = 1.2 * 1.2L, q = (std::pow(4 * w / pi, 2.0L) - 1) / 4;
    return static_cast<double>(std::sqrt(q - w * 2 / pi * std::asin(2 * q / (1 + 2 * q))));
}

/// Limits: `no` where none is predicted, -1 where it is a fixed point of the map of correlations.
struct Case {
    std::string activation;
    double weight_std, bias_std;
    Regime regime;
    double ntk, nngp;
};

std::vector<Case> cases() {
    using enum Regime;
    const double quarter = 0.25, third = 1.0 / 3, four_sevenths = 4.0 / 7;
    return {
        {"relu", 1, 0.5, ordered, 1, 1},
        {"relu", 1.41, 0.1, ordered, 1, 1},
        {"leaky_relu:0.1", 1, 0.3, ordered, 1, 1},
        {"leaky_relu:-0.4", 1.2, 0.3, ordered, 1, 1},
        {"leaky_relu:1", 0.9, 0.3, ordered, 1, 1},
        {"abs", 0.8, 0.3, ordered, 1, 1},
        {"erf", 1, 0.5, ordered, 1, 1},
        {"hermite:0.4,0.4,0.2", 1.1, 0, ordered, 1, 1},
        {"hermite:0.4,0.4,0.2", 1.1, 0.5, ordered, 1, 1},
        {"hermite:0.4,0.4,0.2", 1, 0.5, ordered, 1, 1},
        {"hermite:0,0.5,0.25,0.125", 0.7, 0.4, ordered, 1, 1},
        {"relu", root2, 0, critical, quarter, 1},
        {"relu", 0.7, 0, critical, quarter, 1},
        {"leaky_relu:0.1", 1.3, 0, critical, quarter, 1},
        {"leaky_relu:-0.4", 1, 0, critical, quarter, 1},
        {"abs", 1, 0, critical, quarter, 1},
        {"hermite:0.25,0.5,0.25", 1, 0, critical, third, 1},
        {"hermite:0.5,0.25,0,0.25", 2, 0, critical, third, 1},
        {"relu", 3, 0.5, growing, quarter, 1},
        {"abs", 1.5, 0.5, growing, quarter, 1},
        {"hermite:0.25,0.5,0.25", 1.5, 0.3, growing, third, 1},
        {"relu", root2, 0.5, critical_with_bias, four_sevenths, 1},
        {"abs", 1, 0.5, critical_with_bias, four_sevenths, 1},
        {"leaky_relu:0.5", std::sqrt(1.6), 0.5, critical_with_bias, four_sevenths, 1},
        {"hermite:0.25,0.5,0.25", 1, 0.5, critical_with_bias, 1, 1},
        {"leaky_relu:1", 1, 0.5, critical_with_bias, 1, 1},
        {"erf", 1.2, erf_critical_bias(), critical_finite, third, 1},
        {"hermite:0,0.5,0.25,0.25", std::sqrt(1 / 1.75), 0.4, critical_finite, third, 1},
        {"erf", erf_root, 0, linear, no, no},
        {"erf", 0.5, 0, linear, no, no},
        {"leaky_relu:1", 1.3, 0, linear, no, no},
        {"leaky_relu:1", 1.3, 0.2, linear, no, no},
        {"erf", 2, 0.1, chaotic, 0, -1},
        {"erf", 3, 0, chaotic, 0, 0},
        {"hermite:0,0.2,0.5,0.3", 1, 0, chaotic, 0, 0},
        {"hermite:0,0.2,0.5,0.3", 1, 0.3, chaotic, 0, 0},
        {"hermite:0,0,0.5,0.5", 1, 0, chaotic, 0, 0},
        {"hermite:0.05,0.2,0.5,0.3", 1, 0, chaotic, 0, -1},
        {"hermite:0.05,0.2,0.5,0.3", 2, 0.5, chaotic, 0, -1},
        {"hermite:0,0.5,0.25,0.125", 0.9, 0.4, chaotic, 0, -1},
    };
}

KernelFamily family_of(const Case& c, bool trained = true) {
    KernelFamily family;
    family.dual = parse_dual_activation(c.activation);
    family.weight_std = c.weight_std;
    family.bias_std = c.bias_std;
    family.trained_biases = trained;
    return family;
}

std::string label(const Case& c) {
    return c.activation + ", weight std " + std::to_string(c.weight_std) + ", bias std " + std::to_string(c.bias_std);
}

/// A pair at growing depths.
struct Curve {
    std::vector<Index> depths;
    std::vector<SpherePair> pairs;

    /// |K - c|, or of the NNGP.
    [[nodiscard]] std::vector<long double> distances(InfiniteKernel kernel, double limit) const {
        const long double exact = limit == 1.0 / 3 ? 1 / 3.0L : limit == 4.0 / 7 ? 4 / 7.0L : limit;
        std::vector<long double> result;
        for (const SpherePair& pair : pairs) {
            const bool ntk = kernel == InfiniteKernel::ntk;
            const long double value = ntk ? pair.tangent : pair.correlation.rho;
            const long double below = ntk ? pair.tangent_below_one : pair.correlation.below_one;
            result.push_back(limit == 1 ? below : std::fabs(value - exact));
        }
        return result;
    }
};

Curve measure(const KernelFamily& family, long double cosine, Index last) {
    Curve curve;
    SphereSample sample(family, 1);
    SpherePair pair = first_pair(sample.next(), cosine_of(std::sqrt((1 - cosine) / (1 + cosine))));
    Index next = 10;
    while (sample.depth() < last) {
        pair = next_pair(sample.next(), pair);
        if (sample.depth() != next && sample.depth() != last) continue;
        next = std::max(next + 1, next * 11 / 10);
        curve.depths.push_back(sample.depth());
        curve.pairs.push_back(pair);
    }
    return curve;
}

constexpr InfiniteKernel kernels[] = {InfiniteKernel::ntk, InfiniteKernel::nngp};
const char* name_of(InfiniteKernel kernel) { return kernel == InfiniteKernel::ntk ? " NTK" : " NNGP"; }

TEST(DepthRegime, IsTheOneOfTheTable) {
    for (const Case& c : cases()) {
        const RegimeReport report = analyze_regime(family_of(c), 1);
        EXPECT_EQ(to_string(report.regime), to_string(c.regime)) << label(c);
        EXPECT_EQ(report.ntk.limit.has_value(), !std::isnan(c.ntk)) << label(c);
        EXPECT_EQ(report.nngp.limit.has_value(), !std::isnan(c.nngp)) << label(c);
        if (report.ntk.limit) {
            EXPECT_EQ(*report.ntk.limit, c.ntk) << label(c);
        }
        if (report.nngp.limit && c.nngp >= 0) {
            EXPECT_EQ(*report.nngp.limit, c.nngp) << label(c);
        }
        EXPECT_THAT(report.statement, ::testing::HasSubstr(c.activation));
        EXPECT_THAT(report.statement, ::testing::HasSubstr(c.regime == Regime::chaotic  ? "chaotic"
                                                           : c.regime == Regime::linear ? "linear"
                                                                                        : "chi"))
            << label(c);
    }
}

TEST(DepthRegime, PredictedLimitsAreReached) {
    for (const Case& c : cases())
        for (const bool trained : {true, false}) {
            if (!trained && c.bias_std == 0) continue;
            const KernelFamily family = family_of(c, trained);
            const RegimeReport report = analyze_regime(family, 1);
            // With biases at the critical point the approach is the slowest, L^-(less than 1) with a constant that grows as the bend
            // shrinks.
            const Index last = report.regime == Regime::critical_with_bias ? 1000000 : 30000;
            for (const double cosine : {0.9, -0.3}) {
                const Curve curve = measure(family, cosine, last);
                for (const InfiniteKernel kernel : kernels) {
                    const LimitPrediction& prediction = report.prediction(kernel);
                    if (!prediction.limit) continue;
                    const bool logarithmic = prediction.rate && prediction.rate->kind == Kind::logarithmic;
                    const bool slow = prediction.rate && prediction.rate->kind == Kind::algebraic && prediction.rate->value < 1;
                    EXPECT_LT(curve.distances(kernel, *prediction.limit).back(), logarithmic ? 0.1L
                                                                                 : slow      ? 1e-2L
                                                                                             : 1e-3L)
                        << label(c) << name_of(kernel) << ", cosine " << cosine;
                }
            }
        }
}

void expect_exponential(const Case& c, InfiniteKernel kernel, const LimitPrediction& prediction) {
    // As deep as distances keep digits: to 1e-13 of a limit inside (0, 1); else to 1e-2000, since 1 - K may follow the root of 1 - rho.
    const bool inside = *prediction.limit > 0 && *prediction.limit < 1;
    const double deepest = (inside ? 13 : 2000) * std::log(10.0) / -std::log(prediction.rate->value);
    const Curve curve = measure(family_of(c), 0.4, static_cast<Index>(std::min(deepest, 30000.0)));
    const auto fitted = fit_rate(curve.depths, curve.distances(kernel, *prediction.limit), prediction.rate);
    ASSERT_TRUE(fitted) << label(c);
    EXPECT_NEAR(fitted->rate.value / prediction.rate->value, 1, inside ? 2e-2 : 1e-3)
        << label(c) << name_of(kernel) << ": " << to_string(*prediction.rate) << ", fitted " << to_string(fitted->rate);
}

void expect_algebraic(const Case& c, InfiniteKernel kernel, const LimitPrediction& prediction, const Curve& curve) {
    const DepthRate& rate = *prediction.rate;
    const std::vector<long double> distances = curve.distances(kernel, *prediction.limit);
    if (rate.prefactor == 0) {
        const auto fitted = fit_rate(curve.depths, distances, rate);
        ASSERT_TRUE(fitted) << label(c);
        EXPECT_EQ(fit_rate(curve.depths, distances)->rate.kind, Kind::algebraic) << label(c) << name_of(kernel);
        EXPECT_NEAR(fitted->rate.value / rate.value, 1, 0.05)
            << label(c) << name_of(kernel) << ": " << to_string(rate) << ", fitted " << to_string(fitted->rate);
    }
    if (!rate.coefficient) return;
    const auto scaled = [&](std::size_t i) {
        return distances[i] * std::pow(static_cast<long double>(curve.depths[i]), static_cast<long double>(rate.value));
    };
    // (coefficient ln L + C)/L^value, or coefficient/(L^value (ln L + C)): C falls out of two depths.
    const std::size_t end = curve.depths.size() - 1, before = end - 24;
    const long double logarithm = std::log(static_cast<long double>(curve.depths[end]) / static_cast<long double>(curve.depths[before]));
    const long double measured = rate.prefactor == 1    ? std::fabs(scaled(end) - scaled(before)) / logarithm
                                 : rate.prefactor == -1 ? logarithm / (1 / scaled(end) - 1 / scaled(before))
                                                        : scaled(end);
    // With biases the next term is of relative order L^(-1/2), or (ln ln L)/ln L.
    EXPECT_NEAR(static_cast<double>(measured) / *rate.coefficient, 1, c.regime == Regime::critical_with_bias ? 0.06 : 2e-3)
        << label(c) << name_of(kernel) << ": " << to_string(rate);
}

TEST(DepthRegime, MeasuredRatesAreThePredictedOnes) {
    int compared = 0;
    for (const Case& c : cases()) {
        const RegimeReport report = analyze_regime(family_of(c), 1);
        const bool slow = report.nngp.rate && report.nngp.rate->kind == Kind::algebraic;
        const Curve curve = slow ? measure(family_of(c), 0.4, 300000) : Curve{};
        for (const InfiniteKernel kernel : kernels) {
            const LimitPrediction& prediction = report.prediction(kernel);
            if (!prediction.limit || !prediction.rate) continue;
            if (prediction.rate->kind == Kind::exponential) expect_exponential(c, kernel, prediction);
            if (prediction.rate->kind == Kind::algebraic) expect_algebraic(c, kernel, prediction, curve);
            ++compared;
        }
    }
    EXPECT_GT(compared, 60);
}

TEST(DepthRegime, LogarithmicLimitsComeCloserAsTheySay) {
    // 1/(1 - K) = ln L + C, C of the data.
    const Case c{"hermite:0.25,0.5,0.25", 1, 0.5, Regime::critical_with_bias, 1, 1};
    EXPECT_EQ(to_string(analyze_regime(family_of(c), 1).ntk.rate.value()), "1 / ln L");
    for (const double cosine : {0.9, -0.3}) {
        const Curve curve = measure(family_of(c), cosine, 300000);
        const std::vector<long double> below = curve.distances(InfiniteKernel::ntk, 1);
        const std::size_t end = below.size() - 1, before = end - 24;
        const long double logarithm =
            std::log(static_cast<long double>(curve.depths[end]) / static_cast<long double>(curve.depths[before]));
        EXPECT_NEAR(static_cast<double>((1 / below[end] - 1 / below[before]) / logarithm), 1, 0.02) << cosine;
    }
}

TEST(DepthRegime, UniformLimitsAreTheSameForAllPairs) {
    for (const Case& c : cases()) {
        const KernelFamily family = family_of(c);
        const RegimeReport report = analyze_regime(family, 1);
        if (report.nngp.limit.value_or(0) != 1) continue;
        const Index last = report.regime == Regime::ordered              ? 200 + static_cast<Index>(5 * report.depth_scale)
                           : report.regime == Regime::critical_with_bias ? 1000000
                                                                         : 100000;
        const Curve near = measure(family, 0.9, last), far = measure(family, -0.3, last);
        for (const InfiniteKernel kernel : kernels) {
            const LimitPrediction& prediction = report.prediction(kernel);
            if (*prediction.limit != 1) continue;
            EXPECT_EQ(prediction.weight(9).has_value(), prediction.uniform) << label(c);
            const long double ratio = near.distances(kernel, 1).back() / far.distances(kernel, 1).back();
            // Those with a logarithm are uniform at depths that no recursion reaches; their rates are tested above.
            const bool logarithm = prediction.rate && (prediction.rate->kind == Kind::logarithmic || prediction.rate->prefactor == -1);
            if (!prediction.uniform)
                EXPECT_LT(ratio, 0.98L) << label(c) << ": the pair that starts nearer stays nearer";
            else if (!logarithm)
                EXPECT_NEAR(static_cast<double>(ratio), 1, 0.05) << label(c) << name_of(kernel);
        }
    }
}

TEST(DepthRegime, ConstantKernelsHaveTheirWeightsAndConditionNumbers) {
    const LimitPrediction quarter = analyze_regime(family_of({"relu", root2, 0, {}, 0, 0}), 1).ntk;
    EXPECT_DOUBLE_EQ(quarter.weight(7).value(), 1.0 / 10);  // 1/(n + 3)
    EXPECT_DOUBLE_EQ(quarter.condition(7).value(), 10.0 / 3);
    const LimitPrediction sevenths = analyze_regime(family_of({"relu", root2, 0.3, {}, 0, 0}), 1).ntk;
    EXPECT_DOUBLE_EQ(sevenths.weight(5).value(), 4.0 / 23);  // 4/(4 n + 3)
    const LimitPrediction third = analyze_regime(family_of({"hermite:0.25,0.5,0.25", 1, 0, {}, 0, 0}), 1).ntk;
    EXPECT_DOUBLE_EQ(third.weight(4).value(), 1.0 / 6);  // 1/(n + 2)
    const RegimeReport chaotic = analyze_regime(family_of({"erf", 3, 0, {}, 0, 0}), 1);
    EXPECT_EQ(chaotic.ntk.weight(4).value(), 0);
    EXPECT_EQ(chaotic.ntk.condition(4).value(), 1);
    const RegimeReport ordered = analyze_regime(family_of({"relu", 1, 0.5, {}, 0, 0}), 1);
    EXPECT_FALSE(ordered.ntk.weight(4));
    EXPECT_EQ(ordered.ntk.condition(4).value(), std::numeric_limits<double>::infinity());
    EXPECT_EQ(ordered.ntk.condition(1).value(), 1);
    EXPECT_DOUBLE_EQ(analyze_regime(family_of({"relu", 1, 0, {}, 0, 0}), 1).nngp.weight(4).value(), 0.25);  // 1/n
    EXPECT_FALSE(analyze_regime(family_of({"erf", erf_root, 0, {}, 0, 0}), 1).ntk.condition(4));
}

TEST(DepthRegime, VarianceGoesWhereItSays) {
    for (const Case& c : cases())
        for (const double mean_square : {0.01, 1.0, 50.0}) {
            const KernelFamily family = family_of(c);
            const RegimeReport report = analyze_regime(family, mean_square);
            const long double w = family.weight_std * static_cast<long double>(family.weight_std),
                              b = family.bias_std * static_cast<long double>(family.bias_std);
            long double q = w * mean_square + b;
            for (int l = 0; l < 100000; ++l) q = w * family.dual.second_moment(q) + b;
            if (std::isinf(report.variance_limit))
                EXPECT_GT(q, 1e3L) << label(c);
            else if (report.variance_limit == 0)
                EXPECT_LT(q, 1e-5L) << label(c);
            else
                EXPECT_NEAR(static_cast<double>(q / report.variance_limit), 1, 1e-10) << label(c);
            for (const VarianceFixedPoint& point : report.fixed_points) {
                EXPECT_NEAR(static_cast<double>(w * family.dual.second_moment(point.variance) + b), point.variance,
                            1e-12 * (1 + point.variance))
                    << label(c);
                if (point.variance == 0) continue;
                const long double h = 1e-4L * point.variance;
                const long double slope =
                    w * (family.dual.second_moment(point.variance + h) - family.dual.second_moment(point.variance - h)) / (2 * h);
                EXPECT_NEAR(static_cast<double>(slope), point.slope, 1e-7) << label(c);
                EXPECT_LT(point.slope, 1) << label(c);
            }
        }
}

TEST(DepthRegime, ChiIsTheSlopeOfALayerAtOne) {
    for (const Case& c : cases()) {
        const KernelFamily family = family_of(c);
        SphereSample sample(family, 1);
        SpherePair pair = first_pair(sample.next(), cosine_of(0));
        SphereLayer layer{};
        for (int l = 0; l < 100000; ++l) layer = sample.next();
        pair.correlation = {1, 1e-18L, 2};
        const double slope = static_cast<double>(next_pair(layer, pair).correlation.below_one / 1e-18L);
        EXPECT_NEAR(slope / analyze_regime(family, 1).chi, 1, 2e-5) << label(c);
    }
}

TEST(DepthRegime, CriticalIsDecidedToTheDigitsOfTheValuesGiven) {
    const auto report = [](const std::string& activation, double weight_std, double bias_std) {
        return analyze_regime(family_of({activation, weight_std, bias_std, {}, 0, 0}), 1);
    };
    EXPECT_TRUE(report("relu", root2, 0.5).treated_as_critical);  // its square is not 2
    EXPECT_THAT(report("relu", root2, 0.5).statement, ::testing::HasSubstr("treated as exactly 1"));
    EXPECT_FALSE(report("abs", 1, 0.5).treated_as_critical);
    EXPECT_FALSE(report("relu", root2, 0).treated_as_critical);  // without biases the weight std cancels
    EXPECT_EQ(report("relu", root2 * (1 + 1e-14), 0.5).regime, Regime::growing);
    EXPECT_EQ(report("relu", root2 * (1 - 1e-14), 0.5).regime, Regime::ordered);
    EXPECT_TRUE(report("erf", erf_root, 0).treated_as_critical);
    EXPECT_EQ(report("erf", erf_root * (1 + 1e-13), 0).regime, Regime::chaotic);
    const double bias = erf_critical_bias();
    EXPECT_EQ(report("erf", 1.2, bias * (1 + 1e-13)).regime, Regime::ordered);
    EXPECT_EQ(report("erf", 1.2, bias * (1 - 1e-13)).regime, Regime::chaotic);
    EXPECT_TRUE(std::isinf(report("erf", 1.2, bias).depth_scale));
    EXPECT_NEAR(report("relu", 1, 0.5).depth_scale, 1 / std::log(2.0), 1e-12);
}

TEST(DepthRegime, RefusesWhatHasNoKernel) {
    EXPECT_THROW((void)analyze_regime(family_of({"relu", 1, 0, {}, 0, 0}), 0), Error);
    EXPECT_THROW((void)analyze_regime(family_of({"relu", -1, 0, {}, 0, 0}), 1), Error);
    EXPECT_EQ(analyze_regime(family_of({"relu", 1, 0.1, {}, 0, 0}), 0).regime, Regime::ordered);
}

TEST(FamilyChecks, HoldWhereTheyShould) {
    const auto holds = [](const Case& c) {
        const KernelFamily family = family_of(c);
        std::vector<bool> results;
        for (const FamilyCheck& check : check_family(family, analyze_regime(family, 1))) {
            EXPECT_FALSE(check.statement.empty());
            EXPECT_FALSE(check.measured.empty());
            results.push_back(check.holds);
        }
        return results;
    };
    // kappa(1) = 1; chi <= 1; departure; increasing on [0, 1]; on [-1, 1]; convex on [0, 1]
    const std::vector<bool> all(6, true);
    EXPECT_EQ(holds({"relu", root2, 0, {}, 0, 0}), all);
    EXPECT_EQ(holds({"leaky_relu:0.1", 1, 0.3, {}, 0, 0}), all);
    EXPECT_EQ(holds({"leaky_relu:1", 1, 0.3, {}, 0, 0}), all);
    EXPECT_EQ(holds({"erf", 1, 0.5, {}, 0, 0}), all);
    EXPECT_EQ(holds({"erf", erf_root, 0, {}, 0, 0})[2], true);
    EXPECT_EQ(holds({"abs", 1, 0, {}, 0, 0}), (std::vector<bool>{true, true, true, true, false, true}));
    EXPECT_EQ(holds({"erf", 3, 0, {}, 0, 0}), (std::vector<bool>{true, false, true, true, true, true}));
    EXPECT_EQ(holds({"hermite:0,0,1", 1, 0, {}, 0, 0}), (std::vector<bool>{true, false, true, true, false, true}));
    const KernelFamily relu = family_of({"relu", root2, 0, {}, 0, 0});
    const auto checks = check_family(relu, analyze_regime(relu, 1));
    EXPECT_THAT(checks[2].statement, ::testing::HasSubstr("s^1.5"));
    EXPECT_THAT(checks[2].measured, ::testing::HasSubstr("exponent 1.500000"));
    EXPECT_THAT(checks[2].measured, ::testing::HasSubstr("b = 0.300105"));  // 2 sqrt(2)/(3 pi)
}

}  // namespace
}  // namespace ntk

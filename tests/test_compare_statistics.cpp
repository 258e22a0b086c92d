#include "support/samples.hpp"

#include "host/compare_statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace ntk {
namespace {

using namespace testing;

using Vectors = std::vector<std::vector<float>>;

/// Mean and standard error of the mean.
struct Sampled {
    double sum = 0, squares = 0;
    double count = 0;

    void add(double value) {
        sum += value;
        squares += value * value;
        count += 1;
    }
    [[nodiscard]] double mean() const { return sum / count; }
    [[nodiscard]] double variance() const { return (squares - sum * sum / count) / (count - 1); }
    [[nodiscard]] double error() const { return std::sqrt(variance() / count); }
};

/// Sums over all pairs, as the formulas are written.
double bias_by_definition(const Vectors& e) {
    double sum = 0;
    for (std::size_t s = 0; s < e.size(); ++s)
        for (std::size_t t = 0; t < e.size(); ++t)
            for (std::size_t i = 0; i < e[s].size() && s != t; ++i) sum += static_cast<double>(e[s][i]) * static_cast<double>(e[t][i]);
    return sum / static_cast<double>(e.size() * (e.size() - 1));
}

double variance_by_definition(const Vectors& e) {
    double sum = 0;
    for (std::size_t i = 0; i < e[0].size(); ++i) {
        double mean = 0;
        for (const auto& v : e) mean += static_cast<double>(v[i]) / static_cast<double>(e.size());
        for (const auto& v : e) sum += std::pow(static_cast<double>(v[i]) - mean, 2);
    }
    return sum / static_cast<double>(e.size() - 1);
}

/// `count` vectors b + noise, whose noise is one common mode and independent entries, as kernels of random networks have it.
Vectors draw(std::uint32_t which, std::size_t count, const std::vector<double>& bias, double common, double own) {
    const auto length = bias.size();
    const HostMatrix<double> z = random_matrix(static_cast<Index>(count), static_cast<Index>(length) + 1, which);
    Vectors e(count, std::vector<float>(length));
    for (std::size_t s = 0; s < count; ++s)
        for (std::size_t i = 0; i < length; ++i)
            e[s][i] = static_cast<float>(bias[i] + common * z(static_cast<Index>(s), 0) +
                                         own * z(static_cast<Index>(s), static_cast<Index>(i) + 1));
    return e;
}

TEST(SplitError, EqualsItsDefinitionAndTheJackknifeWrittenOut) {
    const Vectors e = draw(0, 7, {0.3, -0.2, 0.1, 0.5, 0}, 0.4, 0.3);
    const ErrorSplit split = split_error(e);
    EXPECT_NEAR(split.bias.value, bias_by_definition(e), 1e-14);
    EXPECT_NEAR(split.fluctuation.value, variance_by_definition(e), 1e-14);
    Sampled bias, fluctuation;
    for (std::size_t out = 0; out < e.size(); ++out) {
        Vectors others = e;
        others.erase(others.begin() + static_cast<std::ptrdiff_t>(out));
        bias.add(bias_by_definition(others));
        fluctuation.add(variance_by_definition(others));
    }
    EXPECT_NEAR(split.bias.standard_error, 6 / std::sqrt(7.0) * std::sqrt(bias.variance()), 1e-13);
    EXPECT_NEAR(split.fluctuation.standard_error, 6 / std::sqrt(7.0) * std::sqrt(fluctuation.variance()), 1e-13);
}

TEST(SplitError, WithoutNoiseThereIsOnlyBias) {
    const ErrorSplit split = split_error(Vectors(4, {3, 4}));
    EXPECT_NEAR(split.bias.value, 25, 1e-13);
    EXPECT_NEAR(split.fluctuation.value, 0, 1e-13);
    EXPECT_NEAR(split.bias.standard_error, 0, 1e-13);
}

// Known truth, 4000 sweeps of S networks: both estimates are unbiased. The jackknife variance is on average at least the true one, and
// for statistics of degree two at most 2 (S - 1) / (S - 2) times it, which they reach without bias (Efron & Stein 1981). Within four
// standard errors.
TEST(SplitError, IsUnbiasedAndItsErrorsCoverTheTruth) {
    constexpr std::size_t networks = 12;
    constexpr double most = 2.0 * (networks - 1) / (networks - 2);
    for (const double scale : {0.0, 0.1, 1.0}) {
        SCOPED_TRACE(scale);
        const std::vector<double> bias{0.5 * scale, -0.3 * scale, 0.4 * scale, 0.1 * scale};
        const double common = 0.5, own = 0.4;
        const double bias_squared = 0.51 * scale * scale, fluctuation_squared = 4 * (common * common + own * own);
        Sampled value[2], too_small[2], too_large[2];
        for (std::uint32_t sweep = 0; sweep < 4000; ++sweep) {
            const ErrorSplit split = split_error(draw(sweep, networks, bias, common, own));
            const auto add = [&](int which, const SquaredEstimate& estimate, double truth) {
                const double claimed = estimate.standard_error * estimate.standard_error, actual = std::pow(estimate.value - truth, 2);
                value[which].add(estimate.value - truth);
                too_small[which].add(actual - claimed);
                too_large[which].add(claimed - most * actual);
            };
            add(0, split.bias, bias_squared);
            add(1, split.fluctuation, fluctuation_squared);
        }
        for (int which = 0; which < 2; ++which) {
            EXPECT_LE(std::fabs(value[which].mean()), 4 * value[which].error()) << which;
            EXPECT_LE(too_small[which].mean(), 4 * too_small[which].error()) << which;
            EXPECT_LE(too_large[which].mean(), 4 * too_large[which].error()) << which;
        }
    }
}

TEST(Summary, SaysWhetherTheBiasIsResolved) {
    const std::vector<double> any(12, 1);
    const KernelError seen = summarize(any, any, draw(1, 12, {1, 1, 1, 1}, 0.05, 0.05));
    EXPECT_TRUE(seen.bias_resolved);
    EXPECT_NEAR(seen.bias, 2, 4 * seen.bias_error);
    EXPECT_NEAR(seen.fluctuation, std::sqrt(4 * 2 * 0.0025), 4 * seen.fluctuation_error);
    EXPECT_EQ(seen.relative.mean, 1);
    EXPECT_EQ(seen.relative.count, 12);
    const KernelError unseen = summarize(any, any, {{1, 0}, {-2, 0}, {0, 1}, {0, -1}});
    EXPECT_NEAR(unseen.bias_squared, -0.5, 1e-14);
    EXPECT_EQ(unseen.bias, 0);
    EXPECT_FALSE(unseen.bias_resolved);
    EXPECT_NEAR(unseen.fluctuation, 1.5, 1e-14);
    EXPECT_GT(unseen.bias_error, 0);
}

TEST(Spread, IsMeanDeviationAndStandardError) {
    const Spread s = spread({1, 2, 3, 6});
    EXPECT_DOUBLE_EQ(s.mean, 3);
    EXPECT_DOUBLE_EQ(s.deviation, std::sqrt(14.0 / 3));
    EXPECT_DOUBLE_EQ(s.standard_error, std::sqrt(14.0 / 12));
    EXPECT_EQ(s.count, 4);
}

TEST(FitSlope, PassesThroughAPowerLaw) {
    const auto slope = fit_slope({{64, 3 / std::sqrt(64.0), 0.1}, {256, 3 / std::sqrt(256.0), 0.02}, {1024, 3 / std::sqrt(1024.0), 0.3}});
    ASSERT_TRUE(slope);
    EXPECT_NEAR(slope->value, -0.5, 1e-14);
    EXPECT_EQ(slope->widths, 3);
}

TEST(FitSlope, WeighsByTheErrorsAndHasTheirError) {
    // Two points: slope (ln 2 - ln 1) / ln 4 and its variance from 10 % and 20 %.
    const auto two = fit_slope({{1, 1, 0.1}, {4, 2, 0.4}});
    ASSERT_TRUE(two);
    EXPECT_NEAR(two->value, 0.5, 1e-14);
    EXPECT_NEAR(two->standard_error, std::sqrt(0.01 + 0.04) / std::log(4.0), 1e-14);
    // A point a thousand times less certain does not move the line.
    const auto three = fit_slope({{1, 1, 0.1}, {4, 2, 0.4}, {16, 4000, 4e6}});
    EXPECT_NEAR(three->value, 0.5, 1e-4);
}

TEST(FitSlope, NeedsTwoPointsWithErrors) {
    EXPECT_FALSE(fit_slope({}));
    EXPECT_FALSE(fit_slope({{64, 1, 0.1}}));
    EXPECT_FALSE(fit_slope({{64, 1, 0.1}, {128, 0, 0.1}, {256, 1, 0}}));
}

}  // namespace
}  // namespace ntk

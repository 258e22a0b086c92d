#include "support/thread_ranks.hpp"

#include <ntkcuda/error.hpp>
#include <ntkcuda/how_deep.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

namespace ntk {
namespace {

KernelFamily family_of(const std::string& activation, double weight_std, double bias_std, InfiniteKernel kernel = InfiniteKernel::ntk) {
    KernelFamily family;
    family.dual = parse_dual_activation(activation);
    family.weight_std = weight_std;
    family.bias_std = bias_std;
    family.kernel = kernel;
    return family;
}

HowDeep study(const KernelFamily& family, const std::vector<long double>& tangents, Index deepest) {
    return how_deep(std::span(&family, 1), 1, tangents, deepest).front();
}

/// tan(theta/2) where cos theta = rho.
long double tangent_of(long double rho) { return std::sqrt((1 - rho) / (1 + rho)); }

TEST(HowDeep, IsWhatAScanOfEveryDepthFinds) {
    const std::vector<long double> tangents{0.1L, 0.7L, 2.5L};
    for (const InfiniteKernel kernel : {InfiniteKernel::ntk, InfiniteKernel::nngp})
        for (const KernelFamily& family : {family_of("relu", 1, 0.5, kernel), family_of("relu", std::sqrt(2.0), 0, kernel),
                                           family_of("erf", 2, 0.1, kernel), family_of("erf", 3, 0, kernel)}) {
            const HowDeep found = study(family, tangents, 300);
            for (int k = 1; k <= how_deep_decades; ++k) {
                std::optional<Index> ones, limit, identity;
                for (Index depth = found.depth; depth >= 1; --depth) {  // each depth from the first layer on, on its own
                    long double one = 0, to_limit = 0, zero = 0;
                    for (const long double t : tangents) {
                        SphereSample sample(family, 1);
                        SpherePair pair = first_pair(sample.next(), cosine_of(t));
                        while (sample.depth() < depth) pair = next_pair(sample.next(), pair);
                        const long double value = kernel == InfiniteKernel::ntk ? pair.tangent : pair.correlation.rho;
                        const long double below = kernel == InfiniteKernel::ntk ? pair.tangent_below_one : pair.correlation.below_one;
                        one = std::max(one, below);
                        zero = std::max(zero, std::fabs(value));
                        to_limit = std::max(to_limit, *found.limit == 1 ? below : std::fabs(value - *found.limit));
                    }
                    const long double tolerance = std::pow(10.0L, -k);
                    if (one < tolerance) ones = depth;
                    if (to_limit < tolerance) limit = depth;
                    if (zero < tolerance) identity = depth;
                }
                const auto at = static_cast<std::size_t>(k - 1);
                EXPECT_EQ(found.ones[at], ones) << family.dual.name() << " 1e-" << k;
                EXPECT_EQ(found.to_limit[at], limit) << family.dual.name() << " 1e-" << k;
                EXPECT_EQ(found.identity[at], identity) << family.dual.name() << " 1e-" << k;
            }
        }
}

// A linear dual with biases: 1 - rho falls by w^2/(w^2 + b^2/q) a layer, by w^2 = 1/4 in the limit of depth. With w = 1/2, q at its fixed
// point b^2/(1 - w^2) from the start: 1 - rho = (1 - rho_0) 4^-L exactly.
TEST(HowDeep, OfALinearDualIsALogarithm) {
    const KernelFamily family = family_of("leaky_relu:1", 0.5, std::sqrt(0.75), InfiniteKernel::nngp);
    const HowDeep found = study(family, {tangent_of(0.5L)}, 1000);
    for (int k = 1; k <= how_deep_decades; ++k)
        EXPECT_EQ(found.ones[static_cast<std::size_t>(k - 1)], static_cast<Index>(std::ceil(std::log(0.5 * std::pow(10, k)) / std::log(4))))
            << k;
    EXPECT_EQ(found.ones, found.to_limit);
    EXPECT_FALSE(found.identity[0]);
    EXPECT_EQ(found.depth, *found.ones.back());  // no layer after the last tolerance
}

// Pure degree two, rho' = rho^2: rho_L = rho_0^(2^(L - 1)), the first layer being that of the inputs.
TEST(HowDeep, OfASquareDualIsADoubleLogarithm) {
    const HowDeep found = study(family_of("hermite:0,0,1", 1, 0, InfiniteKernel::nngp), {tangent_of(0.5L)}, 1000);
    ASSERT_EQ(found.limit, 0.0);
    for (int k = 1; k <= how_deep_decades; ++k)
        EXPECT_EQ(found.identity[static_cast<std::size_t>(k - 1)],
                  1 + static_cast<Index>(std::ceil(std::log2(k * std::log(10) / std::log(2)))))
            << k;
}

// K = 0.2779 at depth 100 from rho = 0.5 (ReLU, critical): 0.0279 above 1/4.
TEST(HowDeep, OfReluAtCriticalityMatchesTheKnownValue) {
    const HowDeep found = study(family_of("relu", std::sqrt(2.0), 0), {tangent_of(0.5L)}, 100);
    EXPECT_NEAR(found.offdiag_mean, 0.2779, 5e-5);
    EXPECT_EQ(found.depth, 100);
    ASSERT_TRUE(found.to_limit[0]);
    EXPECT_FALSE(found.to_limit[1]);
    EXPECT_FALSE(found.ones[0]);
    EXPECT_FALSE(found.identity[0]);
}

TEST(HowDeep, SeveralRanksFindWhatOneFinds) {
    std::vector<KernelFamily> families;
    for (const double w : {0.5, 1.0, std::sqrt(2.0), 2.0})
        for (const double b : {0.0, 0.5}) families.push_back(family_of("relu", w, b));
    const std::vector<long double> angles{0.3L, 1, 3};
    const std::vector<HowDeep> expected = how_deep(families, 1, angles, 500);
    for (const int size : {2, 3, 11})
        testing::on_ranks(size, [&](Ranks& ranks) {
            const std::vector<HowDeep> found = how_deep(families, 1, angles, 500, {}, ranks);
            ASSERT_EQ(found.size(), expected.size());
            for (std::size_t i = 0; i < found.size(); ++i) {
                EXPECT_EQ(found[i].regime.statement, expected[i].regime.statement);
                EXPECT_EQ(found[i].limit, expected[i].limit);
                EXPECT_EQ(found[i].ones, expected[i].ones);
                EXPECT_EQ(found[i].to_limit, expected[i].to_limit);
                EXPECT_EQ(found[i].identity, expected[i].identity);
                EXPECT_EQ(found[i].depth, expected[i].depth);
                EXPECT_EQ(found[i].offdiag_min, expected[i].offdiag_min);
                EXPECT_EQ(found[i].offdiag_mean, expected[i].offdiag_mean);
                EXPECT_EQ(found[i].offdiag_max, expected[i].offdiag_max);
            }
        });
}

TEST(HowDeep, AgreesWithThePredictionAllOverThePlane) {
    std::vector<KernelFamily> families;
    for (const char* activation : {"relu", "erf"})
        for (const InfiniteKernel kernel : {InfiniteKernel::ntk, InfiniteKernel::nngp})
            for (const double w : {0.5, 1.0, std::sqrt(2.0), 2.0, 2.5})
                for (const double b : {0.0, 0.25, 0.5, 1.0}) families.push_back(family_of(activation, w, b, kernel));
    const std::vector<HowDeep> found = how_deep(families, 1, std::vector<long double>{0.3L, 1, 3}, 20000);
    int ordered = 0, algebraic = 0, chaotic = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
        const HowDeep& f = found[i];
        SCOPED_TRACE(f.regime.statement);
        if (!f.limit) {
            EXPECT_EQ(f.regime.regime, Regime::linear);
            EXPECT_GT(f.offdiag_max - f.offdiag_min, 0.5);  // angles are kept
            continue;
        }
        const DepthRate* rate = f.regime.prediction(families[i].kernel).rate ? &*f.regime.prediction(families[i].kernel).rate : nullptr;
        const double distance = std::max(std::fabs(f.offdiag_min - *f.limit), std::fabs(f.offdiag_max - *f.limit));
        if (rate != nullptr && rate->kind == DepthRate::Kind::exponential) {
            ++(f.regime.regime == Regime::ordered ? ordered : chaotic);
            ASSERT_TRUE(f.to_limit[11] && f.to_limit[7]);
            // Four decades at L^prefactor value^L take ln(1e4) + prefactor ln(L12/L8) over -ln(value) layers, up to the rounding of two
            // depths and what the next order changes.
            const auto first = static_cast<double>(*f.to_limit[7]), last = static_cast<double>(*f.to_limit[11]);
            const double predicted = (std::log(1e4) + rate->prefactor * std::log(last / first)) / -std::log(rate->value);
            EXPECT_NEAR(last - first, predicted, 2 + 0.02 * predicted);
        } else if (rate != nullptr) {
            ++algebraic;
            const double scale = std::pow(20000, -rate->value) * std::pow(std::log(20000), rate->prefactor);
            EXPECT_LT(distance, 10 * scale * rate->coefficient.value_or(1));
        }
    }
    EXPECT_GT(ordered, 20);
    EXPECT_GT(algebraic, 15);
    EXPECT_GT(chaotic, 10);
}

TEST(HowDeep, SpreadsAnglesFromTheSmallestToTheLargest) {
    HostMatrix<double> x(3, 2);
    x(0, 0) = 2;
    x(1, 1) = 3;
    x(2, 0) = x(2, 1) = 0.1;
    const std::vector<long double> tangents = spread_angles(x, 3);
    ASSERT_EQ(tangents.size(), 3u);
    const long double pi = std::numbers::pi_v<long double>;
    for (std::size_t k = 0; k < 3; ++k)
        EXPECT_NEAR(static_cast<double>(2 * std::atan(tangents[k])), static_cast<double>(pi * (2 + static_cast<int>(k)) / 8), 1e-15);
    x(1, 1) = 0;
    EXPECT_THROW((void)spread_angles(x, 3), Error);  // a zero row
    x(1, 0) = 5;
    EXPECT_THROW((void)spread_angles(x, 3), Error);  // the direction of the first row
}

TEST(HowDeep, RefusesWhatHasNoAngleOrLayer) {
    const KernelFamily family = family_of("relu", 1, 0.5);
    const std::span one(&family, 1);
    EXPECT_THROW((void)how_deep(one, 1, {}, 10), Error);
    EXPECT_THROW((void)how_deep(one, 1, std::vector<long double>{0}, 10), Error);
    EXPECT_THROW((void)how_deep(one, 1, std::vector<long double>{1}, 0), Error);
    EXPECT_THROW((void)how_deep(one, -1, std::vector<long double>{1}, 10), Error);
}

}  // namespace
}  // namespace ntk

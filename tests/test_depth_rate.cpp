#include <ntkcuda/depth_rate.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace ntk {
namespace {

using Kind = DepthRate::Kind;

struct Curve {
    std::vector<Index> depths;
    std::vector<long double> distances;
};

template <class Distance>
Curve curve(Index last, const Distance& distance) {
    Curve c;
    for (double depth = 2; depth <= static_cast<double>(last); depth = std::max(depth + 1, std::floor(depth * 1.1))) {
        c.depths.push_back(static_cast<Index>(depth));
        c.distances.push_back(distance(static_cast<long double>(depth)));
    }
    return c;
}

TEST(FitRate, FindsTheKindItself) {
    const Curve falling = curve(500, [](long double depth) { return 3 * std::pow(0.25L, depth); });
    const auto exponential = fit_rate(falling.depths, falling.distances);
    ASSERT_TRUE(exponential);
    EXPECT_EQ(exponential->rate.kind, Kind::exponential);
    EXPECT_NEAR(exponential->rate.value, 0.25, 1e-12);
    EXPECT_NEAR(exponential->rate.coefficient.value(), 3, 1e-9);
    EXPECT_LT(exponential->residual, 1e-11);
    EXPECT_GE(exponential->first_depth, exponential->last_depth / 10);

    const Curve slow = curve(1000000, [](long double depth) { return 7 / (depth * std::sqrt(depth)); });
    const auto algebraic = fit_rate(slow.depths, slow.distances);
    ASSERT_TRUE(algebraic);
    EXPECT_EQ(algebraic->rate.kind, Kind::algebraic);
    EXPECT_NEAR(algebraic->rate.value, 1.5, 1e-12);
    EXPECT_NEAR(algebraic->rate.coefficient.value(), 7, 1e-9);
    EXPECT_EQ(algebraic->last_depth, slow.depths.back());
}

TEST(FitRate, TakesOutThePrefactorOfAForm) {
    const Curve a = curve(300, [](long double depth) { return 2 * depth * std::pow(0.9L, depth); });
    EXPECT_NEAR(fit_rate(a.depths, a.distances, DepthRate{Kind::exponential, 0, 1, {}})->rate.value, 0.9, 1e-12);
    const Curve b = curve(100000, [](long double depth) { return 0.375L * std::log(depth) / depth; });
    const auto fitted = fit_rate(b.depths, b.distances, DepthRate{Kind::algebraic, 0, 1, {}});
    EXPECT_NEAR(fitted->rate.value, 1, 1e-12);
    EXPECT_NEAR(fitted->rate.coefficient.value(), 0.375, 1e-10);
    const Curve c = curve(100000, [](long double depth) { return 5 / std::log(depth); });
    EXPECT_NEAR(fit_rate(c.depths, c.distances, DepthRate{Kind::logarithmic, 0, 0, {}})->rate.value, 1, 1e-12);
}

TEST(FitRate, LeavesOutWhatHasNoLogarithm) {
    Curve c = curve(2000, [](long double depth) { return std::pow(1e-4L, depth); });
    ASSERT_EQ(c.distances.back(), 0) << "the last ones underflow";
    EXPECT_NEAR(fit_rate(c.depths, c.distances)->rate.value, 1e-4, 1e-12);
    for (long double& d : c.distances) d = -d;
    EXPECT_FALSE(fit_rate(c.depths, c.distances));
    c.distances.pop_back();
    EXPECT_THROW((void)fit_rate(c.depths, c.distances), Error);
}

TEST(DepthRate, ReadsLikeAFormula) {
    EXPECT_EQ(to_string(DepthRate{Kind::exponential, 0.5, 1, {}}), "C L 0.5^L");
    EXPECT_EQ(to_string(DepthRate{Kind::exponential, 0.5, -1, {}}), "C L^-1 0.5^L");
    EXPECT_EQ(to_string(DepthRate{Kind::exponential, 0.25, 0, 3.0}), "3 0.25^L");
    EXPECT_EQ(to_string(DepthRate{Kind::algebraic, 1, 1, 0.375}), "0.375 ln L / L");
    EXPECT_EQ(to_string(DepthRate{Kind::algebraic, 2, 0, 4.5}), "4.5 / L^2");
    EXPECT_EQ(to_string(DepthRate{Kind::algebraic, 1, -1, 8.0}), "8 / (L ln L)");
    EXPECT_EQ(to_string(DepthRate{Kind::logarithmic, 1, 0, 1.0}), "1 / ln L");
}

}  // namespace
}  // namespace ntk

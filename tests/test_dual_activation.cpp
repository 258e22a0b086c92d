#include "support/golden.hpp"

#include <ntkcuda/dual_activation.hpp>
#include <ntkcuda/sphere_recursion.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ntk {
namespace {

using nlohmann::json;

constexpr long double eps = std::numeric_limits<long double>::epsilon();

TEST(DualActivation, EqualsTheMultiPrecisionReferenceAtEveryAngle) {
    const json golden = testing::golden("dual_activation.json");
    ASSERT_FALSE(golden["entries"].empty());
    for (const json& e : golden["entries"]) {
        const DualActivation dual = parse_dual_activation(e["activation"]);
        const SphereImage image = dual.at(e["variance"].get<double>()).image(cosine_of(e["half_angle_tangent"].get<double>()));
        const long double got[] = {image.value.rho, image.value.below_one, image.value.above_minus_one, image.slope, image.slope_below_one};
        for (int i = 0; i < 5; ++i) {
            const long double expected = std::stold(e["values"][static_cast<std::size_t>(i)].get<std::string>());
            // kappa and slope may pass through 0 (then 1 -+ kappa has the digits); the differences keep theirs.
            const bool may_cancel = i == 0 || i == 3 || (i == 2 && std::fabs(expected) > 0.5L);
            EXPECT_LE(std::fabs(got[i] - expected), 16 * eps * (may_cancel ? 1 : std::fabs(expected))) << i << " of " << e.dump();
        }
    }
}

TEST(DualActivation, PositiveValuesKeepTheirDigitsWhereTheyAreSmall) {
    // erf and hermite without a constant are odd to first order: small correlations stay relatively exact.
    for (const char* name : {"erf", "hermite:0,0.5,0.25"}) {
        const DualActivation dual = parse_dual_activation(name);
        const long double small = 1e-30L, derivative = dual.at(1e-20L).image({small, 1, 1}).value.rho / small;
        const long double expected = std::string(name) == "erf" ? 1.0L : 0.5L / 0.75L;
        EXPECT_NEAR(static_cast<double>(derivative / expected), 1.0, 1e-18) << name;
    }
}

TEST(DualActivation, AtOneDescribesHowTheDualLeavesOne) {
    struct Case {
        const char* name;
        long double q;
    };
    for (const Case& c : {Case{"relu", 1}, Case{"leaky_relu:0.1", 1}, Case{"leaky_relu:-3", 1}, Case{"abs", 1}, Case{"leaky_relu:1", 1},
                          Case{"erf", 0.01L}, Case{"erf", 2}, Case{"hermite:0.25,0.5,0.25", 1}, Case{"hermite:0,1", 1}}) {
        const DualActivation dual = parse_dual_activation(c.name);
        const DualLayer layer = dual.at(c.q);
        const DualAtOne& one = layer.at_one();
        const long double e = 1e-12L;
        const SphereImage image = layer.image({1 - e, e, 2 - e});
        EXPECT_LE(std::fabs(image.slope_below_one / std::pow(e, static_cast<long double>(one.power)) - one.bend), 1e-10L * one.bend)
            << c.name;
        const long double expected = e - one.bend * std::pow(e, one.power + 1.0L) / (one.power + 1.0L);
        EXPECT_LE(std::fabs(image.value.below_one / one.derivative / expected - 1), 1e-16L) << c.name;
        // kappa'(1) is also the ratio of the moments.
        const long double ratio = dual.slope_second_moment(c.q) * c.q / dual.second_moment(c.q);
        EXPECT_LE(std::fabs(ratio / one.derivative - 1), 4 * eps) << c.name;
    }
}

TEST(DualActivation, SlopeIsTheDerivativeOfTheDual) {
    for (const char* name : {"relu", "leaky_relu:0.3", "abs", "erf", "hermite:0.1,0.2,0.3,0.4"}) {
        const DualActivation dual = parse_dual_activation(name);
        const DualLayer layer = dual.at(0.7L);
        for (const long double rho : {-0.9L, -0.2L, 0.1L, 0.6L, 0.95L}) {
            const long double h = 1e-6L;
            const auto at = [&](long double r) { return layer.image({r, 1 - r, 1 + r}); };
            const long double difference = (at(rho + h).value.rho - at(rho - h).value.rho) / (2 * h);
            EXPECT_NEAR(static_cast<double>(difference / layer.at_one().derivative), static_cast<double>(at(rho).slope), 1e-10)
                << name << " at " << static_cast<double>(rho);
        }
    }
}

TEST(DualActivation, HermiteIsItsPolynomial) {
    const DualActivation dual = DualActivation::hermite({0.5, 0, 1.5, 2});
    const DualLayer layer = dual.at(3);
    for (const long double r : {-1.0L, -0.75L, 0.0L, 0.25L, 1.0L}) {
        const SphereImage image = layer.image({r, 1 - r, 1 + r});
        EXPECT_NEAR(static_cast<double>(image.value.rho), static_cast<double>((0.5L + 1.5L * r * r + 2 * r * r * r) / 4), 1e-18);
        EXPECT_NEAR(static_cast<double>(image.slope), static_cast<double>((3 * r + 6 * r * r) / 9), 1e-18);
    }
    EXPECT_EQ(dual.second_moment(3), 12);
    EXPECT_EQ(dual.slope_second_moment(3), 9);
    EXPECT_TRUE(dual.homogeneous());
    EXPECT_EQ(dual.activation(), nullptr);
}

TEST(DualActivation, NamesParseBack) {
    for (const char* name : {"relu", "leaky_relu:0.1", "abs", "erf", "hermite:0.1,0,0.25"})
        EXPECT_EQ(parse_dual_activation(parse_dual_activation(name).name()).name(), name);
    EXPECT_FALSE(parse_dual_activation("erf").homogeneous());
    EXPECT_NE(parse_dual_activation("erf").activation(), nullptr);
}

void expect_refused(const std::string& name, const std::string& what) {
    try {
        (void)parse_dual_activation(name);
        FAIL() << name;
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << name;
        EXPECT_THAT(error.what(), ::testing::HasSubstr(what)) << name;
    }
}

TEST(DualActivation, RefusesWhatIsNoDual) {
    expect_refused("hermite:", "coefficient 0 is an empty field");
    expect_refused("hermite:0.5,", "coefficient 1 is an empty field");
    expect_refused("hermite:0.5,x", "coefficient 1 is the text 'x'");
    expect_refused("hermite:0.5,nan", "coefficient 1 is 'nan' (NaN or Inf)");
    expect_refused("hermite:0.5,-1", "c_1 is -1");
    expect_refused("hermite:0.5", "c_k with k >= 1");
    expect_refused("hermite:1,0,0", "c_k with k >= 1");
    expect_refused("gelu", "unknown activation");
}

}  // namespace
}  // namespace ntk

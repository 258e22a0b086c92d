#include "support/golden.hpp"

#include <ntkcuda/infinite_width.hpp>
#include <ntkcuda/sphere_recursion.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <numbers>

namespace ntk {
namespace {

using nlohmann::json;

constexpr long double eps = std::numeric_limits<long double>::epsilon();

/// A pair, layer by layer.
class Walk {
public:
    Walk(KernelFamily family, long double half_angle_tangent) : family_(std::move(family)), inputs_(cosine_of(half_angle_tangent)) {}
    const SpherePair& at(Index depth) {
        while (sample_.depth() < depth) {
            const SphereLayer layer = sample_.next();
            pair_ = sample_.depth() == 1 ? first_pair(layer, inputs_) : next_pair(layer, pair_);
        }
        return pair_;
    }

private:
    KernelFamily family_;
    SphereSample sample_{family_, 1};
    SphereCorrelation inputs_;
    SpherePair pair_{};
};

KernelFamily family_of(const std::string& activation, double weight_std, double bias_std, bool trained = true) {
    KernelFamily family;
    family.dual = parse_dual_activation(activation);
    family.weight_std = weight_std;
    family.bias_std = bias_std;
    family.trained_biases = trained;
    return family;
}

/// tan(theta/2) of inputs with cosine `rho`.
long double tangent_of(long double rho) { return std::sqrt((1 - rho) / (1 + rho)); }

TEST(SphereRecursion, EqualsTheMultiPrecisionReferenceToADepthOfAHundredThousand) {
    const json golden = testing::golden("sphere_recursion.json");
    ASSERT_FALSE(golden["entries"].empty());
    for (const json& e : golden["entries"]) {
        const KernelFamily family = family_of(e["activation"], e["weight_std"], e["bias_std"], e["trained"]);
        const double tangent = e["half_angle_tangent"];
        std::map<Index, json> by_depth;
        for (const auto& [depth, values] : e["values"].items()) by_depth[std::stol(depth)] = values;
        Walk walk(family, tangent);
        for (const auto& [depth, values] : by_depth) {
            const SpherePair& pair = walk.at(depth);
            const long double got[] = {pair.correlation.rho, pair.correlation.below_one, pair.tangent, pair.tangent_below_one};
            for (int i = 0; i < 4; ++i) {
                const long double expected = std::stold(values[static_cast<std::size_t>(i)].get<std::string>());
                // A few units in the last place each layer at most. At obtuse angles rho and K pass through 0 in the first layers.
                const bool may_cancel = i % 2 == 0 && tangent > 1 && depth <= 3;
                const long double tolerance = 4 * eps * static_cast<long double>(std::max<Index>(depth, 8));
                EXPECT_LE(std::fabs(got[i] - expected), tolerance * (may_cancel ? 1 : std::fabs(expected)))
                    << "rho, 1 - rho, K, 1 - K [" << i << "] at depth " << depth << ", activation " << e["activation"] << ", weight std "
                    << e["weight_std"] << ", bias std " << e["bias_std"] << ", half-angle tangent " << tangent;
            }
        }
    }
}

TEST(SphereRecursion, CriticalReluTendsToAQuarter) {
    Walk walk(family_of("relu", 1, 0), tangent_of(0.5L));
    const auto percent = [&](Index depth) { return static_cast<double>(walk.at(depth).tangent); };
    EXPECT_NEAR(percent(10), 0.3793, 0.00005);
    EXPECT_NEAR(percent(100), 0.2779, 0.00005);
    EXPECT_NEAR(percent(1000), 0.25381, 0.000005);
    EXPECT_NEAR(percent(10000), 0.250469, 0.0000005);
    EXPECT_NEAR(percent(100000), 0.2500555, 0.00000005);
}

TEST(SphereRecursion, ErfThatBecomesLinearKeepsWhatItHas) {
    const double critical = std::sqrt(std::numbers::pi) / 2;
    EXPECT_NEAR(static_cast<double>(Walk(family_of("erf", critical, 0), tangent_of(0.5L)).at(1000000).tangent), 0.44116, 0.000005);
}

TEST(SphereRecursion, VanishingVarianceIsHeldWhereTheDualIsLinear) {
    // The variance falls by 4 sigma_w^2 / pi a layer, below what a long double holds; from there the network is linear, and K tends to
    // rho as the mean of the layers does.
    Walk walk(family_of("erf", 0.5, 0), tangent_of(0.5L));
    const SpherePair before = walk.at(20000), after = walk.at(100000);
    EXPECT_EQ(before.correlation.rho, after.correlation.rho);
    const long double excess = before.tangent - before.correlation.rho;
    EXPECT_NE(excess, 0);
    EXPECT_NEAR(static_cast<double>((after.tangent - after.correlation.rho) / excess), 0.2, 1e-6);
}

TEST(SphereRecursion, AgreesWithTheKernelsOfMatrices) {
    const double cosine = 0.3;
    HostMatrix<double> x(2, 2, {std::sqrt(2.0), 0, std::sqrt(2.0) * cosine, std::sqrt(2.0 * (1 - cosine * cosine))});
    const auto backend = make_backend<double>("cpu", 1);
    for (const char* name : {"relu", "leaky_relu:0.2", "abs", "erf"})
        for (const bool trained : {true, false}) {
            const KernelFamily family = family_of(name, 1.2, 0.4, trained);
            Architecture architecture;
            architecture.inputs = 2;
            architecture.hidden.assign(11, 8);
            architecture.activation = *family.dual.activation();
            architecture.weight_std = 1.2;
            architecture.bias_std = 0.4;
            architecture.biases = trained ? Biases::trained : Biases::fixed;
            const SpherePair pair = Walk(family, tangent_of(cosine)).at(12);
            const auto kernel = [&](InfiniteKernel which) {
                const HostMatrix<double> k = download(infinite_width_kernel(architecture, which, upload(backend, x)));
                return k(0, 1) / std::sqrt(k(0, 0) * k(1, 1));
            };
            EXPECT_NEAR(kernel(InfiniteKernel::nngp), static_cast<double>(pair.correlation.rho), 1e-14) << name;
            EXPECT_NEAR(kernel(InfiniteKernel::ntk), static_cast<double>(pair.tangent), 1e-14) << name;
        }
}

TEST(SphereRecursion, EqualInputsStayEqualAndOppositeOnesStartOpposite) {
    for (const char* name : {"relu", "abs", "erf"}) {
        Walk equal(family_of(name, 1.2, 0.3), 0);
        EXPECT_EQ(equal.at(1000).tangent_below_one, 0) << name;
        EXPECT_EQ(equal.at(1000).correlation.rho, 1) << name;
        Walk opposite(family_of(name, 1.2, 0), std::numeric_limits<long double>::infinity());
        EXPECT_EQ(opposite.at(1).tangent, -1) << name;
    }
    // Without biases an odd activation keeps opposite points opposite, and abs makes them equal.
    const SpherePair odd = Walk(family_of("erf", 1.2, 0), std::numeric_limits<long double>::infinity()).at(50);
    EXPECT_EQ(odd.correlation.above_minus_one, 0);
    EXPECT_LE(std::fabs(odd.tangent + 1), 50 * eps);
    EXPECT_EQ(Walk(family_of("abs", 1.2, 0), std::numeric_limits<long double>::infinity()).at(2).correlation.below_one, 0);
}

TEST(SphereRecursion, SharesOfALayerSumToOne) {
    for (const char* name : {"relu", "erf", "hermite:0.1,0.2,0.3"}) {
        const KernelFamily family = family_of(name, 1.3, 0.2);
        SphereSample sample(family, 2);
        for (int l = 0; l < 100; ++l) {
            const SphereLayer layer = sample.next();
            EXPECT_LE(std::fabs(layer.weight + layer.bias - 1), 2 * eps);
            EXPECT_LE(std::fabs(layer.tangent_weight + layer.tangent_bias + layer.tangent_carry - 1), 4 * eps);
        }
        EXPECT_EQ(sample.depth(), 100);
    }
}

void expect_refused(const KernelFamily& family, double mean_square, const std::string& what) {
    try {
        SphereSample sample(family, mean_square);
        FAIL() << what;
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
        EXPECT_THAT(error.what(), ::testing::HasSubstr(what));
    }
}

TEST(SphereRecursion, RefusesWhatHasNoKernel) {
    const double infinity = std::numeric_limits<double>::infinity();
    expect_refused(family_of("relu", 0, 0), 1, "weight std");
    expect_refused(family_of("relu", infinity, 0), 1, "weight std");
    expect_refused(family_of("relu", 1, -0.1), 1, "bias std");
    expect_refused(family_of("relu", 1, std::nan("")), 1, "bias std");
    expect_refused(family_of("relu", 1, 0), 0, "a mean square of 0");
    expect_refused(family_of("relu", 1, 0.1), -1, "a mean square of -1");
    expect_refused(family_of("relu", 1, 0.1), infinity, "a mean square of inf");
    const KernelFamily family = family_of("relu", 1, 0.1);
    EXPECT_EQ(SphereSample(family, 0).next().bias, 1);  // a sample that is zero has the bias alone
}

}  // namespace
}  // namespace ntk

#include "support/devices.hpp"
#include "support/samples.hpp"

#include <ntkcuda/exact_moments.hpp>
#include <ntkcuda/gram.hpp>
#include <ntkcuda/infinite_width.hpp>

#include <gtest/gtest.h>

#include <cmath>

namespace ntk {
namespace {

using namespace testing;

Architecture relu(Index inputs, std::vector<Index> hidden, Index outputs = 1) {
    Architecture architecture;
    architecture.inputs = inputs;
    architecture.hidden = std::move(hidden);
    architecture.outputs = outputs;
    return architecture;
}

TEST(DiagonalMoments, HitKnownNumbers) {
    // In rational arithmetic E Theta^2 / (E Theta)^2 = 177/100 and 2046299/294912.
    EXPECT_NEAR(1 + diagonal_moments(relu(3, {10, 10})).variance(), 1.77, 1e-15);
    EXPECT_NEAR(1 + diagonal_moments(relu(5, {8, 8, 8, 8, 8})).variance(), 2046299.0 / 294912, 1e-14);
    // A linear model: Theta_oo' = t [o = o'], not random.
    EXPECT_EQ(diagonal_moments(relu(4, {})).covariance, 0);
    EXPECT_EQ(diagonal_moments(relu(4, {})).mixed, 0);
    // One hidden layer, by hand: Theta_oo' = t 2/n (sum over the active units of omega_o omega_o'), half of n units active on average.
    EXPECT_NEAR(diagonal_moments(relu(4, {10})).mixed, 2 / 10.0 / 4, 1e-16);
}

// Different widths one by one, by the formulas as they stand in the header.
TEST(DiagonalMoments, FollowTheRecursionOverDifferentWidths) {
    const std::vector<Index> widths{3, 100, 1, 17, 8};
    double a = 1, b = 1, c = 0, e = 1, f = 0;
    for (const Index width : widths) {
        const auto n = static_cast<double>(width);
        const double b_next = a * (1 + 5 / n) + b * (1 + 1 / n) + 4 * c / n, c_next = 2 * b / n + c * (1 + 3 / n);
        const double e_next = a * (1 + 5 / n) + 2 * (b * (1 + 1 / n) + 4 * c / n) + e * (1 + 1 / n) + 4 * f / n;
        f = 2 * e / n + f * (1 + 3 / n);
        e = e_next;
        a *= 1 + 5 / n;
        b = b_next;
        c = c_next;
    }
    const DiagonalMoments moments = diagonal_moments(relu(2, widths));
    EXPECT_NEAR(1 + moments.covariance, e / 36, 1e-14 * e);
    EXPECT_NEAR(moments.mixed, f / 36, 1e-14 * f);
    EXPECT_NEAR(1 + moments.variance(), (e + 2 * f) / 36, 1e-14 * e);
    EXPECT_NEAR(1 + moments.variance(4), (e + f / 2) / 36, 1e-14 * e);
}

// One hidden layer: exactly 3/n, as small as that is. Deep: the variance grows by (1 + 5/n) a layer, to a third of that power.
TEST(DiagonalMoments, KeepTheirDigitsAtAnyWidthAndDepth) {
    const double n = 1e15;
    EXPECT_NEAR(diagonal_moments(relu(1, {1000000000000000})).variance() * n / 3, 1, 1e-14);
    const DiagonalMoments deep = diagonal_moments(relu(1, std::vector<Index>(10000, 100)));
    EXPECT_TRUE(std::isfinite(deep.variance()));
    EXPECT_NEAR(std::log(deep.variance()), 10000 * std::log1p(5 / 100.0) + std::log(1 / 3.0), 0.05);
    EXPECT_TRUE(std::isinf(diagonal_moments(relu(1, std::vector<Index>(10000, 1))).variance()));
}

TEST(DiagonalMoments, TendToTheClosedFormAsWidthAndDepthGrow) {
    for (const double lambda : {0.01, 0.125, 1.0, 4.0}) {
        SCOPED_TRACE(lambda);
        const DiagonalMoments limit = depth_width_moments(lambda);
        double last[3] = {};
        for (const Index width : {1600, 3200, 6400}) {
            const auto hidden = static_cast<std::size_t>(std::lround(lambda * static_cast<double>(width)));
            const DiagonalMoments finite = diagonal_moments(relu(1, std::vector<Index>(hidden, width)));
            const double error[3] = {finite.variance() / limit.variance() - 1, finite.mixed / limit.mixed - 1,
                                     finite.covariance / limit.covariance - 1};
            // The next order is 1/width: halved by each doubling.
            for (int i = 0; i < 3; ++i) {
                if (width > 1600) {
                    EXPECT_NEAR(error[i] / last[i], 0.5, 0.02) << i;
                }
                last[i] = error[i];
            }
            EXPECT_LT(std::fabs(error[0]), 100 * (1 + lambda) / static_cast<double>(width));
        }
    }
}

TEST(DepthWidthMoments, AreTheFormulaAndItsFirstOrder) {
    for (const double l : {0.2, 0.5, 2.0, 10.0}) {
        const double ratio = std::exp(5 * l) * (1.0 / 3 + 2 / (9 * l) - (1 - std::exp(-6 * l)) / (27 * l * l));
        EXPECT_NEAR(depth_width_moments(l).variance(), ratio - 1, 1e-13 * ratio);
        const double mixed = std::exp(-l) * (std::exp(6 * l) * (6 * l * l + 2 * l - 1) + 1 + 4 * l) / (54 * l * l);
        EXPECT_NEAR(depth_width_moments(l).mixed, mixed, 1e-13 * mixed);
    }
    EXPECT_NEAR(depth_width_moments(1e-12).variance() / 1e-12, 11.0 / 3, 1e-10);
    EXPECT_NEAR(depth_width_moments(1e-12).mixed / 1e-12, 2.0 / 3, 1e-10);
    EXPECT_EQ(depth_width_moments(0).variance(), 0);
    // Both sides of the place where a series takes over.
    const double below = std::nextafter(1.0 / 6, 0), above = std::nextafter(1.0 / 6, 1);
    EXPECT_NEAR(depth_width_moments(below).variance() / depth_width_moments(above).variance(), 1, 1e-14);
    EXPECT_NEAR(depth_width_moments(below).mixed / depth_width_moments(above).mixed, 1, 1e-13);
    EXPECT_TRUE(std::isfinite(depth_width_moments(140).variance()));
    EXPECT_TRUE(std::isinf(depth_width_moments(150).variance()));
}

TEST(DiagonalMean, IsTheDiagonalOfTheLimit) {
    const auto backend = make_backend<double>("cpu", 1);
    Architecture architecture = relu(3, {4, 9, 2});
    architecture.weight_std = 1.1;
    const HostMatrix<double> x(1, 3, {1, -2, 0.5});
    const auto limit = download(infinite_width_kernel(architecture, InfiniteKernel::ntk, upload(backend, x)));
    EXPECT_NEAR(diagonal_mean(architecture, 5.25), limit(0, 0), 1e-14 * limit(0, 0));
    EXPECT_EQ(diagonal_mean(architecture, 0), 0);
}

// Mean, variance, covariance and mixed moment of the library's own kernels, within four standard errors.
TEST(DiagonalMoments, AreThoseOfDrawnNetworks) {
    constexpr int networks = 4000;
    const auto backend = make_backend<double>("cpu", 1);
    Architecture architecture = relu(2, {40, 25, 60}, 2);
    architecture.weight_std = 1.3;
    const HostMatrix<double> point(1, 2, {0.6, -1.1});
    const auto x = upload(backend, point);
    const double mean = diagonal_mean(architecture, 0.36 + 1.21);
    double sum[4] = {}, squares[4] = {};
    for (std::uint32_t s = 0; s < networks; ++s) {
        EmpiricalOptions options;
        options.block = Block::full;
        const auto theta = download(empirical_ntk(draw_network(backend, architecture, 11, s), x.view(), options));
        const double one = theta(0, 0) / mean, two = theta(1, 1) / mean, off = theta(0, 1) / mean;
        const double values[4] = {one, (one - 1) * (one - 1), (one - 1) * (two - 1), off * off};
        for (int i = 0; i < 4; ++i) {
            sum[i] += values[i] / networks;
            squares[i] += values[i] * values[i] / networks;
        }
    }
    const DiagonalMoments exact = diagonal_moments(architecture);
    const double expected[4] = {1, exact.variance(), exact.covariance, exact.mixed};
    for (int i = 0; i < 4; ++i) {
        const double error = std::sqrt((squares[i] - sum[i] * sum[i]) / networks);
        EXPECT_NEAR(sum[i], expected[i], 4 * error) << i;
        EXPECT_LT(error, 0.1 * expected[i]) << i;
    }
}

TEST(DiagonalMoments, RefuseWhatTheyDoNotHoldFor) {
    const auto refused = [](const std::string& part, auto change) {
        Architecture architecture = relu(2, {3});
        change(architecture);
        EXPECT_FALSE(has_exact_moments(architecture));
        expect_error(ErrorCode::invalid_argument, part, [&] { (void)diagonal_moments(architecture); });
        expect_error(ErrorCode::invalid_argument, part, [&] { (void)diagonal_mean(architecture, 1); });
    };
    refused("not for activation leaky_relu:0.1", [](Architecture& a) { a.activation.slope = 0.1; });
    refused("not for activation erf", [](Architecture& a) { a.activation.kind = Activation::Kind::erf; });
    refused("the standard parametrization", [](Architecture& a) { a.parametrization = Parametrization::standard; });
    refused("bias_std 0.5", [](Architecture& a) {
        a.biases = Biases::trained;
        a.bias_std = 0.5;
    });
    EXPECT_TRUE(has_exact_moments(relu(2, {3})));
    expect_error(ErrorCode::invalid_argument, "hidden layer 1", [] { (void)diagonal_moments(relu(2, {0})); });
    expect_error(ErrorCode::invalid_argument, "squared_norm", [] { (void)diagonal_mean(relu(2, {3}), -1); });
    expect_error(ErrorCode::invalid_argument, "lambda", [] { (void)depth_width_moments(-1); });
    Architecture deep = relu(2, std::vector<Index>(10000, 3));
    deep.weight_std = 1;
    expect_error(ErrorCode::invalid_argument, "outside the range of a double", [&] { (void)diagonal_mean(deep, 1); });
}

}  // namespace
}  // namespace ntk

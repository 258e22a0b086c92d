#include <ntkcuda/backend.hpp>
#include <ntkcuda/moments.hpp>
#include <ntkcuda/random.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace ntk {
namespace {

/// exp of normals: skewed, with known moments.
std::vector<double> skewed(Index count) {
    const HostMatrix<double> z = host_normals({7, 0, 0}, count, 1);
    std::vector<double> x;
    for (Index i = 0; i < count; ++i) x.push_back(std::exp(0.3 * z(i, 0)));
    return x;
}

HostMatrix<double> moments_of(const std::vector<double>& x) {
    const auto backend = make_backend<double>("cpu");
    return backend->column_moments(upload(backend, HostMatrix<double>(std::ssize(x), 1, x)).view());
}

TEST(Moments, MergesIntoThoseOfAll) {
    std::vector<double> x = skewed(1000);
    for (double& value : x) value += 1e4;  // a mean far from zero cancels nothing
    Moments merged(1);
    for (std::size_t first = 0, count = 1; first < x.size(); first += count, count = std::min(2 * count, x.size() - first)) {
        const std::vector<double> part(x.begin() + static_cast<std::ptrdiff_t>(first),
                                       x.begin() + static_cast<std::ptrdiff_t>(first + count));
        merged.merge(std::ssize(part), moments_of(part));
    }
    ASSERT_EQ(merged.count(), 1000);
    // In extended precision, about the exact mean.
    long double mean = 0, m2 = 0, m3 = 0, m4 = 0;
    for (const double value : x) mean += value;
    mean /= 1000;
    for (const double value : x) {
        const long double d = value - mean;
        m2 += d * d;
        m3 += d * d * d;
        m4 += d * d * d * d;
    }
    const Statistics s = merged.at(0);
    const auto close = [](double found, long double exact, double tolerance) {
        EXPECT_NEAR(found, static_cast<double>(exact), tolerance * static_cast<double>(std::fabs(exact)));
    };
    // x is rounded at 1e4 * 1e-16, d of order 0.3: relative 1e-12 of d.
    close(s.mean, mean, 1e-15);
    close(s.variance, m2 / 999, 1e-11);
    close(s.skewness, m3 / 1000 / std::pow(m2 / 1000, 1.5L), 1e-11);
    close(s.kurtosis, m4 * 1000 / (m2 * m2), 1e-11);
    close(s.second_moment, mean * mean + m2 / 1000, 1e-15);
    EXPECT_EQ(s.min, *std::min_element(x.begin(), x.end()));
    EXPECT_EQ(s.max, *std::max_element(x.begin(), x.end()));
    close(s.mean_error, std::sqrt(m2 / 999 / 1000), 1e-11);
    const long double farthest = std::max(s.max - mean, mean - s.min);
    close(s.effective2, m2 / (farthest * farthest), 1e-11);
    close(s.effective4, m4 / (farthest * farthest * farthest * farthest), 1e-11);
}

// The errors of mean, variance and second moment of N values, over many repetitions, are as large as they say.
TEST(Moments, StandardErrorsAreThoseOfRepetitions) {
    constexpr Index repetitions = 400, count = 500;
    const HostMatrix<double> z = host_normals({8, 0, 0}, repetitions, count);
    double squares[3] = {};
    for (Index r = 0; r < repetitions; ++r) {
        std::vector<double> x;
        for (Index i = 0; i < count; ++i) x.push_back(1 + 0.5 * z(r, i));
        Moments moments(1);
        moments.merge(count, moments_of(x));
        const Statistics s = moments.at(0);
        squares[0] += std::pow((s.mean - 1) / s.mean_error, 2);
        squares[1] += std::pow((s.variance - 0.25) / s.variance_error, 2);
        squares[2] += std::pow((s.second_moment - 1.25) / s.second_moment_error, 2);
    }
    // A mean of 400 squared z: 1 +- sqrt(2/400); the standard errors' own error adds of order 1/500.
    for (const double sum : squares) EXPECT_NEAR(sum / repetitions, 1, 4 * std::sqrt(2.0 / repetitions));
}

TEST(Moments, RefusesOtherShapes) {
    Moments moments(2);
    EXPECT_THROW(moments.merge(1, HostMatrix<double>(6, 3)), Error);
    EXPECT_THROW(Moments(1, HostMatrix<double>(5, 2)), Error);
}

TEST(Moments, ConstantsHaveNoTail) {
    Moments moments(1);
    moments.merge(3, moments_of({2, 2, 2}));
    const Statistics s = moments.at(0);
    EXPECT_EQ(s.variance, 0);
    EXPECT_TRUE(std::isnan(s.kurtosis));
    EXPECT_EQ(s.effective4, 3);
}

TEST(ValueHistogram, EveryValueIsInItsBin) {
    for (const double x : {1.0, 1.5, 0.1, 1e-300, 5e-324, 123456.789, std::numeric_limits<double>::max(), 0.0}) {
        for (const double signed_x : {x, -x}) {
            ValueHistogram histogram;
            histogram.add({signed_x});
            const std::int32_t bin = histogram.bins().begin()->first;
            EXPECT_LE(ValueHistogram::lower_edge(bin), signed_x);
            EXPECT_GE(ValueHistogram::lower_edge(bin + 1), signed_x);
            if (x >= 1e-300 && x < 1e300) {
                EXPECT_LE(ValueHistogram::lower_edge(bin + 1) - ValueHistogram::lower_edge(bin), x / 1024 * 1.0000001);
            }
        }
    }
    ValueHistogram histogram;
    EXPECT_THROW(histogram.add({std::numeric_limits<double>::infinity()}), Error);
    EXPECT_THROW((void)histogram.quantile(0.5), Error);
}

TEST(ValueHistogram, QuantilesOfAKnownLaw) {
    constexpr Index count = 200000;
    ValueHistogram whole, parts;
    const HostMatrix<double> z = host_normals({9, 0, 0}, count, 1);
    const std::vector<double> x(z.data(), z.data() + z.size());
    whole.add(x);
    for (std::size_t i = 0; i < x.size(); i += 1000)
        parts.add(std::vector<double>(x.begin() + static_cast<std::ptrdiff_t>(i), x.begin() + static_cast<std::ptrdiff_t>(i + 1000)));
    EXPECT_EQ(whole.bins(), parts.bins());
    // Quantiles of the standard normal.
    for (const auto& [p, exact] : {std::pair{0.5, 0.0}, {0.95, 1.6448536269514722}, {0.01, -2.3263478740408408}}) {
        const double density = std::exp(-exact * exact / 2) / std::sqrt(2 * std::numbers::pi);
        const double error = std::sqrt(p * (1 - p) / count) / density;
        EXPECT_NEAR(whole.quantile(p), exact, 4 * error);
        EXPECT_NEAR(whole.quantile_error(p) / error, 1, 0.2);
    }
    EXPECT_TRUE(std::isinf(whole.quantile_error(1e-9)));
    EXPECT_THROW((void)whole.quantile(1), Error);
}

}  // namespace
}  // namespace ntk

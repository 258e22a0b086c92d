// The normalised recursion of pairs: against multi-precision references, against the angle table, and on every device.

#include "support/conformance.hpp"
#include "support/golden.hpp"
#include "support/padded.hpp"
#include "support/samples.hpp"

#include "host/backend/pair_loops.hpp"

#include <ntkcuda/pair_recursion.hpp>
#include <ntkcuda/sphere_recursion.hpp>

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <numbers>
#include <utility>

namespace ntk {
namespace {

using namespace testing;
using nlohmann::json;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// rho, 1 - rho, K, 1 - K.
template <class Real>
std::vector<HostMatrix<Real>> read(PairRecursion<Real>& pairs, const std::shared_ptr<Backend<Real>>& backend, Index n1, Index n2) {
    std::vector<HostMatrix<Real>> values;
    for (const auto quantity : {&PairRecursion<Real>::correlation, &PairRecursion<Real>::correlation_below_one,
                                &PairRecursion<Real>::tangent, &PairRecursion<Real>::tangent_below_one}) {
        Matrix<Real> out(backend, n1, n2);
        backend->fill(out.view(), -7);  // above the diagonal of a lower triangle nothing is written
        (pairs.*quantity)(out.view());
        values.push_back(download(out));
    }
    return values;
}

PairRecursionOptions options_of(const std::string& activation, double weight_std, double bias_std, bool trained = true) {
    return {parse_activation(activation), weight_std, bias_std, trained};
}

/// One family for each branch of the loops.
std::vector<PairRecursionOptions> families() {
    return {options_of("relu", std::numbers::sqrt2, 0), options_of("leaky_relu:0.2", 1.2, 0.3, false), options_of("erf", 1.5, 0),
            options_of("erf", 0.9, 0.4)};
}

/// Rows of all norms, some near and some opposite to others.
HostMatrix<double> mixed_rows(Index n, Index d, std::uint32_t stream = 0) {
    HostMatrix<double> x = random_matrix(n, d, stream);
    for (Index i = 1; i < n; ++i)
        for (Index k = 0; k < d; ++k) {
            if (i % 4 == 1) x(i, k) = x(i - 1, k) + 1e-3 * x(i, k);
            if (i % 4 == 2) x(i, k) = -x(i - 1, k) * (1 + 0.1 * static_cast<double>(i % 3));
        }
    return x;
}

TEST(PairRecursion, EqualsTheMultiPrecisionReferenceToADepthOfAHundredThousand) {
    const json reference = golden("pair_recursion.json");
    const HostMatrix<double> points = matrix_of(reference["points"]);
    const auto backend = make_backend<double>("cpu");
    const Matrix<double> x = upload(backend, points);
    const Index others = points.rows() - 1;
    ASSERT_FALSE(reference["cases"].empty());
    std::unique_ptr<PairRecursion<double>> pairs;
    for (const json& c : reference["cases"]) {
        const Index depth = c["depth"];
        if (depth == 1)
            pairs = backend->pair_recursion(options_of(c["activation"], c["weight_std"], c["bias_std"], c["trained"]),
                                            std::as_const(x).view().row_range(0, 1), std::as_const(x).view().row_range(1, others),
                                            Triangle::full);
        pairs->advance(depth);
        const auto got = read(*pairs, backend, 1, others);
        for (std::size_t j = 0; j < c["pairs"].size(); ++j)
            for (std::size_t i = 0; i < 4; ++i) {
                const double expected = c["pairs"][j][i], value = got[i](0, static_cast<Index>(j));
                // Exactly 0, or below the digits of the reference; and what comes from a 1 - rho below the range of normal numbers.
                if (expected == 0 || c["pairs"][j][1] == 0.0) continue;
                EXPECT_NEAR(value / expected, 1, 1e-13)
                    << "rho, 1 - rho, K, 1 - K [" << i << "] of point " << j + 1 << " at depth " << depth << ", " << c["regime"] << ", "
                    << c["activation"] << ", weight std " << c["weight_std"] << ", bias std " << c["bias_std"];
            }
    }
}

TEST(PairRecursion, AgreesWithTheRecursionOfAnglesOnEqualNorms) {
    const auto backend = make_backend<double>("cpu");
    for (const double tangent : {1e-6, 0.03, 0.8, 7.0}) {
        const long double square = static_cast<long double>(tangent) * tangent;
        const auto cosine = static_cast<double>((1 - square) / (1 + square)), sine = static_cast<double>(2 * tangent / (1 + square));
        const Matrix<double> x =
            upload(backend, HostMatrix<double>(2, 2, {std::numbers::sqrt2, 0, std::numbers::sqrt2 * cosine, std::numbers::sqrt2 * sine}));
        for (const PairRecursionOptions& options : families()) {
            const auto pairs = backend->pair_recursion(options, std::as_const(x).view(), std::as_const(x).view(), Triangle::lower);
            const KernelFamily family{options.activation, options.weight_std, options.bias_std, options.trained_biases};
            SphereSample sample(family, 1);
            SpherePair pair = first_pair(sample.next(), cosine_of(tangent));
            for (const Index depth : {1, 2, 17, 400}) {
                while (sample.depth() < depth) pair = next_pair(sample.next(), pair);
                pairs->advance(depth);
                const auto got = read(*pairs, backend, 2, 2);
                const long double expected[] = {pair.correlation.rho, pair.correlation.below_one, pair.tangent, pair.tangent_below_one};
                for (std::size_t i = 0; i < 4; ++i) {
                    SCOPED_TRACE(::testing::Message()
                                 << to_string(options.activation) << " [" << i << "] tangent " << tangent << " depth " << depth);
                    // The sine above is rounded: that is 2e-16 / tangent of the angle in 1 - rho, but none of it a unit.
                    EXPECT_NEAR(got[i](1, 0), static_cast<double>(expected[i]), 1e-13 * std::fabs(static_cast<double>(expected[i])));
                    EXPECT_EQ(got[i](0, 0), i % 2 == 0 ? 1 : 0);
                    EXPECT_EQ(got[i](0, 1), -7);
                }
            }
        }
    }
}

/// Values of a device within rounding of those of the CPU in float64: rho and K absolutely, their differences from 1 relatively.
template <class Real>
void expect_near(const std::vector<HostMatrix<Real>>& got, const std::vector<HostMatrix<double>>& expected, double roundings) {
    for (std::size_t q = 0; q < 4; ++q)
        for (Index e = 0; e < got[q].size(); ++e) {
            const double value = expected[q].data()[e], size = std::fabs(value);
            const double tolerance = roundings * 0x1p-52 * (q % 2 == 0 ? std::max(size, 1.0) : size);
            ASSERT_NEAR(static_cast<double>(got[q].data()[e]), value,
                        tolerance + 2 * size * static_cast<double>(std::numeric_limits<Real>::epsilon()))
                << "[" << q << "], entry " << e;
        }
}

CONFORMANCE_TEST(PairRecursions) {
    const auto cpu = make_backend<double>("cpu", 1);
    const Index d = 5;
    for (const Index n : {1, 33, 70})
        for (const Index pad : pads)
            for (const PairRecursionOptions& options : families()) {
                const Index n2 = n / 2 + 1;
                const Padded<Real> x(backend, mixed_rows(n, d), pad), y(backend, mixed_rows(n2, d, 1), pad);
                const Matrix<double> x_cpu = upload(cpu, x.given()), y_cpu = upload(cpu, y.given());
                const auto lower = backend->pair_recursion(options, x.view(), x.view(), Triangle::lower),
                           cross = backend->pair_recursion(options, x.view(), y.view(), Triangle::full);
                const auto lower_cpu = cpu->pair_recursion(options, x_cpu.view(), x_cpu.view(), Triangle::lower),
                           cross_cpu = cpu->pair_recursion(options, x_cpu.view(), y_cpu.view(), Triangle::full);
                for (const Index depth : {1, 2, 37}) {
                    for (auto* pairs : {lower.get(), cross.get()}) {
                        pairs->advance(depth);
                        EXPECT_EQ(pairs->depth(), depth);
                    }
                    for (auto* pairs : {lower_cpu.get(), cross_cpu.get()}) pairs->advance(depth);
                    SCOPED_TRACE(::testing::Message() << to_string(options.activation) << " n " << n << " depth " << depth);
                    const double roundings = 4 * static_cast<double>(d + depth);
                    expect_near(read(*lower, backend, n, n), read(*lower_cpu, cpu, n, n), roundings);
                    expect_near(read(*cross, backend, n, n2), read(*cross_cpu, cpu, n, n2), roundings);
                }
                Padded<Real> out(backend, HostMatrix<double>(n, n2), pad);
                cross->tangent(out.view());
                const HostMatrix<Real> values = out.get();  // the marks
                EXPECT_TRUE(same_bits(values, read(*cross, backend, n, n2)[2]));
            }
}

CONFORMANCE_TEST(PairRecursionInManySteps) {
    const Matrix<Real> x = upload(backend, mixed_rows(40, 5));
    for (const PairRecursionOptions& options : families()) {
        const auto at_once = backend->pair_recursion(options, x.view(), x.view(), Triangle::lower),
                   in_steps = backend->pair_recursion(options, x.view(), x.view(), Triangle::lower);
        at_once->advance(60);
        for (const Index depth : {2, 2, 3, 19, 51, 60}) in_steps->advance(depth);
        const auto expected = read(*at_once, backend, 40, 40), got = read(*in_steps, backend, 40, 40);
        for (std::size_t q = 0; q < 4; ++q) EXPECT_TRUE(same_bits(got[q], expected[q])) << to_string(options.activation) << q;
    }
}

CONFORMANCE_TEST(PairRecursionOutlivesItsRows) {
    std::shared_ptr<Backend<Real>> own = make_backend<Real>(backend->info().id());
    const PairRecursionOptions options = families()[1];
    Matrix<Real> x = upload(own, mixed_rows(9, 5)), out(own, 9, 9), before(own, 9, 9);
    auto pairs = own->pair_recursion(options, x.view(), x.view(), Triangle::full);
    own->fill(x.view(), nan);
    pairs->advance(5);
    pairs->tangent(out.view());
    EXPECT_GT(download(out)(1, 0), 0);
    out = {};
    before = {};
    x = {};
    own = nullptr;
    pairs = nullptr;
}

CONFORMANCE_TEST(PairRecursionOnALine) {
    // A row, itself, twice it, minus it, and zero.
    const HostMatrix<double> rows(5, 2, {1.5, -0.5, 1.5, -0.5, 3, -1, -1.5, 0.5, 0, 0});
    const Matrix<Real> x = upload(backend, rows);
    for (const PairRecursionOptions& options : {options_of("relu", 1.3, 0.5), options_of("erf", 1.5, 0.3, false)}) {
        const auto pairs = backend->pair_recursion(options, x.view(), x.view(), Triangle::full);
        for (const Index depth : {1, 2, 3, 50}) {
            pairs->advance(depth);
            const auto values = read(*pairs, backend, 5, 5);
            for (Index i = 0; i < 5; ++i) {
                for (std::size_t q = 0; q < 4; ++q)
                    for (Index j = 0; j < 5; ++j) EXPECT_TRUE(std::isfinite(values[q](i, j))) << q << i << j;
                EXPECT_EQ(values[1](i, i), 0);
                EXPECT_GT(values[1](4, i), i == 4 ? -1 : 0);
            }
            for (std::size_t q : {1, 3}) EXPECT_EQ(values[q](0, 1), 0) << depth;
            EXPECT_GT(values[1](0, 2), 0) << depth;  // the bias tells their norms apart
            if (depth == 1) {
                EXPECT_GT(values[1](0, 3), values[1](0, 2));
            }
            if (depth == 1 && !options.trained_biases) {
                EXPECT_EQ(values[2](0, 4), 0);  // no tangent kernel at zero
            }
        }
    }
    const auto without =
        backend->pair_recursion(options_of("relu", 1, 0), x.view().row_range(0, 4), x.view().row_range(0, 4), Triangle::full);
    without->advance(100);
    const auto values = read(*without, backend, 4, 4);
    for (std::size_t q : {1, 3})
        for (Index j : {0, 1, 2}) EXPECT_EQ(values[q](0, j), 0);  // norms cancel
}

CONFORMANCE_TEST(PairRecursionRefusals) {
    const HostMatrix<double> good = random_matrix(4, 3);
    const auto refuse = [&](PairRecursionOptions options, const HostMatrix<double>& rows, const std::string& part) {
        const Matrix<Real> x = upload(backend, rows);
        expect_error(ErrorCode::invalid_argument, part,
                     [&] { (void)backend->pair_recursion(options, x.view(), x.view(), Triangle::lower); });
    };
    for (const double bad : {0.0, -1.0, nan, 1e200}) refuse(options_of("relu", bad, 0), good, "weight_std");
    for (const double bad : {-1.0, nan, 1e200, 1e-200}) refuse(options_of("relu", 1, bad), good, "bias_std");
    HostMatrix<double> rows = good;
    rows(2, 1) = nan;
    refuse(options_of("relu", 1, 0), rows, "row 2 is not finite");
    for (Index k = 0; k < 3; ++k) rows(2, k) = 0;
    refuse(options_of("relu", 1, 0), rows, "row 2 is zero");
    if constexpr (std::is_same_v<Real, double>) {
        for (Index k = 0; k < 3; ++k) rows(2, k) = 1e170;
        refuse(options_of("erf", 1, 0.1), rows, "row 2");
    }
    const Matrix<Real> x = upload(backend, good);
    const auto pairs = backend->pair_recursion(options_of("relu", 1, 0), x.view(), x.view(), Triangle::lower);
    pairs->advance(9);
    expect_error(ErrorCode::invalid_argument, "cannot go back to depth 8", [&] { pairs->advance(8); });
    const auto nothing = backend->pair_recursion(options_of("relu", 1, 0), x.view().row_range(0, 0), x.view(), Triangle::full);
    nothing->advance(5);
    EXPECT_EQ(nothing->depth(), 5);
}

TEST(HostPairRecursion, SameBitsOnAnyNumberOfThreads) {
    for (const PairRecursionOptions& options : families()) {
        std::vector<HostMatrix<double>> expected;
        for (const int threads : {1, 2, 5}) {
            const auto backend = make_backend<double>("cpu", threads);
            const Matrix<double> x = upload(backend, mixed_rows(600, 5));
            const auto pairs = backend->pair_recursion(options, x.view(), x.view(), Triangle::lower);
            pairs->advance(20);
            const auto got = read(*pairs, backend, 600, 600);
            if (expected.empty()) expected = got;
            for (std::size_t q = 0; q < 4; ++q) EXPECT_TRUE(same_bits(got[q], expected[q])) << threads;
        }
    }
}

TEST(HostPairRecursion, SameBitsFromEveryInstructionSet) {
    const Index n = 70, d = 5, layers = 7;
    const HostMatrix<double> x = mixed_rows(n, d);
    std::vector<double> norm, square, mean;
    HostMatrix<double> products(n, n);
    for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < n; ++j) products(i, j) = static_cast<double>(inner_product(x, i, x, j).value);
        square.push_back(products(i, i));
        norm.push_back(std::sqrt(square.back()));
        mean.push_back(square.back() / d);
    }
    const std::vector<int> exponent(static_cast<std::size_t>(n));
    const LimitSamples samples{n, d, x.data(), norm.data(), square.data(), mean.data(), exponent.data()};
    for (const PairRecursionOptions& options : families()) {
        const PairProblem problem(options);
        std::vector<double> expected;
        for (const PairLoops& loops : pair_loop_variants()) {
            std::vector<double> states(static_cast<std::size_t>(SampleStates::components * n)),
                table(static_cast<std::size_t>(std::max<Index>(formulas::FirstFactors::count, layers * PairLoops::factors(problem)) * n)),
                pairs(static_cast<std::size_t>(formulas::NormalizedPair::count * n * n));
            const SampleStates sample_states{n, states.data()};
            const FactorTable factors{table.data(), n};
            const PairTileState state{n, n, false, pairs.data()};
            loops.first_samples(problem, mean.data(), 0, n, sample_states, factors);
            loops.first_pairs(problem, samples, samples, products.data(), factors, factors, state);
            loops.next_samples(problem, layers, 0, n, sample_states, factors);
            loops.next_pairs(problem, layers, factors, factors, state);
            if (expected.empty()) expected = pairs;
            EXPECT_EQ(std::memcmp(expected.data(), pairs.data(), pairs.size() * sizeof(double)), 0) << to_string(options.activation);
            EXPECT_TRUE(std::isfinite(pairs[1]));
        }
    }
}

}  // namespace
}  // namespace ntk

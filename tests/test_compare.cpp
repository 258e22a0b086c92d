#include "support/devices.hpp"
#include "support/files.hpp"
#include "support/samples.hpp"
#include "support/thread_ranks.hpp"
#include "support/tolerance.hpp"

#include "host/compare_statistics.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/compare.hpp>
#include <ntkcuda/gram.hpp>
#include <ntkcuda/metrics.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <numbers>
#include <tuple>

namespace ntk {
namespace {

using namespace testing;

Dataset samples(Index n, Index d, std::uint32_t which, Index targets = 2) {
    Dataset data;
    data.x = random_matrix(n, d, which);
    if (targets > 0) data.y = random_matrix(n, targets, which + 100);
    return data;
}

CompareOptions options_of(std::vector<Index> depths, std::vector<Index> widths, Index seeds) {
    CompareOptions options;
    options.depths = std::move(depths);
    options.widths = std::move(widths);
    options.seeds = seeds;
    return options;
}

std::shared_ptr<Backend<double>> cpu() { return make_backend<double>("cpu", 1); }

/// Keeps records in memory, and can stop the sweep like a signal.
class MemoryStore final : public CompareStore {
public:
    struct Stopped {};

    std::optional<NetworkRecord> load(Index depth, Index width, Index network) override {
        const auto found = records.find({depth, width, network});
        return found == records.end() ? std::nullopt : std::optional(found->second);
    }
    void save(const NetworkRecord& record) override {
        if (records.size() == stop_after) throw Stopped{};
        records[{record.errors.depth, record.errors.width, record.errors.network}] = record;
        ++saved;
    }

    std::map<std::tuple<Index, Index, Index>, NetworkRecord> records;
    std::size_t stop_after = std::numeric_limits<std::size_t>::max();
    Index saved = 0;
};

void expect_same(const Spread& a, const Spread& b) {
    EXPECT_EQ(a.mean, b.mean);
    EXPECT_EQ(a.deviation, b.deviation);
    EXPECT_EQ(a.standard_error, b.standard_error);
    EXPECT_EQ(a.count, b.count);
}

void expect_same(const std::optional<Spread>& a, const std::optional<Spread>& b) {
    ASSERT_EQ(a.has_value(), b.has_value());
    if (a) expect_same(*a, *b);
}

void expect_same(const KernelError& a, const KernelError& b) {
    expect_same(a.relative, b.relative);
    expect_same(a.largest, b.largest);
    EXPECT_EQ(a.bias_squared, b.bias_squared);
    EXPECT_EQ(a.bias_squared_error, b.bias_squared_error);
    EXPECT_EQ(a.bias, b.bias);
    EXPECT_EQ(a.bias_error, b.bias_error);
    EXPECT_EQ(a.fluctuation, b.fluctuation);
    EXPECT_EQ(a.fluctuation_error, b.fluctuation_error);
}

void expect_same(const std::optional<Slope>& a, const std::optional<Slope>& b) {
    ASSERT_EQ(a.has_value(), b.has_value());
    if (!a) return;
    EXPECT_EQ(a->value, b->value);
    EXPECT_EQ(a->standard_error, b->standard_error);
}

/// Bit for bit, cells in any order.
void expect_same(const CompareResult& a, const CompareResult& b) {
    ASSERT_EQ(a.cells.size(), b.cells.size());
    ASSERT_EQ(a.slopes.size(), b.slopes.size());
    EXPECT_EQ(a.networks.size(), b.networks.size());
    for (const CompareCell& x : a.cells)
        for (const CompareCell& y : b.cells) {
            if (x.depth != y.depth || x.width != y.width) continue;
            SCOPED_TRACE(::testing::Message() << "depth " << x.depth << " width " << x.width);
            expect_same(x.train, y.train);
            expect_same(x.test, y.test);
            EXPECT_EQ(x.diagonal_variance, y.diagonal_variance);
            EXPECT_EQ(x.diagonal_variance_error, y.diagonal_variance_error);
            EXPECT_EQ(x.diagonal_variance_exact, y.diagonal_variance_exact);
            expect_same(x.predictor_distance, y.predictor_distance);
            expect_same(x.score, y.score);
            EXPECT_EQ(x.limit_score, y.limit_score);
            EXPECT_EQ(x.failures, y.failures);
        }
    for (std::size_t i = 0; i < a.slopes.size(); ++i) {
        EXPECT_EQ(a.slopes[i].depth, b.slopes[i].depth);
        expect_same(a.slopes[i].train_fluctuation, b.slopes[i].train_fluctuation);
        expect_same(a.slopes[i].train_bias, b.slopes[i].train_bias);
        expect_same(a.slopes[i].test_fluctuation, b.slopes[i].test_fluctuation);
        expect_same(a.slopes[i].test_bias, b.slopes[i].test_bias);
    }
}

double frobenius(const HostMatrix<double>& x) {
    double squares = 0;
    for (Index e = 0; e < x.size(); ++e) squares += x.data()[e] * x.data()[e];
    return std::sqrt(squares);
}

HostMatrix<double> difference(HostMatrix<double> a, const HostMatrix<double>& b) {
    for (Index e = 0; e < a.size(); ++e) a.data()[e] -= b.data()[e];
    return a;
}

double largest(const HostMatrix<double>& x) {
    double value = 0;
    for (Index e = 0; e < x.size(); ++e) value = std::max(value, std::fabs(x.data()[e]));
    return value;
}

// Everything of one cell again, from the kernels themselves and the definitions in compare.hpp.
TEST(Compare, OneCellEqualsADirectComputation) {
    const Dataset train = samples(12, 4, 0), test = samples(5, 4, 1);
    CompareOptions options = options_of({3}, {9}, 4);
    options.base.outputs = 2;
    options.base.bias_std = 0.3;
    options.base.biases = Biases::trained;
    options.ridge = 0.5;
    options.seed = 7;
    for (const auto& id : device_ids()) {
        SCOPED_TRACE(id);
        const auto backend = make_backend<double>(id, 2);
        const CompareResult result = compare(backend, train, test, options);
        ASSERT_EQ(result.cells.size(), 1U);
        ASSERT_EQ(result.networks.size(), 4U);
        EXPECT_FALSE(result.classification);

        Architecture architecture = options.base;
        architecture.inputs = 4;
        architecture.hidden = {9, 9};
        const auto x = upload(backend, train.x), x_test = upload(backend, test.x), y = upload(backend, train.y);
        const auto limit = download(infinite_width_kernel(architecture, InfiniteKernel::ntk, x));
        const auto limit_cross = infinite_width_kernel(architecture, InfiniteKernel::ntk, x_test, x);
        const auto limit_prediction = download(
            KernelSystem<double>(infinite_width_kernel(architecture, InfiniteKernel::ntk, x), options.ridge).predict(limit_cross, y));
        const double tolerance = testing::tolerance<double>(12) * 100;
        double square_mean = 0, bias_squared = 0;
        std::vector<HostMatrix<double>> errors;
        for (Index s = 0; s < 4; ++s) {
            const auto network = draw_network(backend, architecture, 7, static_cast<std::uint32_t>(s));
            const NetworkErrors& got = result.networks[static_cast<std::size_t>(s)];
            EXPECT_EQ(got.network, s);
            const auto error = difference(download(empirical_ntk(network, x.view())), limit);
            const auto cross = empirical_ntk(network, x_test.view(), x.view());
            const auto cross_error = difference(download(cross), download(limit_cross));
            EXPECT_NEAR(got.train_relative, frobenius(error) / frobenius(limit), tolerance);
            EXPECT_NEAR(got.test_relative, frobenius(cross_error) / frobenius(download(limit_cross)), tolerance);
            EXPECT_NEAR(got.train_largest, largest(error) / largest(limit), tolerance);
            EXPECT_NEAR(got.test_largest, largest(cross_error) / largest(download(limit_cross)), tolerance);
            const auto prediction = download(KernelSystem<double>(empirical_ntk(network, x.view()), options.ridge).predict(cross, y));
            ASSERT_TRUE(got.score && got.predictor_distance);
            EXPECT_NEAR(*got.score, rmse(prediction, test.y), 1e-10);
            EXPECT_NEAR(*got.predictor_distance, frobenius(difference(prediction, limit_prediction)) / frobenius(limit_prediction), 1e-10);
            square_mean += std::pow(frobenius(error) / frobenius(limit), 2) / 4;
            errors.push_back(error);
        }
        for (std::size_t s = 0; s < 4; ++s)
            for (std::size_t t = 0; t < 4; ++t)
                for (Index e = 0; e < limit.size() && s != t; ++e) bias_squared += errors[s].data()[e] * errors[t].data()[e] / 12;
        bias_squared /= std::pow(frobenius(limit), 2);
        const CompareCell& cell = result.cells[0];
        const double float_rounding = 4 * std::numeric_limits<float>::epsilon() * square_mean;  // the kept rows are float32
        EXPECT_NEAR(cell.train.bias_squared, bias_squared, float_rounding);
        EXPECT_NEAR(std::pow(cell.train.fluctuation, 2), square_mean - bias_squared, float_rounding);
        EXPECT_NEAR(*cell.limit_score, rmse(limit_prediction, test.y), 1e-10);
        EXPECT_EQ(cell.failures, 0);
    }
}

Architecture relu_of_cell(Index inputs, const CompareCell& cell) {
    Architecture architecture;
    architecture.inputs = inputs;
    architecture.hidden.assign(static_cast<std::size_t>(cell.depth - 1), cell.width);
    return architecture;
}

// For one sample E Theta is the limit at every width and depth, and E Theta^2 follows a recursion.
TEST(Compare, FluctuationOfOneSampleIsTheExactOne) {
    Dataset train;
    train.x = HostMatrix<double>(1, 3, {1, -2, 0.5});
    const CompareOptions options = options_of({2, 3, 4}, {8, 24}, 1500);
    const CompareResult result = compare(cpu(), train, train, options);
    for (const CompareCell& cell : result.cells) {
        SCOPED_TRACE(::testing::Message() << "depth " << cell.depth << " width " << cell.width);
        ASSERT_TRUE(cell.diagonal_variance_exact);
        const double exact = *cell.diagonal_variance_exact;
        EXPECT_EQ(exact, diagonal_moments(relu_of_cell(3, cell)).variance());
        EXPECT_NEAR(std::pow(cell.train.fluctuation, 2), exact, 4 * 2 * cell.train.fluctuation * cell.train.fluctuation_error);
        EXPECT_LE(std::fabs(cell.train.bias_squared), 4 * cell.train.bias_squared_error);
    }
}

// With one hidden layer the kernel is a mean over independent units: no bias, and a fluctuation of exactly width^(-1/2).
TEST(Compare, FluctuationFallsLikeTheRootOfTheWidth) {
    const CompareResult result = compare(cpu(), samples(6, 4, 0, 0), samples(3, 4, 1, 0), options_of({2}, {8, 32, 128}, 300));
    const DepthSlopes& slopes = result.slopes.at(0);
    for (const auto& slope : {slopes.train_fluctuation, slopes.test_fluctuation}) {
        ASSERT_TRUE(slope);
        EXPECT_NEAR(slope->value, -0.5, 4 * slope->standard_error);
        EXPECT_LT(slope->standard_error, 0.05);
    }
    for (const CompareCell& cell : result.cells) EXPECT_LE(std::fabs(cell.train.bias_squared), 4 * cell.train.bias_squared_error);
}

/// E Theta(x, -x) / Theta_inf(x, -x) of a ReLU network with two hidden layers of width w. In the first one no unit sees both samples, so
/// only the output layer's term is left: Theta is the mean of independent products with E Theta = sqrt(A A') / pi, where A = 2/w chi^2_K,
/// A' = 2/w chi^2_{w - K} and K, the number of units that see x, is binomial. Theta_inf is 1/pi.
double mean_at_opposite_samples(Index w) {
    const auto n = static_cast<double>(w);
    const auto root_mean = [](double k) { return std::exp(std::lgamma((k + 1) / 2) - std::lgamma(k / 2)); };  // E sqrt(chi^2_k / 2)
    double mean = 0;
    for (double k = 1; k < n; ++k) {
        const double binomial = std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) - n * std::numbers::ln2);
        mean += 4 / n * binomial * root_mean(k) * root_mean(n - k);
    }
    return mean;
}

TEST(Compare, BiasAtOppositeSamplesIsTheExactOne) {
    Dataset train, test;
    train.x = HostMatrix<double>(1, 2, {1, 0.5});
    test.x = HostMatrix<double>(1, 2, {-1, -0.5});
    const CompareResult result = compare(cpu(), train, test, options_of({3}, {4, 8, 16}, 3000));
    std::vector<SlopePoint> exact;
    for (const CompareCell& cell : result.cells) {
        const double bias = 1 - mean_at_opposite_samples(cell.width);
        EXPECT_NEAR(cell.test.bias_squared, bias * bias, 4 * cell.test.bias_squared_error) << cell.width;
        EXPECT_TRUE(cell.test.bias_resolved) << cell.width;
        exact.push_back({static_cast<double>(cell.width), bias, cell.test.bias_error});
    }
    const auto slope = result.slopes.at(0).test_bias;
    ASSERT_TRUE(slope);
    EXPECT_NEAR(slope->value, fit_slope(exact)->value, 4 * slope->standard_error);
    // That the exact slope is -1, with the next order in 1/width.
    EXPECT_NEAR(std::log2((1 - mean_at_opposite_samples(2048)) / (1 - mean_at_opposite_samples(1024))), -1, 1.0 / 1024);
}

TEST(Compare, GoesOnWhereItStoppedWithTheSameBits) {
    const Dataset train = samples(9, 3, 0), test = samples(4, 3, 1);
    const CompareOptions options = options_of({2, 3}, {5, 10}, 4);
    const CompareResult whole = compare(cpu(), train, test, options);
    for (const std::size_t stop : {0U, 3U, 9U, 15U}) {
        MemoryStore store;
        store.stop_after = stop;
        EXPECT_THROW((void)compare(cpu(), train, test, options, {}, &store), MemoryStore::Stopped);
        store.stop_after = std::numeric_limits<std::size_t>::max();
        Index calls = 0, last = 0, total = 0;
        const auto progress = [&](Index done, Index of) {
            ++calls;
            last = done;
            total = of;
        };
        expect_same(compare(cpu(), train, test, options, progress, &store), whole);
        EXPECT_EQ(store.saved, 16);
        EXPECT_EQ(calls, 16);
        EXPECT_EQ(last, 16);
        EXPECT_EQ(total, 16);
    }
}

TEST(Compare, GrowsWithTheSameBitsAndComputesOnlyWhatIsNew) {
    const Dataset train = samples(9, 3, 0), test = samples(4, 3, 1);
    MemoryStore store;
    (void)compare(cpu(), train, test, options_of({3}, {5, 20}, 3), {}, &store);
    EXPECT_EQ(store.saved, 6);
    const CompareOptions more = options_of({2, 3}, {5, 10, 20}, 5);
    expect_same(compare(cpu(), train, test, more, {}, &store), compare(cpu(), train, test, more));
    EXPECT_EQ(store.saved, 30);
    (void)compare(cpu(), train, test, more, {}, &store);
    EXPECT_EQ(store.saved, 30);
}

Workers<double> several(int count, Ranks& ranks = one_rank()) {
    std::vector<std::shared_ptr<Backend<double>>> backends;
    for (int i = 0; i < count; ++i) backends.push_back(cpu());
    return Workers<double>(backends, ranks);
}

TEST(Compare, SeveralWorkersAndRanksGiveTheBitsOfOne) {
    const Dataset train = samples(9, 3, 0), test = samples(4, 3, 1);
    CompareOptions options = options_of({2, 3}, {5, 10, 20}, 4);
    options.base.parametrization = Parametrization::standard;  // a limit for each width
    const CompareResult one = compare(cpu(), train, test, options);
    for (const int ranks : {1, 2, 3})
        for (const int each : {1, 2}) {
            SCOPED_TRACE(::testing::Message() << ranks << " ranks of " << each << " workers");
            on_ranks(ranks, [&](Ranks& rank) {
                Index last = 0;
                expect_same(compare(several(each, rank), train, test, options, [&](Index done, Index) { EXPECT_EQ(done, ++last); }), one);
                EXPECT_EQ(last, 24);
            });
        }
}

// The root's store alone is read and written, and what it holds serves any other number of workers and ranks.
TEST(Compare, GoesOnWithOtherNumbersOfWorkersAndRanks) {
    const Dataset train = samples(9, 3, 0), test = samples(4, 3, 1);
    const CompareOptions options = options_of({2, 3}, {5, 10}, 8);
    const CompareResult whole = compare(cpu(), train, test, options);
    MemoryStore store;
    store.stop_after = 5;
    EXPECT_THROW((void)compare(several(2), train, test, options, {}, &store), MemoryStore::Stopped);
    store.stop_after = 13;
    EXPECT_THROW(on_ranks(3,
                          [&](Ranks& ranks) {
                              MemoryStore none;
                              (void)compare(several(1, ranks), train, test, options, {}, ranks.root() ? &store : &none);
                          }),
                 Error);
    EXPECT_EQ(store.saved, 13);
    store.stop_after = std::numeric_limits<std::size_t>::max();
    on_ranks(2, [&](Ranks& ranks) {
        MemoryStore none;
        none.stop_after = 0;
        expect_same(compare(several(2, ranks), train, test, options, {}, ranks.root() ? &store : &none), whole);
    });
    EXPECT_EQ(store.saved, 32);
}

TEST(Compare, DoesNotDependOnTheOrderOfWidthsOrOnThreads) {
    const Dataset train = samples(110, 3, 0), test = samples(4, 3, 1);
    const CompareResult result = compare(cpu(), train, test, options_of({2}, {100, 8, 16}, 3));
    expect_same(result, compare(cpu(), train, test, options_of({2}, {16, 100, 8}, 3)));
    const CompareResult two_threads = compare(make_backend<double>("cpu", 2), train, test, options_of({2}, {100, 8, 16}, 3));
    for (std::size_t i = 0; i < result.cells.size(); ++i) {
        expect_same(two_threads.cells[i].train, result.cells[i].train);
        expect_same(two_threads.cells[i].test, result.cells[i].test);
    }
}

// Many samples and a narrow network: rank at most the number of parameters, so no network has a predictor, and the limit has one.
TEST(CompareStore, AFolderGoesOnWithTheSameBitsAlsoAfterAnEndBetweenTwoFiles) {
    const TemporaryFolder folder;
    const Dataset train = samples(9, 3, 0), test = samples(4, 3, 1);
    const CompareOptions few = options_of({2, 3}, {3, 10}, 3), more = options_of({2, 3}, {3, 10, 20}, 5);
    const std::string parameters = compare_parameters(cpu(), train, test, few);
    (void)compare(cpu(), train, test, few, {}, open_compare_store(folder.path("sweep"), parameters).get());
    // What kill -9 can leave: the rows without their numbers, and a file that was still being written.
    std::filesystem::remove(folder.path("sweep/depth-3-width-10/network-2.json"));
    folder.file("sweep/depth-3-width-10/network-2.npy.aside", "half");
    expect_same(
        compare(cpu(), train, test, more, {}, open_compare_store(folder.path("sweep"), compare_parameters(cpu(), train, test, more)).get()),
        compare(cpu(), train, test, more));
}

// On a sphere, with two outputs; standard errors over networks, as samples of one network are correlated.
TEST(Compare, VarianceOnTheDiagonalAgreesWithTheExactSecondMoment) {
    auto [train, test] = split(load_data({.source = "sphere:n=10,d=5,seed=3"}), 0.8, 1);
    CompareOptions options = options_of({2, 3, 20}, {32}, 1500);
    options.base.outputs = 2;
    const CompareResult result = compare(cpu(), train, test, options);
    for (const CompareCell& cell : result.cells) {
        SCOPED_TRACE(cell.depth);
        ASSERT_TRUE(cell.diagonal_variance_exact);
        EXPECT_EQ(*cell.diagonal_variance_exact, diagonal_moments(relu_of_cell(5, cell)).variance(2));
        EXPECT_EQ(cell.lambda(), static_cast<double>(cell.depth - 1) / 32);
        ASSERT_EQ(cell.diagonal_z().has_value(), cell.depth < 20);  // 19/32 is in the heavy tails
        if (cell.depth == 20) continue;
        EXPECT_LT(std::fabs(*cell.diagonal_z()), 4);
        EXPECT_LT(cell.diagonal_variance_error, 0.1 * *cell.diagonal_variance_exact);
    }
}

// Everything on the diagonal again from the kernels themselves: with an exact mean (ReLU) about 1, without (erf, biases) about the mean
// over networks of each sample. A sample at the origin, where both kernels are 0, does not count.
TEST(Compare, VarianceOnTheDiagonalEqualsADirectComputation) {
    Dataset train = samples(6, 4, 0, 0);
    for (Index j = 0; j < 4; ++j) train.x(2, j) = 0;
    constexpr Index networks = 5;
    for (const bool exact : {true, false}) {
        SCOPED_TRACE(exact);
        CompareOptions options = options_of({3}, {9}, networks);
        options.base.outputs = 2;
        if (!exact) options.base.activation = parse_activation("erf");
        const CompareResult result = compare(cpu(), train, samples(2, 4, 1, 0), options);
        const CompareCell& cell = result.cells.at(0);
        EXPECT_EQ(cell.diagonal_variance_exact.has_value(), exact);
        EXPECT_EQ(cell.diagonal_z().has_value(), exact);

        Architecture architecture = relu_of_cell(4, cell);
        architecture.outputs = 2;
        architecture.activation = options.base.activation;
        const auto backend = cpu();
        const auto x = upload(backend, train.x);
        const auto limit = download(infinite_width_kernel(architecture, InfiniteKernel::ntk, x));
        EXPECT_EQ(limit(2, 2), 0);
        const std::vector<Index> counted{0, 1, 3, 4, 5};
        HostMatrix<double> ratio(networks, 6);
        for (Index s = 0; s < networks; ++s) {
            const auto theta = download(empirical_ntk(draw_network(backend, architecture, 1, static_cast<std::uint32_t>(s)), x.view()));
            double mean = 0, square = 0;
            for (const Index i : counted) {
                ratio(s, i) = theta(i, i) / limit(i, i);
                mean += ratio(s, i) / 5;
                square += std::pow(ratio(s, i) - 1, 2) / 5;
            }
            const NetworkErrors& got = result.networks.at(static_cast<std::size_t>(s));
            EXPECT_NEAR(got.diagonal_mean, mean, 1e-13);
            EXPECT_NEAR(got.diagonal_square, square, 1e-13);
        }
        double variance = 0;
        for (const Index i : counted) {
            double mean = exact ? 1 : 0;
            for (Index s = 0; s < networks && !exact; ++s) mean += ratio(s, i) / networks;
            for (Index s = 0; s < networks; ++s) variance += std::pow(ratio(s, i) - mean, 2) / 5 / (exact ? networks : networks - 1);
        }
        EXPECT_NEAR(cell.diagonal_variance, variance, 1e-6 * variance);  // the kept diagonal is float32
        EXPECT_GT(cell.diagonal_variance_error, 0);
    }
}

TEST(CompareStore, GivesBackEveryBitAndTheFailure) {
    const TemporaryFolder folder;
    NetworkRecord record;
    record.errors = {3, 8, 1, 1.0 / 3, 2.0 / 7, 1e-300, 5e300, 1.1, 0.01, std::nullopt, std::nullopt, 0.1, "sample \"3\"\n"};
    record.diagonal = {0.1F, -1e-3F / 3};
    record.train_sample = {1.0F / 3, -2e-30F};
    record.test_sample = {0.1F};
    open_compare_store(folder.path("sweep"), "a = 1\n")->save(record);
    const auto store = open_compare_store(folder.path("sweep"), "a = 1\n");
    EXPECT_FALSE(store->load(3, 8, 0));
    const auto loaded = store->load(3, 8, 1);
    ASSERT_TRUE(loaded);
    EXPECT_EQ(loaded->train_sample, record.train_sample);
    EXPECT_EQ(loaded->test_sample, record.test_sample);
    EXPECT_EQ(loaded->diagonal, record.diagonal);
    const NetworkErrors &a = loaded->errors, &b = record.errors;
    EXPECT_EQ(std::tie(a.depth, a.width, a.network, a.train_relative, a.test_relative, a.train_largest, a.test_largest),
              std::tie(b.depth, b.width, b.network, b.train_relative, b.test_relative, b.train_largest, b.test_largest));
    EXPECT_EQ(std::tie(a.diagonal_mean, a.diagonal_square, a.predictor_distance, a.score, a.limit_score, a.failure),
              std::tie(b.diagonal_mean, b.diagonal_square, b.predictor_distance, b.score, b.limit_score, b.failure));
}

TEST(CompareStore, RefusesOtherParametersAndDamage) {
    const TemporaryFolder folder;
    NetworkRecord record;
    record.errors.depth = 2;
    record.errors.width = 4;
    record.train_sample = record.test_sample = {1};
    open_compare_store(folder.path("sweep"), "seed = 1\nridge = 0\n")->save(record);
    expect_error(ErrorCode::invalid_argument, "it was 'ridge = 0', it is 'ridge = 1'",
                 [&] { (void)open_compare_store(folder.path("sweep"), "seed = 1\nridge = 1\n"); });
    expect_error(ErrorCode::invalid_argument, "it was 'ridge = 0', it is ''",
                 [&] { (void)open_compare_store(folder.path("sweep"), "seed = 1\n"); });
    const auto store = open_compare_store(folder.path("sweep"), "seed = 1\nridge = 0\n");
    const std::string name = folder.path("sweep/depth-2-width-4/network-0");
    write_npy(name + ".npy", HostMatrix<float>(1, 3));
    expect_error(ErrorCode::io, "expected 1 + 1 + 0 values", [&] { (void)store->load(2, 4, 0); });
    std::filesystem::remove(name + ".npy");
    expect_error(ErrorCode::io, "network-0.npy", [&] { (void)store->load(2, 4, 0); });
    folder.file("sweep/depth-2-width-4/network-0.json", "{");
    expect_error(ErrorCode::io, "not a record of a sweep", [&] { (void)store->load(2, 4, 0); });
    folder.file("sweep/file", "x");
    expect_error(ErrorCode::io, "cannot be made", [&] { (void)open_compare_store(folder.path("sweep/file/below"), ""); });
}

TEST(Compare, CountsNetworksWithoutAPredictor) {
    const Dataset train = samples(30, 2, 0), test = samples(3, 2, 1);
    const CompareResult result = compare(cpu(), train, test, options_of({2}, {2, 400}, 3));
    const CompareCell &narrow = result.cells.at(0), &wide = result.cells.at(1);
    EXPECT_EQ(narrow.failures, 3);
    EXPECT_NE(narrow.failure.find("network 0: the kernel matrix"), std::string::npos) << narrow.failure;
    EXPECT_FALSE(narrow.predictor_distance || narrow.score);
    EXPECT_TRUE(narrow.limit_score);
    EXPECT_EQ(narrow.train.relative.count, 3);
    EXPECT_NE(result.networks.at(1).failure.find("ridge"), std::string::npos);
    EXPECT_EQ(wide.failures, 0) << wide.failure;
    EXPECT_TRUE(wide.predictor_distance && wide.score);
}

TEST(Compare, ThrowsWhenTheLimitHasNoPredictor) {
    Dataset train = samples(6, 3, 0);
    for (Index j = 0; j < 3; ++j) train.x(4, j) = train.x(1, j);
    expect_error(ErrorCode::not_positive_definite, "infinite-width kernel of depth 3: the kernel matrix", [&] {
        (void)compare(cpu(), train, samples(2, 3, 1), options_of({3}, {5, 10}, 3));
    });
    try {
        (void)compare(cpu(), train, samples(2, 3, 1), options_of({3}, {5, 10}, 3));
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("equal samples 2 and 5"), std::string::npos) << error.what();
    }
}

TEST(Compare, WithoutTargetsThereAreOnlyKernels) {
    const CompareResult result = compare(cpu(), samples(6, 3, 0, 0), samples(2, 3, 1, 0), options_of({2}, {5, 10}, 3));
    EXPECT_FALSE(result.cells[0].predictor_distance || result.cells[0].score || result.cells[0].limit_score);
    EXPECT_EQ(result.cells[0].failures, 0);
    EXPECT_GT(result.cells[0].train.fluctuation, 0);
}

TEST(Compare, ScoresClassesByAccuracy) {
    Dataset train = samples(20, 3, 0, 0), test = samples(10, 3, 1, 0);
    for (Dataset* data : {&train, &test}) {
        data->classes = {"minus", "plus"};
        data->y = HostMatrix<double>(data->samples(), 2);
        for (Index i = 0; i < data->samples(); ++i) {
            data->label.push_back(data->x(i, 0) > 0);
            data->y(i, data->label.back()) = 1;
            for (Index j = 0; j < 2; ++j) data->y(i, j) -= 0.5;
        }
    }
    const CompareResult result = compare(cpu(), train, test, options_of({2}, {200}, 3));
    EXPECT_TRUE(result.classification);
    ASSERT_TRUE(result.cells[0].limit_score && result.cells[0].score);
    EXPECT_GT(*result.cells[0].limit_score, 0.5);
    EXPECT_LE(*result.cells[0].limit_score, 1);
    EXPECT_NEAR(*result.cells[0].limit_score * 10, std::round(*result.cells[0].limit_score * 10), 1e-12);
}

// The limit of the standard parametrization grows with the width; relative to its own limit the error still falls.
TEST(Compare, StandardParametrizationHasALimitForEachWidth) {
    CompareOptions options = options_of({3}, {16, 256}, 40);
    options.base.parametrization = Parametrization::standard;
    const CompareResult result = compare(cpu(), samples(6, 4, 0, 0), samples(2, 4, 1, 0), options);
    ASSERT_TRUE(result.slopes[0].train_fluctuation);
    EXPECT_NEAR(result.slopes[0].train_fluctuation->value, -0.5, 4 * result.slopes[0].train_fluctuation->standard_error + 1.0 / 16);
}

TEST(Compare, FloatAgreesWithDouble) {
    const Dataset train = samples(10, 4, 0), test = samples(3, 4, 1);
    CompareOptions options = options_of({3}, {32}, 3);
    options.ridge = 1;
    const CompareResult a = compare(cpu(), train, test, options), b = compare(make_backend<float>("cpu", 1), train, test, options);
    EXPECT_NEAR(b.cells[0].train.relative.mean, a.cells[0].train.relative.mean, 1e-5);
    EXPECT_NEAR(b.cells[0].predictor_distance->mean, a.cells[0].predictor_distance->mean, 1e-4);
}

// 300 x 300 entries are more than are kept: every second row. The split must be that of the kept rows.
TEST(Compare, LargeKernelsKeepEvenlySpacedRows) {
    const Dataset train = samples(300, 3, 0, 0), test = samples(2, 3, 1, 0);
    MemoryStore store;
    (void)compare(cpu(), train, test, options_of({2}, {4}, 3), {}, &store);
    const NetworkRecord& record = store.records.at({2, 4, 1});
    ASSERT_EQ(record.train_sample.size(), 150U * 300U);
    EXPECT_EQ(record.test_sample.size(), 2U * 300U);

    Architecture architecture;
    architecture.inputs = 3;
    architecture.hidden = {4};
    const auto backend = cpu();
    const auto x = upload(backend, train.x);
    const auto limit = download(infinite_width_kernel(architecture, InfiniteKernel::ntk, x));
    const auto theta = download(empirical_ntk(draw_network(backend, architecture, 1, 1), x.view()));
    double squares = 0;
    for (Index i = 0; i < 300; i += 2)
        for (Index j = 0; j < 300; ++j) squares += limit(i, j) * limit(i, j);
    for (const Index i : {0, 2, 298})
        for (const Index j : {0, 1, 299})
            EXPECT_NEAR(record.train_sample[static_cast<std::size_t>(i / 2 * 300 + j)], (theta(i, j) - limit(i, j)) / std::sqrt(squares),
                        1e-8);
}

TEST(Compare, RefusesOptionsAndDataOutOfTheirDomains) {
    const Dataset train = samples(6, 3, 0), test = samples(2, 3, 1);
    const auto refused = [&](const std::string& part, const CompareOptions& options) {
        expect_error(ErrorCode::invalid_argument, part, [&] { (void)compare(cpu(), train, test, options); });
    };
    refused("depths: 1 is less than 2", options_of({1}, {5}, 3));
    refused("depths: the list is empty", options_of({}, {5}, 3));
    refused("widths: 0 is less than 1", options_of({2}, {0}, 3));
    refused("widths: 5 is there twice", options_of({2}, {5, 6, 5}, 3));
    refused("seeds: 2 networks", options_of({2}, {5}, 2));
    CompareOptions wrong = options_of({2}, {5}, 3);
    wrong.base.weight_std = -1;
    expect_error(ErrorCode::invalid_argument, "", [&] { (void)compare(cpu(), train, test, wrong); });
    expect_error(ErrorCode::invalid_argument, "3 features, test samples 4",
                 [&] { (void)compare(cpu(), train, samples(2, 4, 1), options_of({2}, {5}, 3)); });
    expect_error(ErrorCode::invalid_argument, "2 targets, test samples 1",
                 [&] { (void)compare(cpu(), train, samples(2, 3, 1, 1), options_of({2}, {5}, 3)); });
    expect_error(ErrorCode::invalid_argument, "no test samples", [&] { (void)compare(cpu(), train, Dataset{}, options_of({2}, {5}, 3)); });
}

TEST(Compare, ParametersNameEverythingThatARecordDependsOn) {
    const Dataset train = samples(6, 3, 0), test = samples(2, 3, 1);
    const CompareOptions options = options_of({2}, {5}, 3);
    const std::string parameters = compare_parameters(cpu(), train, test, options);
    EXPECT_TRUE(parameters.ends_with("record format = 2\n"));  // so that records without a diagonal are refused
    EXPECT_EQ(parameters, compare_parameters(cpu(), train, test, options_of({3, 4}, {7}, 30)));
    std::vector<CompareOptions> others(9, options);
    others[0].base.activation.slope = 0.1;
    others[1].base.weight_std = 1;
    others[2].base.bias_std = 1;
    others[3].base.biases = Biases::fixed;
    others[4].base.parametrization = Parametrization::standard;
    others[5].base.outputs = 2;
    others[6].seed = 2;
    others[7].ridge = 1e-3;
    others[8].base.activation.kind = Activation::Kind::erf;
    for (const CompareOptions& other : others) EXPECT_NE(parameters, compare_parameters(cpu(), train, test, other));
    EXPECT_NE(parameters, compare_parameters(make_backend<float>("cpu", 1), train, test, options));
    Dataset moved = train;
    moved.x(3, 1) = std::nextafter(moved.x(3, 1), 10);
    EXPECT_NE(parameters, compare_parameters(cpu(), moved, test, options));
    moved = test;
    moved.y(0, 0) += 1;
    EXPECT_NE(parameters, compare_parameters(cpu(), train, moved, options));
}

}  // namespace
}  // namespace ntk

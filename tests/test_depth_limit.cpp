#include <ntkcuda/angle_table.hpp>
#include <ntkcuda/backend.hpp>
#include <ntkcuda/depth_limit.hpp>

#include "support/devices.hpp"
#include "support/paths.hpp"
#include "support/samples.hpp"
#include "support/thread_ranks.hpp"

#include "host/depth_record.hpp"
#include "host/pair_share.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <fstream>
#include <map>
#include <mutex>
#include <numbers>

namespace ntk {
namespace {

using nlohmann::json;

KernelFamily family(const std::string& activation, double weight_std, double bias_std, InfiniteKernel kernel) {
    KernelFamily result;
    result.dual = parse_dual_activation(activation);
    result.weight_std = weight_std;
    result.bias_std = bias_std;
    result.kernel = kernel;
    return result;
}

Dataset dataset(const json& rows) {
    Dataset data;
    data.x = HostMatrix<double>(static_cast<Index>(rows.size()), static_cast<Index>(rows[0].size()));
    for (Index i = 0; i < data.x.rows(); ++i)
        for (Index j = 0; j < data.x.cols(); ++j)
            data.x(i, j) = rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)].get<double>();
    return data;
}

double number(const json& text) { return std::stod(text.get<std::string>()); }

/// One Chebyshev series on its octave.
double evaluate(const AngleLevel& level, const std::vector<double>& coefficients, double t) {
    const int octave = std::ilogb(t);
    const double* c = coefficients.data() + (octave - level.first_octave) * level.terms;
    const double x = 2 * std::ldexp(t, -octave) - 3;
    double last = 0, before = 0;
    for (Index k = level.terms - 1; k > 0; --k) {
        const double next = 2 * x * last - before + c[k];
        before = last;
        last = next;
    }
    return x * last - before + c[0];
}

TEST(AngleTable, EqualsTheRecursionOfEachAngle) {
    for (const auto& f : {family("relu", std::numbers::sqrt2, 0, InfiniteKernel::ntk), family("relu", 1, 0.5, InfiniteKernel::ntk),
                          family("leaky_relu:0.2", 1.2, 0.3, InfiniteKernel::nngp), family("erf", 1.5, 0.3, InfiniteKernel::ntk),
                          family("hermite:0.1,0.6,0.3", 1, 0.2, InfiniteKernel::ntk), family("abs", 1, 0, InfiniteKernel::ntk)}) {
        AngleTable table(f, 1, 0.01, 20);
        for (const Index depth : {1, 2, 5, 40, 300}) {
            table.advance(depth);
            const AngleLevel level = table.level();
            EXPECT_LT(level.error, 1e-15);
            for (const double t : {0.01, 0.0777, 0.5, 0.999, 1.3, 3.9, 20.0}) {
                SphereSample sample(f, 1);
                SpherePair pair = first_pair(sample.next(), cosine_of(t));
                while (sample.depth() < depth) pair = next_pair(sample.next(), pair);
                const bool ntk = f.kernel == InfiniteKernel::ntk;
                const long double below = ntk ? pair.tangent_below_one : pair.correlation.below_one;
                const auto found = static_cast<long double>(evaluate(level, level.below_one, t));
                EXPECT_NEAR(static_cast<double>(std::ldexp(found, static_cast<int>(level.exponent)) / below), 1, 2e-15)
                    << f.dual.name() << " depth " << depth << " t " << t;
                EXPECT_NEAR(evaluate(level, level.value, t), static_cast<double>(ntk ? pair.tangent : pair.correlation.rho), 1e-15);
            }
        }
    }
}

TEST(AngleTable, GoesOnWhereOneMinusKUnderflows) {
    const KernelFamily f = family("relu", 1, 0.5, InfiniteKernel::ntk);  // chi = 1/2: 1 - K falls by sqrt(1/2) a layer
    AngleTable table(f, 1, 0.1, 10);
    table.advance(100000);
    const AngleLevel deep = table.level();
    EXPECT_TRUE(table.linear());
    EXPECT_TRUE(deep.still);
    table.advance(200000);
    const AngleLevel deeper = table.level();
    EXPECT_EQ(deeper.exponent - deep.exponent, -50000);
    const double ratio = evaluate(deeper, deeper.below_one, 1.0) / evaluate(deep, deep.below_one, 1.0);
    EXPECT_NEAR(ratio, 1, 1e-13);
    EXPECT_THROW(table.advance(10), Error);
}

TEST(AngleTable, StopsChangeNoBit) {
    for (const auto& f : {family("relu", 1, 0.5, InfiniteKernel::ntk), family("erf", 0.5, 0.5, InfiniteKernel::nngp)}) {
        AngleTable straight(f, 1, 0.1, 10), stopping(f, 1, 0.1, 10);
        for (const Index depth : {3, 64, 65, 100, 127, 191, 200, 1000, 5000}) stopping.advance(depth);
        straight.advance(5000);
        const AngleLevel a = straight.level(), b = stopping.level();
        EXPECT_TRUE(a.still);
        EXPECT_EQ(a.exponent, b.exponent);
        EXPECT_EQ(a.below_one, b.below_one);
        EXPECT_EQ(a.value, b.value);
        EXPECT_EQ(straight.limit().below_one, stopping.limit().below_one);
    }
}

TEST(AngleTable, SeveralRanksHaveTheBitsOfOne) {
    for (const auto& f : {family("relu", 1, 0.5, InfiniteKernel::ntk), family("erf", 0.5, 0.5, InfiniteKernel::nngp),
                          family("relu", std::numbers::sqrt2, 0, InfiniteKernel::ntk)}) {
        const std::vector<Index> depths{3, 64, 100, 1000, 1003, 2500};
        std::vector<AngleLevel> expected;
        AngleTable one(f, 1, 0.1, 10);
        for (const Index depth : depths) {
            one.advance(depth);
            expected.push_back(one.level());
        }
        for (const int size : {2, 3, 5})
            testing::on_ranks(size, [&](Ranks& ranks) {
                AngleTable table(f, 1, 0.1, 10, ranks);
                for (std::size_t i = 0; i < depths.size(); ++i) {
                    table.advance(depths[i]);
                    const AngleLevel level = table.level();
                    EXPECT_EQ(level.below_one, expected[i].below_one) << depths[i];
                    EXPECT_EQ(level.value, expected[i].value) << depths[i];
                    EXPECT_EQ(level.exponent, expected[i].exponent) << depths[i];
                    EXPECT_EQ(level.still, expected[i].still) << depths[i];
                }
                EXPECT_EQ(table.linear(), one.linear());
            });
    }
}

void expect_four_hundred_digits(const std::string& file, bool equal_norms) {
    const auto golden = json::parse(std::ifstream(std::string(paths::golden) + "/" + file));
    const Dataset train = dataset(golden.at("train")), test = dataset(golden.at("test"));
    for (const std::string& device : testing::device_ids())
        for (const json& expected : golden.at("cases")) {
            const auto backend = make_backend<double>(device);
            DepthOptions options;
            options.family = family(expected.at("activation"), expected.at("weight_std"), expected.at("bias_std"),
                                    expected.at("kernel") == "ntk" ? InfiniteKernel::ntk : InfiniteKernel::nngp);
            options.depths = {expected.at("depth").get<Index>()};
            options.spectrum = true;
            const DepthResult result = depth_limit(backend, train, &test, options);
            SCOPED_TRACE(device + " " + options.family.dual.name() + " " + expected.at("kernel").get<std::string>() + " depth " +
                         std::to_string(options.depths[0]));
            const DepthPoint& point = result.points.at(0);
            EXPECT_EQ(result.equal_norms, equal_norms);
            EXPECT_NEAR(point.log10_max_one_minus_k, number(expected.at("log10_max_one_minus_k")), 2e-13);
            EXPECT_NEAR(point.log10_lambda_min, number(expected.at("log10_lambda_min")), 1e-11);
            EXPECT_NEAR(point.log_determinant, number(expected.at("log_determinant")), 1e-10);
            const HostMatrix<double>& u = result.weights.at(0);
            double largest = 0, error = 0;
            for (Index t = 0; t < u.rows(); ++t)
                for (Index i = 0; i < u.cols(); ++i) {
                    const double reference = number(expected.at("u")[static_cast<std::size_t>(t)][static_cast<std::size_t>(i)]);
                    largest = std::max(largest, std::fabs(reference));
                    error = std::max(error, std::fabs(u(t, i) - reference));
                }
            const bool ordered = expected.at("bias_std") != 0 && expected.at("weight_std") <= 1;
            EXPECT_LT(error, (ordered ? 1e-12 : 1e-10) * largest);
        }
}

TEST(DepthLimit, EqualsFourHundredDigits) { expect_four_hundred_digits("depth_limit.json", true); }

TEST(DepthLimit, EqualsFourHundredDigitsOnUnequalNorms) { expect_four_hundred_digits("depth_limit_unequal.json", false); }

/// The first samples of the golden study of unequal norms.
Dataset unequal(const char* name) {
    return dataset(json::parse(std::ifstream(std::string(paths::golden) + "/depth_limit_unequal.json")).at(name));
}

TEST(DepthLimit, UnequalNormsGoOnWhereOneMinusKUnderflows) {
    const auto backend = make_backend<double>("cpu");
    const Dataset train = unequal("train"), test = unequal("test");
    DepthOptions options;
    options.depths = {100, 1000, 100000};
    options.off_diagonal_limit = 1;
    options.weight_limit = WeightLimit::kriging;
    for (const auto& f : {family("relu", 1, 0.5, InfiniteKernel::ntk), family("relu", 1, 0.5, InfiniteKernel::nngp)}) {
        options.family = f;
        const DepthResult result = depth_limit(backend, train, &test, options);
        EXPECT_EQ(result.weight_limit, WeightLimit::kriging);
        EXPECT_LT(result.points[1].u_dist_limit, 1e-12);
        EXPECT_LT(result.points[2].u_dist_limit, 1e-12);
        EXPECT_TRUE(result.points[2].still);
        EXPECT_NEAR(result.points[2].log10_max_one_minus_k - result.points[1].log10_max_one_minus_k,
                    99000 * (f.kernel == InfiniteKernel::ntk ? 0.5 : 1) * std::log10(0.5), 1e-8);
    }
}

TEST(DepthLimit, UnequalNormsComeToRestWhereTheKernelTendsToTheIdentity) {
    const auto backend = make_backend<double>("cpu");
    const Dataset train = unequal("train"), test = unequal("test");
    DepthOptions options;
    options.family = family("erf", 1.5, 0.3, InfiniteKernel::ntk);
    options.depths = {3, 1000000, 2000000};
    const DepthResult result = depth_limit(backend, train, &test, options);
    EXPECT_FALSE(result.points[0].still);
    EXPECT_TRUE(result.points[1].still);
    EXPECT_TRUE(result.points[2].still);
    EXPECT_LT(result.points[2].dist_identity_max, 1e-300);
}

TEST(DepthLimit, UnequalNormsStopsChangeNoBit) {
    const auto backend = make_backend<double>("cpu");
    const Dataset train = unequal("train"), test = unequal("test");
    for (const double weight_std : {0.03, 1.0, 1.4}) {  // 1 - rho falls by 1e-60 between looks, the linear regime begins, it does not
        DepthOptions options, stopping;
        options.family = stopping.family = family("relu", weight_std, 0.5, InfiniteKernel::ntk);
        options.depths = {500};
        stopping.depths = {1, 2, 17, 20, 255, 256, 300, 499, 500};
        const DepthPoint a = depth_limit(backend, train, &test, options).points.back(),
                         b = depth_limit(backend, train, &test, stopping).points.back();
        EXPECT_EQ(a.log10_max_one_minus_k, b.log10_max_one_minus_k);
        EXPECT_EQ(a.dist_ones, b.dist_ones);
        EXPECT_EQ(a.offdiag_mean, b.offdiag_mean);
    }
}

TEST(DepthLimit, EstimatesOnlyWhatRunsByBruteForce) {
    const auto backend = make_backend<double>("cpu");
    const Dataset train = unequal("train"), test = unequal("test");
    DepthOptions options;
    options.depths = {1, 1000};
    EXPECT_EQ(depth_estimate(backend, options, train.x, test.x).pair_layers, 0);  // the norms cancel
    const double by_angle = depth_memory(options, train.x, test.x).device;
    options.family.bias_std = 0.3;
    const DepthEstimate estimate = depth_estimate(backend, options, train.x, test.x);
    EXPECT_EQ(estimate.pair_layers, (7 * 8 / 2 + 2 * 7) * 1000.0);
    EXPECT_GT(estimate.seconds, 0);
    EXPECT_GE(depth_memory(options, train.x, test.x).device, by_angle + 64 * (7 * 8 / 2 + 2 * 7));
}

TEST(DepthLimit, TellsTheLimitOfTheWeights) {
    const auto golden = json::parse(std::ifstream(std::string(paths::golden) + "/depth_limit.json"));
    const Dataset train = dataset(golden.at("train")), test = dataset(golden.at("test"));
    const auto backend = make_backend<double>("cpu");
    DepthOptions options;
    options.depths = {10, 1000, 100000};
    options.off_diagonal_limit = 0.25;
    options.weight_limit = WeightLimit::constant;
    const DepthResult critical = depth_limit(backend, train, &test, options);  // K -> 1/4 like (3/8) ln L / L
    EXPECT_LT(critical.points[2].dist_limit_max, 1e-4);
    EXPECT_GT(critical.points[2].dist_limit_max, 1e-5);
    EXPECT_LT(critical.points[2].u_dist_limit, 1e-3);
    EXPECT_NEAR(critical.points[2].u_sum, 7.0 / 10, 1e-3);

    options.family = family("relu", 1, 0.5, InfiniteKernel::ntk);
    options.off_diagonal_limit = 1;
    options.weight_limit = WeightLimit::kriging;
    const DepthResult ordered = depth_limit(backend, train, &test, options);
    EXPECT_EQ(ordered.weight_limit, WeightLimit::kriging);
    EXPECT_GT(ordered.points[0].u_dist_limit, 1e-3);
    EXPECT_LT(ordered.points[1].u_dist_limit, 1e-12);
    EXPECT_LT(ordered.points[2].u_dist_limit, 1e-12);
    EXPECT_TRUE(ordered.points[2].still);
    EXPECT_NEAR(ordered.points[2].log10_max_one_minus_k - ordered.points[1].log10_max_one_minus_k, 99000 * 0.5 * std::log10(0.5), 1e-8);
}

TEST(DepthLimit, RefusesWhatHasNoAnswer) {
    const auto backend = make_backend<double>("cpu");
    const auto code_and_message = [&](Dataset train, DepthOptions options) {
        options.depths = options.depths.empty() ? std::vector<Index>{2} : options.depths;
        try {
            (void)depth_limit(backend, train, nullptr, options);
        } catch (const Error& e) {
            return std::pair{e.code(), std::string(e.what())};
        }
        return std::pair{ErrorCode::io, std::string("no error")};
    };
    const Dataset equal = dataset(json{{1, 0}, {0, 1}, {0.6, 0.8}, {0, 1}});
    const auto [singular, pair] = code_and_message(equal, {});
    EXPECT_EQ(singular, ErrorCode::not_positive_definite);
    EXPECT_NE(pair.find("samples 2 and 4"), std::string::npos) << pair;
    const auto [zero, which] = code_and_message(dataset(json{{1, 0}, {0, 0}}), {});
    EXPECT_EQ(zero, ErrorCode::invalid_argument);
    EXPECT_NE(which.find("sample 2"), std::string::npos) << which;
    DepthOptions biased;
    biased.family.bias_std = 0.3;
    const auto [same, both] = code_and_message(dataset(json{{1, 0}, {0, 2}, {3, 0}, {0, 2}}), biased);
    EXPECT_EQ(same, ErrorCode::not_positive_definite);
    EXPECT_NE(both.find("samples 2 and 4"), std::string::npos) << both;
    biased.family.dual = parse_dual_activation("hermite:0.1,0.6,0.3");
    const auto [refused, why] = code_and_message(dataset(json{{1, 0}, {0, 2}}), biased);
    EXPECT_EQ(refused, ErrorCode::invalid_argument);
    EXPECT_NE(why.find("unequal norms"), std::string::npos) << why;
    DepthOptions unordered;
    unordered.depths = {5, 2};
    EXPECT_EQ(code_and_message(dataset(json{{1, 0}, {0, 1}}), unordered).first, ErrorCode::invalid_argument);
}

TEST(DepthLimit, OppositePointsAreSingularOnlyForAnOddNetwork) {
    const auto backend = make_backend<double>("cpu");
    const Dataset train = dataset(json{{1, 0}, {-1, 0}, {0.6, 0.8}});
    DepthOptions options;
    options.depths = {1, 4};
    const DepthResult relu = depth_limit(backend, train, nullptr, options);
    EXPECT_FALSE(relu.points[0].closed_form_note.empty());  // a linear model
    EXPECT_TRUE(relu.points[1].closed_form_note.empty());
    EXPECT_TRUE(std::isfinite(relu.points[1].log10_lambda_min));
    options.family = family("erf", 1, 0, InfiniteKernel::ntk);
    const DepthResult odd = depth_limit(backend, train, nullptr, options);
    EXPECT_FALSE(odd.points[1].closed_form_note.empty());
    EXPECT_NEAR(odd.points[1].offdiag_min, -1, 1e-15);
}

TEST(PairShare, DealsEveryRowOnceAndAboutAsManyPairs) {
    for (const Index samples : {1, 40, 1000, 5000})
        for (const Index tests : {0, 30, 1000})
            for (const int ranks : {1, 2, 3, 6}) {
                Index row = 0, test = 0;
                double most = 0;
                for (int rank = 0; rank < ranks; ++rank) {
                    const PairShare share = pair_share(samples, tests, ranks, rank);
                    EXPECT_EQ(share.first, row);
                    EXPECT_EQ(share.first_test, test);
                    row += share.rows;
                    test += share.tests;
                    most = std::max(most, static_cast<double>(share.rows * (2 * share.first + share.rows)));
                }
                EXPECT_EQ(row, samples);
                EXPECT_EQ(test, tests);
                if (samples >= 5000) EXPECT_LT(most, 1.1 * static_cast<double>(samples * samples) / ranks);
            }
}

/// A store in memory that gives up after some records.
class Records final : public DepthStore {
public:
    explicit Records(std::size_t most = 1000) : most_(most) {}
    std::optional<DepthRecord> load(Index depth) override {
        const auto at = records_.find(depth);
        return at == records_.end() ? std::nullopt : std::optional(at->second);
    }
    void save(const DepthRecord& record) override {
        if (records_.size() == most_) throw Error(ErrorCode::io, "no room");
        records_[record.point.depth] = record;
    }
    void allow(std::size_t most) { most_ = most; }
    [[nodiscard]] std::size_t size() const { return records_.size(); }

private:
    std::map<Index, DepthRecord> records_;
    std::size_t most_;
};

/// Every bit of a result but whether it was found.
std::vector<std::byte> bits(const DepthResult& result) {
    ByteWriter writer;
    for (std::size_t i = 0; i < result.points.size(); ++i) {
        const DepthPoint& point = result.points[i];
        writer(DepthRecord{point, result.weights[i]}, point.u_sum, point.u_dist_limit, point.u_dist_limit_max);
    }
    writer(result.weight_limit, result.limit_score, result.table_nodes, result.traced_train, result.traced_test, result.traced_limit);
    return writer.bytes();
}

struct StudyCase {
    std::string activation;
    double weight_std, bias_std;
    InfiniteKernel kernel;
    bool equal_norms;
    DepthOptions options(bool spectrum) const {
        DepthOptions result;
        result.family = family(activation, weight_std, bias_std, kernel);
        result.depths = {1, 2, 5, 30, 260, 300, 310};
        result.spectrum = spectrum;
        if (weight_std == 1) {
            result.off_diagonal_limit = 1;
            result.weight_limit = WeightLimit::kriging;
        }
        return result;
    }
};

/// Enough samples for every rank to have pairs of unequal norms.
Dataset normals(Index samples, bool equal_norms, std::uint32_t which) {
    Dataset data;
    data.x = testing::random_matrix(samples, 4, which);
    data.y = testing::random_matrix(samples, 2, which + 10);
    if (equal_norms) normalize(Normalization::sphere, data);
    return data;
}

TEST(DepthLimit, SeveralRanksHaveTheBitsOfOne) {
    for (const StudyCase& c :
         {StudyCase{"relu", 1, 0.5, InfiniteKernel::ntk, true}, StudyCase{"relu", std::numbers::sqrt2, 0, InfiniteKernel::ntk, true},
          StudyCase{"relu", 1, 0.5, InfiniteKernel::ntk, false}, StudyCase{"erf", 1.5, 0.3, InfiniteKernel::nngp, false},
          StudyCase{"relu", 1.4, 0.5, InfiniteKernel::ntk, false}}) {
        const Dataset train = normals(210, c.equal_norms, 1), test = normals(110, c.equal_norms, 2);
        const DepthOptions options = c.options(c.equal_norms);
        const DepthResult one = depth_limit(make_backend<double>("cpu", 1), train, &test, options);
        EXPECT_EQ(one.equal_norms, c.equal_norms);
        for (const int size : {2, 3, 5})
            testing::on_ranks(size, [&](Ranks& ranks) {
                const DepthResult all = depth_limit(make_backend<double>("cpu", 1), train, &test, options, {}, nullptr, ranks);
                EXPECT_EQ(all.equal_norms, one.equal_norms);
                if (ranks.root()) {
                    EXPECT_TRUE(bits(all) == bits(one)) << c.activation << c.weight_std << " on " << size;
                } else {
                    EXPECT_TRUE(all.points.empty());
                }
            });
    }
}

TEST(DepthLimit, GoesOnOnOtherRanks) {
    const Dataset train = normals(60, true, 1), test = normals(9, true, 2);
    const DepthOptions options = StudyCase{"relu", 1, 0.5, InfiniteKernel::ntk, true}.options(false);
    const DepthResult whole = depth_limit(make_backend<double>("cpu", 1), train, &test, options);
    for (const std::size_t kept : {1, 4, 6}) {
        Records store(kept);
        const auto study = [&](int size, DepthResult& result) {
            testing::on_ranks(size, [&](Ranks& ranks) {
                DepthResult mine =
                    depth_limit(make_backend<double>("cpu", 1), train, &test, options, {}, ranks.root() ? &store : nullptr, ranks);
                if (ranks.root()) result = std::move(mine);
            });
        };
        DepthResult resumed;
        testing::expect_error(ErrorCode::io, "no room", [&] { study(3, resumed); });
        EXPECT_EQ(store.size(), kept);
        store.allow(1000);
        study(2, resumed);
        EXPECT_EQ(resumed.found, static_cast<Index>(kept));
        EXPECT_TRUE(bits(resumed) == bits(whole)) << kept;
    }
}

}  // namespace
}  // namespace ntk

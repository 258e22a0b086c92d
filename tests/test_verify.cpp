#include "support/devices.hpp"
#include "support/golden.hpp"
#include "support/program.hpp"

#include <ntkcuda/verify.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <set>

namespace ntk {
namespace {

using namespace testing;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using Measure = VerifyCheck::Measure;

VerifyReport verified(const VerifyExpected& expected = verify_constants(), Index networks = 4000, int threads = 2) {
    return verify({.device = "cpu", .threads = threads, .networks = networks}, expected);
}

/// The groups, up to their comma, in which a check failed.
std::set<std::string> failed_groups(const VerifyReport& report) {
    std::set<std::string> groups;
    for (const VerifyCheck& check : report.checks)
        if (!check.passed) groups.insert(check.group.substr(0, check.group.find(',')));
    return groups;
}

std::vector<std::string> failed_checks(const VerifyReport& report) {
    std::vector<std::string> names;
    for (const VerifyCheck& check : report.checks)
        if (!check.passed) names.push_back(check.what);
    return names;
}

TEST(Verify, HoldsOnTheCpu) {
    const VerifyReport report = verified(verify_constants(), 50000);
    EXPECT_TRUE(report.passed()) << failed_checks(report).front();
    std::set<std::string> groups;
    for (const VerifyCheck& check : report.checks) {
        groups.insert(check.group);
        EXPECT_FALSE(check.what.empty());
        EXPECT_GE(check.measured, 0) << check.what;
        EXPECT_GE(check.seconds, 0);
        if (check.group.starts_with("infinite width")) {
            EXPECT_EQ(check.bound, 1e-15) << check.what;
        }
        // The two CPU backends are the same device: nothing else may be claimed.
        EXPECT_EQ(check.group.find("against the CPU"), std::string::npos);
    }
    EXPECT_EQ(groups.size(), 7U);
    EXPECT_TRUE(groups.contains("CPU on 2 threads against 1, bit by bit (no other device is checked)"));
}

// Threads change no bit of what is drawn, and so no z-score.
TEST(Verify, IsTheSameOnAnyNumberOfThreads) {
    const VerifyReport one = verified(verify_constants(), 4000, 1), two = verified();
    ASSERT_EQ(one.checks.size(), two.checks.size());
    Index z_scores = 0;
    for (std::size_t i = 0; i < one.checks.size(); ++i) {
        EXPECT_EQ(one.checks[i].what, two.checks[i].what);
        if (two.checks[i].measure != Measure::z) continue;
        ++z_scores;
        EXPECT_EQ(one.checks[i].measured, two.checks[i].measured);
        EXPECT_EQ(one.checks[i].bound, two.checks[i].bound);
    }
    EXPECT_GE(z_scores, 12);
    EXPECT_NE(verify({.device = "cpu", .threads = 2, .seed = 2, .networks = 4000}).checks.back().measured, two.checks.back().measured);
}

TEST(Verify, ReportsEveryCheckAsItIsMade) {
    std::vector<std::string> names;
    const VerifyReport report = verify({.device = "cpu", .threads = 2, .networks = 4000}, verify_constants(),
                                       [&](const VerifyCheck& check) { names.push_back(check.what); });
    ASSERT_EQ(names.size(), report.checks.size());
    for (std::size_t i = 0; i < names.size(); ++i) EXPECT_EQ(names[i], report.checks[i].what);
}

// --- planted mistakes: each is caught by the check that is about it, and by no other -----------------------------------------------------

TEST(VerifyPlanted, AnotherHash) {
    VerifyExpected expected = verify_constants();
    expected.normals_hash ^= 1;
    const VerifyReport report = verified(expected);
    EXPECT_EQ(failed_checks(report),
              (std::vector<std::string>{"hash of 10^6 normals, host", "hash of 10^6 normals, float64", "hash of 10^6 normals, float32"}));
    EXPECT_FALSE(report.passed());
}

// The 15th digit of one entry.
TEST(VerifyPlanted, AWrongDigitOfALimit) {
    for (const std::size_t which : {0U, 3U, 7U}) {
        VerifyExpected expected = verify_constants();
        expected.limits[which].lower[2] *= 1 + 3e-15L;
        const VerifyReport report = verified(expected);
        EXPECT_EQ(failed_checks(report).size(), 1U);
        EXPECT_EQ(failed_groups(report), std::set<std::string>{"infinite width"});
    }
}

TEST(VerifyPlanted, WrongDigitsAtDepth) {
    VerifyExpected expected = verify_constants();
    for (auto& pair : expected.pairs) pair.below_one *= 1 + 2e-13L;
    for (auto& study : expected.closed_forms) {
        study.points[1].weights[0] += 2e-12L;
        study.points[2].log10_max_one_minus_k += 1e-12L;
    }
    const VerifyReport report = verified(expected);
    EXPECT_EQ(failed_checks(report).size(), expected.pairs.size() + 4);
    EXPECT_EQ(failed_groups(report), std::set<std::string>{"depth"});
}

/// diagonal_moments() with another number in place of the 5 of its recursion, by the formulas as they stand in exact_moments.hpp.
DiagonalMoments moments_with(double five, const Architecture& architecture) {
    double a = 1, b = 1, c = 0, e = 1, f = 0;
    for (const Index width : architecture.hidden) {
        const auto n = static_cast<double>(width);
        const double a_next = a * (1 + five / n), b_grown = b * (1 + 1 / n) + 4 * c / n, c_next = 2 * b / n + c * (1 + 3 / n);
        const double e_next = a_next + 2 * b_grown + e * (1 + 1 / n) + 4 * f / n;
        f = 2 * e / n + f * (1 + 3 / n);
        e = e_next;
        a = a_next;
        b = a_next + b_grown;
        c = c_next;
    }
    const double squared_mean = std::pow(static_cast<double>(architecture.depth()), 2);
    return {e / squared_mean - 1, f / squared_mean};
}

TEST(VerifyPlanted, AWrongConstantOfTheSecondMoments) {
    VerifyExpected expected = verify_constants();
    expected.second_moments = [](const Architecture& a) { return moments_with(5, a); };
    EXPECT_TRUE(verified(expected, 200000).passed());
    expected.second_moments = [](const Architecture& a) { return moments_with(4, a); };
    const VerifyReport report = verified(expected, 200000);
    EXPECT_EQ(failed_groups(report), std::set<std::string>{"exact moments"});
    // By the recorded ratios, and by the random networks of both samplers.
    std::set<std::string> samplers;
    Index ratios = 0;
    for (const VerifyCheck& check : report.checks) {
        if (check.passed) continue;
        if (check.measure != Measure::z)
            ++ratios;
        else
            samplers.insert(check.what.find("weights") != std::string::npos ? "weights" : "conditional");
    }
    EXPECT_EQ(ratios, std::ssize(expected.moments));
    EXPECT_EQ(samplers.size(), 2U);
}

TEST(VerifyPlanted, NotANumber) {
    VerifyExpected expected = verify_constants();
    expected.limits[0].lower[1] = std::numeric_limits<long double>::quiet_NaN();
    expected.closed_forms[0].points[0].weights[1] = std::numeric_limits<long double>::quiet_NaN();
    EXPECT_EQ(failed_checks(verified(expected)).size(), 2U);
}

// A failure within a check is a check that failed, with its message; the others go on.
TEST(VerifyPlanted, AnErrorFailsItsCheckAlone) {
    VerifyExpected expected = verify_constants();
    expected.pairs[1].weight_std = -1;
    expected.closed_forms[0].test(0, 0) = std::numeric_limits<double>::infinity();
    const VerifyReport report = verified(expected);
    EXPECT_EQ(failed_checks(report).size(), 1 + expected.closed_forms[0].points.size());
    for (const VerifyCheck& check : report.checks)
        if (!check.passed) {
            EXPECT_FALSE(check.note.empty()) << check.what;
        }
    EXPECT_EQ(report.checks.size(), verified().checks.size());
}

TEST(Verify, RefusesWhatItCannotDo) {
    expect_error(ErrorCode::invalid_argument, {"3999 networks", "4000"}, [] { (void)verify({.device = "cpu", .networks = 3999}); });
    expect_error(ErrorCode::device_unavailable, {"cuda:99"}, [] { (void)verify({.device = "cuda:99"}); });
    EXPECT_FALSE(VerifyReport{}.passed());
}

// --- the recorded numbers are those of the script
// -----------------------------------------------------------------------------------------

long double number(const json& text) { return std::strtold(text.get<std::string>().c_str(), nullptr); }

std::vector<long double> numbers(const json& list) {
    std::vector<long double> values;
    for (const json& value : list) {
        if (value.is_array())
            for (const long double v : numbers(value)) values.push_back(v);
        else
            values.push_back(number(value));
    }
    return values;
}

void expect_rows(const HostMatrix<double>& got, const json& rows) {
    ASSERT_EQ(got.rows(), std::ssize(rows));
    for (Index i = 0; i < got.rows(); ++i)
        for (Index j = 0; j < got.cols(); ++j) EXPECT_EQ(got(i, j), rows[i][j].get<double>());
}

TEST(VerifyConstants, AreThoseOfTheGoldenFile) {
    const json golden = testing::golden("verify.json");
    const VerifyExpected expected = verify_constants();
    expect_rows(expected.limit_inputs, golden["limits"]["inputs"]);
    ASSERT_EQ(expected.limits.size(), golden["limits"]["cases"].size());
    for (std::size_t i = 0; i < expected.limits.size(); ++i) {
        const auto& got = expected.limits[i];
        const json& c = golden["limits"]["cases"][i];
        EXPECT_EQ(to_string(got.architecture.activation), c["activation"]);
        EXPECT_EQ(got.architecture.weight_std, c["weight_std"].get<double>());
        EXPECT_EQ(got.architecture.bias_std, c["bias_std"].get<double>());
        EXPECT_EQ(got.architecture.depth(), c["depth"].get<Index>());
        EXPECT_EQ(got.architecture.hidden.front(), golden["limits"]["width"].get<Index>());
        EXPECT_EQ(got.architecture.parametrization == Parametrization::ntk, c["parametrization"] == "ntk");
        EXPECT_EQ(got.kernel == InfiniteKernel::ntk, c["kernel"] == "ntk");
        EXPECT_EQ(got.lower, numbers(c["lower"]));
    }
    expect_rows(expected.pair_inputs, golden["pairs"]["inputs"]);
    ASSERT_EQ(expected.pairs.size(), golden["pairs"]["cases"].size());
    for (std::size_t i = 0; i < expected.pairs.size(); ++i) {
        const auto& got = expected.pairs[i];
        const json& c = golden["pairs"]["cases"][i];
        EXPECT_EQ(to_string(got.activation), c["activation"]);
        EXPECT_EQ(got.weight_std, c["weight_std"].get<double>());
        EXPECT_EQ(got.bias_std, c["bias_std"].get<double>());
        EXPECT_EQ(got.depth, c["depth"].get<Index>());
        EXPECT_EQ(got.kernel, number(c["kernel"]));
        EXPECT_EQ(got.below_one, number(c["below_one"]));
    }
    const json& closed = golden["closed_forms"];
    ASSERT_EQ(expected.closed_forms.size(), closed["studies"].size());
    for (std::size_t i = 0; i < expected.closed_forms.size(); ++i) {
        const auto& got = expected.closed_forms[i];
        const json& c = closed["studies"][i];
        EXPECT_EQ(got.samples == "equal norms", c["equal_norms"].get<bool>());
        EXPECT_EQ(got.weight_std, closed["weight_std"].get<double>());
        EXPECT_EQ(got.bias_std, closed["bias_std"].get<double>());
        expect_rows(got.train, c["train"]);
        expect_rows(got.test, c["test"]);
        ASSERT_EQ(got.points.size(), c["points"].size());
        for (std::size_t p = 0; p < got.points.size(); ++p) {
            EXPECT_EQ(got.points[p].depth, c["points"][p]["depth"].get<Index>());
            EXPECT_EQ(got.points[p].log10_max_one_minus_k, number(c["points"][p]["log10_max_one_minus_k"]));
            EXPECT_EQ(got.points[p].weights, numbers(c["points"][p]["u"]));
        }
    }
    ASSERT_EQ(expected.moments.size(), golden["moments"].size());
    for (std::size_t i = 0; i < expected.moments.size(); ++i) {
        EXPECT_EQ(expected.moments[i].hidden, golden["moments"][i]["hidden"].get<std::vector<Index>>());
        EXPECT_EQ(expected.moments[i].ratio, number(golden["moments"][i]["ratio"]));
    }
    // The published figures: divided there by the weight variance.
    EXPECT_NEAR(static_cast<double>(expected.limits[0].lower[0]) / 2, 2.6765104, 5e-8);
    EXPECT_NEAR(static_cast<double>(expected.limits[0].lower[1]) / 2, 0.9988650, 5e-8);
}

// --- the command
// --------------------------------------------------------------------------------------------------------------------------

TEST(VerifyCommand, PrintsDigitsAndWritesWhatItFound) {
    const TemporaryFolder folder;
    const Outcome outcome = run_program(folder, "verify --device cpu --threads 2 --networks 4000 --out found");
    ASSERT_EQ(outcome.code, 0) << outcome.out << outcome.err;
    for (const char* part : {"222f7db63606019e", "digits  >= 15.0", "|z|", "no other device is checked", "checks on cpu hold"})
        EXPECT_THAT(outcome.out, HasSubstr(part));
    EXPECT_THAT(outcome.err, MatchesRegex("(checks, [0-9]+ s so far\n)*"));  // on a slow machine
    const json record = json::parse(read_bytes(folder.path("found/run.json")));
    EXPECT_EQ(record["command"], "verify");
    EXPECT_EQ(record["parameters"]["seed"], 1);
    EXPECT_EQ(record["parameters"]["networks"], 4000);
    EXPECT_EQ(record["results"]["passed"], true);
    EXPECT_EQ(record["results"]["failed"], 0);
    const json& checks = record["results"]["checks"];
    EXPECT_GT(checks.size(), 60U);
    for (const json& check : checks) EXPECT_LE(check["measured"].get<double>(), check["bound"].get<double>()) << check;
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path("found")), {}), 2);
    EXPECT_THAT(read_bytes(folder.path("found/report.html")), HasSubstr("<td>ok</td>"));

    const Outcome as_json = run_program(folder, "verify --json --device cpu --threads 2 --networks 4000 --seed 7");
    ASSERT_EQ(as_json.code, 0) << as_json.err;
    const json printed = json::parse(as_json.out);
    EXPECT_EQ(printed["parameters"]["seed"], 7);
    EXPECT_EQ(printed["results"]["checks"].size(), checks.size());
}

TEST(VerifyCommand, ExitsByTheContract) {
    const TemporaryFolder folder;
    const Outcome absent = run_program(folder, "verify --device cuda:99 --out found");
    EXPECT_EQ(absent.code, 4);
    EXPECT_THAT(absent.err, HasSubstr("cuda:99"));
    EXPECT_FALSE(std::filesystem::exists(folder.path("found/run.json")));
    EXPECT_EQ(run_program(folder, "verify --device cpu --memory 0.001").code, 4);
    EXPECT_EQ(run_program(folder, "verify --device tpu").code, 2);
    EXPECT_EQ(run_program(folder, "verify --networks 10 --device cpu").code, 2);
    EXPECT_EQ(run_program(folder, "verify --precision fp32").code, 2);
    folder.file("taken", "");
    EXPECT_EQ(run_program(folder, "verify --device cpu --out taken").code, 2);
}

}  // namespace
}  // namespace ntk

#include "support/process.hpp"

#include <ntkcuda/array_file.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <filesystem>
#include <thread>

namespace ntk {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string law = "ensemble --data sphere:n=3,d=4,seed=1 --depth 3 --width 20 --device cpu ";
const std::vector<std::string> results{"mean.npy",     "stderr.npy", "variance.npy",   "skewness.npy",  "kurtosis.npy",
                                       "ensemble.csv", "theory.csv", "covariance.csv", "quantiles.csv", "histogram.csv"};

void expect_same_files(const TemporaryFolder& folder, const std::string& a, const std::string& b) {
    for (const auto& file : results) EXPECT_EQ(read_bytes(folder.path(a + "/" + file)), read_bytes(folder.path(b + "/" + file))) << file;
}

nlohmann::json run_json(const TemporaryFolder& folder, const std::string& out) {
    return nlohmann::json::parse(read_bytes(folder.path(out + "/run.json")));
}

TEST(EnsembleCommand, WritesTheMomentsBesideExactTheory) {
    const TemporaryFolder folder;
    const Outcome outcome = run_program(folder, law + "--networks 20000 --outputs 2 --block full --per-layer --out out");
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("consistent"), Not(HasSubstr("NOT CONSISTENT")),
                                   HasSubstr("variance of theta[0,0] over its squared mean")));
    EXPECT_EQ(read_npy(folder.path("out/mean.npy")).shape, (std::vector<Index>{6, 6}));
    EXPECT_EQ(read_npy(folder.path("out/nngp_mean.npy")).shape, (std::vector<Index>{3, 3}));
    EXPECT_EQ(read_npy(folder.path("out/layers_variance.npy")).shape, (std::vector<Index>{3, 6, 6}));
    // The layers' terms add up to Theta, network by network.
    const auto mean = read_npy(folder.path("out/mean.npy")).values, layers = read_npy(folder.path("out/layers_mean.npy")).values;
    for (std::size_t i = 0; i < mean.size(); ++i) EXPECT_NEAR(layers[i] + layers[36 + i] + layers[72 + i], mean[i], 1e-12 * mean[0]);
    EXPECT_THAT(read_bytes(folder.path("out/theory.csv")), HasSubstr("\"E theta[0,0] theta[1,1]\""));
    const auto told = run_json(folder, "out").at("results").at("ensembles").at(0);
    EXPECT_TRUE(told.at("verdict").at("consistent"));
    // Two hidden layers of 20: 1/20 + 1/20; (11/3) lambda to first order, larger beyond.
    const auto variance = told.at("diagonal_variance");
    EXPECT_DOUBLE_EQ(variance.at("depth_over_width"), 0.1);
    EXPECT_GT(variance.at("depth_width_limit"), 0.1 * 11 / 3);
    EXPECT_NEAR(variance.at("measured"), variance.at("exact"), 5 * variance.at("stderr").get<double>());
    EXPECT_TRUE(std::filesystem::exists(folder.path("out/report.html")));
}

TEST(EnsembleCommand, MoreNetworksAreAddedAndNothingIsDrawnTwice) {
    const TemporaryFolder folder;
    ASSERT_EQ(run_program(folder, law + "--networks 9000 --out grown").code, 0);
    const Outcome grown = run_program(folder, law + "--networks 20000 --threads 1 --out grown");
    ASSERT_EQ(grown.code, 0) << grown.err;
    EXPECT_THAT(grown.out, HasSubstr("resumed   8192 of 20000 networks"));  // whole chunks of 4096
    ASSERT_EQ(run_program(folder, law + "--networks 20000 --out whole").code, 0);
    expect_same_files(folder, "grown", "whole");
    const Outcome fewer = run_program(folder, law + "--networks 100 --out whole");
    EXPECT_EQ(fewer.code, 2);
    EXPECT_THAT(fewer.err, HasSubstr("16384"));
}

TEST(EnsembleCommand, GoesOnAfterBeingKilled) {
    const TemporaryFolder folder;
    const std::string long_law = "ensemble --data sphere:n=3,d=4,seed=1 --depth 4 --width 60 --device cpu --quiet --networks 200000 --out ";
    ASSERT_EQ(run_program(folder, long_law + "whole").code, 0);
    const std::string saved = folder.path("killed/state/ensemble.npy");
    const auto kept = [&] { return std::filesystem::exists(saved) ? read_npy(saved).values.at(0) : 0; };  // networks
    for (int kill = 0; kill < 3; ++kill) {
        const double before = kept();
        RunningProgram program(folder, long_law + "killed");
        while (kept() <= before && program.running()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        program.kill();
    }
    // Something was kept, and it is not damaged.
    EXPECT_GT(kept(), 0);
    ASSERT_EQ(run_program(folder, long_law + "killed").code, 0);
    expect_same_files(folder, "killed", "whole");
}

TEST(EnsembleCommand, RefusesTheStateOfAnotherEnsemble) {
    const TemporaryFolder folder;
    ASSERT_EQ(run_program(folder, law + "--networks 5000 --out out").code, 0);
    const Outcome other = run_program(folder, law + "--networks 5000 --seed 2 --out out");
    EXPECT_EQ(other.code, 2);
    EXPECT_THAT(other.err, HasSubstr("'seed = 1', it is 'seed = 2'"));
    EXPECT_EQ(run_program(folder, law + "--networks 5000 --seed 2 --out out --force").code, 0);
    folder.file("out/state/ensemble.npy", "not an array");
    const Outcome damaged = run_program(folder, law + "--networks 5000 --seed 2 --out out");
    EXPECT_EQ(damaged.code, 2);
    EXPECT_THAT(damaged.err, HasSubstr("ensemble.npy"));
}

TEST(EnsembleCommand, SweepsOverWidthsWithTheFittedCoefficient) {
    const TemporaryFolder folder;
    const Outcome outcome = run_program(
        folder,
        "ensemble --data sphere:n=2,d=3,seed=2 --depth 2 --widths 10,20,40 --sampler conditional --networks 50000 --device cpu --out s");
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    for (const char* width : {"width-10", "width-20", "width-40"})
        EXPECT_EQ(read_npy(folder.path(std::string("s/") + width + "/mean.npy")).shape, (std::vector<Index>{2, 2}));
    EXPECT_EQ(run_json(folder, "s").at("results").at("ensembles").size(), 3U);
    // With one hidden layer the mean is the limit's at every width: coefficient 0.
    std::istringstream lines(read_bytes(folder.path("s/width.csv")));
    int entries = 0;
    std::string line;
    ASSERT_TRUE(std::getline(lines, line));
    EXPECT_EQ(line, "entry,limit,coefficient,stderr,chi_squared,freedom,terms");
    for (; std::getline(lines, line); ++entries) {
        std::istringstream cells(line.substr(line.rfind('"') + 2));
        double limit = 0, coefficient = 0, error = 0;
        char comma = 0;
        cells >> limit >> comma >> coefficient >> comma >> error;
        EXPECT_GT(error, 0);
        EXPECT_LT(std::abs(coefficient), 4.5 * error) << line;
    }
    EXPECT_EQ(entries, 6);
}

TEST(EnsembleCommand, RunsAgainFromItsOwnRecord) {
    const TemporaryFolder folder;
    ASSERT_EQ(
        run_program(folder, law + "--networks 5000 --entries 'theta[2,1],nngp[1,0]' --covariances 'theta[0,0]*nngp[0,0]' --out out").code,
        0);
    const Outcome again = run_program(folder, "ensemble --config out/run.json --out again");
    ASSERT_EQ(again.code, 0) << again.err;
    expect_same_files(folder, "again", "out");
    EXPECT_THAT(read_bytes(folder.path("out/quantiles.csv")), AllOf(HasSubstr("\"theta[2,1]\",0.5,"), HasSubstr("\"nngp[1,0]\",0.5,")));
    EXPECT_THAT(read_bytes(folder.path("out/covariance.csv")), HasSubstr("\"theta[0,0]\",\"nngp[0,0]\","));
}

TEST(EnsembleCommand, SaysWhereTailsAreTooHeavy) {
    const TemporaryFolder folder;
    const Outcome outcome =
        run_program(folder, "ensemble --data sphere:n=1,d=2,seed=1 --depth 9 --width 8 --networks 5000 --device cpu --out out");
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.err + outcome.out, HasSubstr("tails are too heavy"));
    EXPECT_TRUE(run_json(folder, "out").at("results").at("ensembles").at(0).at("diagonal_variance").at("heavy_tail"));
}

struct BadInput {
    std::string arguments, part;
};

TEST(EnsembleCommand, BadInputIsNamedAndLeavesNothing) {
    const BadInput cases[] = {{"--sampler gibbs --out out", "--sampler 'gibbs'"},
                              {"--block half --out out", "half"},
                              {"--networks 1 --out out", "not 1"},
                              {"--entries 'theta[3,0]' --out out", "theta[3,0] is not in this kernel, which is 3 x 3"},
                              {"--entries 'theta[0;0]' --out out", "'theta[0;0]' is not an entry"},
                              {"--entries 'theta[0,0].layer1' --out out", "per_layer"},
                              {"--covariances 'theta[0,0]' --out out", "expected ENTRY*ENTRY"},
                              {"--widths 8,16 --out out", "--widths"},
                              {"", "--out"}};
    for (const auto& [arguments, part] : cases) {
        const TemporaryFolder folder;
        const Outcome outcome = run_program(folder, law + arguments);
        EXPECT_EQ(outcome.code, 2) << arguments;
        EXPECT_THAT(outcome.err, HasSubstr(part)) << arguments;
        EXPECT_FALSE(std::filesystem::exists(folder.path("out/ensemble.csv")));
    }
}

}  // namespace
}  // namespace ntk

// ntkcuda-mpi on more ranks than this machine has cores gives what ntkcuda gives.

#include "support/process.hpp"
#include "support/rates.hpp"
#include "support/samples.hpp"
#include "support/tolerance.hpp"

#include <ntkcuda/array_file.hpp>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <sstream>
#include <thread>

namespace ntk {
namespace {

using namespace testing;
using ::testing::HasSubstr;

/// For every mpirun of this process; the list of CMakeLists.txt, with a name and a value each.
bool set_environment() {
    std::istringstream list(NTKCUDA_MPI_ENVIRONMENT);
    for (std::string setting; list >> setting;) {
        const auto equals = setting.find('=');
        setenv(setting.substr(0, equals).c_str(), setting.substr(equals + 1).c_str(), 1);
    }
    return true;
}
const bool environment_is_set = set_environment();

std::string on_ranks(int ranks, const std::string& arguments) {
    return fmt::format("{} -np {} {} {}", NTKCUDA_MPIRUN, ranks, NTKCUDA_MPI_PROGRAM, arguments);
}

Outcome run_ranks(const TemporaryFolder& folder, int ranks, const std::string& arguments) {
    const std::string command = fmt::format("cd '{0}' && {1} >.out 2>.err", folder.path(""), on_ranks(ranks, arguments));
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_bytes(folder.path(".out")), read_bytes(folder.path(".err"))};
}

/// How often a program of ours has spoken of a failure.
int messages(const std::string& text) {
    int count = 0;
    for (std::size_t at = text.find("ntkcuda: "); at != std::string::npos; at = text.find("ntkcuda: ", at + 1)) ++count;
    return count;
}

nlohmann::json record(const TemporaryFolder& folder, const std::string& name) {
    return nlohmann::json::parse(read_bytes(folder.path(name)));
}

/// Every entry within the rounding of sums of `terms` products as large as the largest entry: blocks of other sides sum in another order.
void expect_same_array(const TemporaryFolder& folder, const std::string& one, const std::string& all, Index terms, double epsilon) {
    const Array a = read_npy(folder.path(one)), b = read_npy(folder.path(all));
    ASSERT_EQ(a.shape, b.shape);
    ASSERT_EQ(read_bytes(folder.path(one)).size(), read_bytes(folder.path(all)).size());
    double largest = 0;
    for (const double value : a.values) largest = std::max(largest, std::fabs(value));
    for (std::size_t i = 0; i < a.values.size(); ++i)
        ASSERT_NEAR(a.values[i], b.values[i], std::sqrt(static_cast<double>(terms)) * epsilon * largest) << all << ": entry " << i;
}

constexpr double float64 = std::numeric_limits<double>::epsilon(), float32 = std::numeric_limits<float>::epsilon();

void expect_same_kernel(const std::string& arguments, const std::vector<int>& ranks, double epsilon = float64, bool layers = false) {
    const TemporaryFolder folder;
    const Outcome one = run_program(folder, "kernel " + arguments + " --quiet --out one.npy");
    ASSERT_EQ(one.code, 0) << one.err;
    for (const int size : ranks) {
        SCOPED_TRACE(fmt::format("{} on {} ranks", arguments, size));
        const Outcome all = run_ranks(folder, size, "kernel " + arguments + " --quiet --out all.npy");
        ASSERT_EQ(all.code, 0) << all.err;
        EXPECT_EQ(all.out, "");
        expect_same_array(folder, "one.npy", "all.npy", 100, epsilon);
        if (layers) expect_same_array(folder, "one.layers.npy", "all.layers.npy", 100, epsilon);
        const auto facts = record(folder, "all.run.json"), expected = record(folder, "one.run.json");
        EXPECT_NEAR(facts["results"]["frobenius"], expected["results"]["frobenius"],
                    100 * epsilon * expected["results"]["frobenius"].get<double>());
        EXPECT_EQ(facts["ranks"]["memory_peak"].size(), static_cast<std::size_t>(size));
        EXPECT_EQ(facts["results"]["rows"], expected["results"]["rows"]);
        EXPECT_EQ(facts["parameters"], expected["parameters"]);
    }
}

TEST(MpiProgram, KernelOnAnyNumberOfRanks) { expect_same_kernel("--samples 37 --width 20", {2, 3, 4, 6}); }
TEST(MpiProgram, KernelOfFewerSamplesThanRanks) { expect_same_kernel("--samples 3 --width 20 --per-layer", {4, 6}, float64, true); }
TEST(MpiProgram, KernelOfEveryOutput) {
    expect_same_kernel("--samples 29 --width 16 --outputs 3 --block full --per-layer", {6}, float64, true);
}
TEST(MpiProgram, KernelDiagonal) {
    expect_same_kernel("--samples 29 --width 16 --outputs 3 --block diag --per-layer", {4}, float64, true);
    expect_same_kernel("--samples 3 --kernel ntk --block diag", {4});
}
TEST(MpiProgram, CrossKernel) {
    expect_same_kernel("--data sphere:n=31,d=5,seed=1 --test sphere:n=7,d=5,seed=2 --width 16 --outputs 2 --block full", {6});
    expect_same_kernel("--data sphere:n=31,d=5,seed=1 --test sphere:n=2,d=5,seed=2 --kernel ntk --normalized", {6});
}
TEST(MpiProgram, KernelByTheJacobian) { expect_same_kernel("--samples 21 --width 16 --outputs 2 --method jacobian", {4}); }
TEST(MpiProgram, KernelByPassesThatEachRankComputesOrThatTheyExchange) {
    for (const std::string passes : {"compute", "exchange"}) {
        const std::string option = " --passes " + passes;
        expect_same_kernel("--samples 203 --width 20" + option, {2, 3, 4, 6});
        expect_same_kernel("--samples 150 --width 16 --outputs 3 --block full --biases trained --b-std 0.5 --per-layer" + option, {6},
                           float64, true);
        expect_same_kernel("--data sphere:n=130,d=5,seed=1 --test sphere:n=111,d=5,seed=2 --width 16 --outputs 2" + option, {4});
        expect_same_kernel("--samples 151 --width 16 --kernel empirical-nngp" + option, {6});
        expect_same_kernel("--samples 120 --width 16 --outputs 2 --method jacobian" + option, {3});
        expect_same_kernel("--samples 120 --width 16 --precision fp32" + option, {4}, float32);
        expect_same_kernel("--samples 3 --width 20" + option, {6});
        const TemporaryFolder folder;
        for (const auto& [samples, took] : {std::pair{"120", passes}, {"1", std::string("compute")}}) {
            const Outcome all = run_ranks(folder, 4, fmt::format("kernel --samples {} --width 8 --out K.npy{}", samples, option));
            ASSERT_EQ(all.code, 0) << all.err;
            EXPECT_EQ(record(folder, "K.run.json")["results"]["passes"], took);
            EXPECT_NE(all.out.find(took == "compute" ? "passes    computed" : "passes    exchanged"), std::string::npos) << all.out;
        }
    }
}

TEST(MpiProgram, NormalizedKernel) { expect_same_kernel("--samples 29 --width 16 --normalized", {3}); }
TEST(MpiProgram, LimitKernels) {
    expect_same_kernel("--samples 29 --kernel ntk --depth 5 --b-std 0.3", {6});
    expect_same_kernel("--samples 29 --kernel nngp --activation erf", {3});
    expect_same_kernel("--samples 29 --kernel empirical-nngp --width 16", {4});
}
TEST(MpiProgram, KernelsOfOtherPrecisions) {
    expect_same_kernel("--samples 29 --width 16 --precision fp32", {4}, float32);
    expect_same_kernel("--samples 29 --width 16 --precision fast", {4}, float32);
}

TEST(MpiProgram, TheSameRanksGiveTheSameBits) {
    const TemporaryFolder folder;
    for (const char* name : {"a.npy", "b.npy"})
        ASSERT_EQ(run_ranks(folder, 3, fmt::format("kernel --samples 50 --width 20 --quiet --out {}", name)).code, 0);
    EXPECT_TRUE(read_bytes(folder.path("a.npy")) == read_bytes(folder.path("b.npy")));
}

TEST(MpiProgram, OneRankIsThePlainProgram) {
    const TemporaryFolder folder;
    const Outcome one = run_program(folder, "kernel --samples 37 --width 20 --out K.npy");
    const std::string bytes = read_bytes(folder.path("K.npy"));
    const Outcome all = run_ranks(folder, 1, "kernel --samples 37 --width 20 --out K.npy");
    EXPECT_EQ(all.code, 0);
    EXPECT_EQ(all.out, one.out);
    EXPECT_EQ(all.err, one.err);
    EXPECT_TRUE(read_bytes(folder.path("K.npy")) == bytes);
    EXPECT_FALSE(record(folder, "K.run.json").contains("ranks"));
}

/// The numbers of a table of one and of all, where the first has it.
void expect_same_table(const TemporaryFolder& folder, const std::string& name) {
    if (!std::filesystem::exists(folder.path("one/" + name))) return;
    std::istringstream one(read_bytes(folder.path("one/" + name))), all(read_bytes(folder.path("all/" + name)));
    std::string a, b;
    while (std::getline(one, a)) {
        ASSERT_TRUE(std::getline(all, b));
        std::istringstream cells_of_one(a), cells_of_all(b);
        while (std::getline(cells_of_one, a, ',')) {
            ASSERT_TRUE(std::getline(cells_of_all, b, ','));
            char* end = nullptr;
            const double value = std::strtod(a.c_str(), &end);
            if (*end == '\0') {
                EXPECT_NEAR(value, std::stod(b), 1e-9 * std::fabs(value)) << name;
            } else {
                EXPECT_EQ(a, b) << name;
            }
        }
    }
    EXPECT_FALSE(std::getline(all, b));
}

void expect_same_predictions(const std::string& arguments, const std::vector<int>& ranks) {
    const TemporaryFolder folder;
    const Outcome one = run_program(folder, "predict " + arguments + " --out one");
    ASSERT_EQ(one.code, 0) << one.err;
    for (const int size : ranks) {
        SCOPED_TRACE(fmt::format("{} on {} ranks", arguments, size));
        const Outcome all = run_ranks(folder, size, "predict " + arguments + " --out all");
        ASSERT_EQ(all.code, 0) << all.err;
        for (const char* name : {"predictions.npy", "variance.npy", "predictions_path.npy"}) {
            if (!std::filesystem::exists(folder.path(std::string("one/") + name))) continue;
            const Array a = read_npy(folder.path(std::string("one/") + name)), b = read_npy(folder.path(std::string("all/") + name));
            ASSERT_EQ(a.shape, b.shape);
            for (std::size_t i = 0; i < a.values.size(); ++i) ASSERT_NEAR(a.values[i], b.values[i], 1e-10) << name << ": entry " << i;
        }
        for (const char* name : {"ridges.csv", "times.csv"}) expect_same_table(folder, name);
        const auto expected = record(folder, "one/run.json")["results"], found = record(folder, "all/run.json")["results"];
        EXPECT_EQ(expected["solver"], found["solver"]);
        EXPECT_EQ(expected["accuracy"], found["accuracy"]);
        EXPECT_EQ(expected.value("chosen", nlohmann::json()), found.value("chosen", nlohmann::json()));
        EXPECT_EQ(expected.contains("log_determinant"), found.contains("log_determinant"));
        if (expected.contains("log_determinant")) {
            EXPECT_NEAR(expected["log_determinant"], found["log_determinant"], 1e-9 * std::fabs(expected["log_determinant"].get<double>()));
        }
        std::filesystem::remove_all(folder.path("all"));
    }
}

TEST(MpiProgram, Predictions) { expect_same_predictions("--samples 60 --ridge 1e-2", {2, 3, 4, 6}); }
TEST(MpiProgram, PredictionsOfFewerSamplesThanRanks) { expect_same_predictions("--samples 4 --ridge 1e-2", {6}); }
TEST(MpiProgram, Posterior) { expect_same_predictions("--samples 53 --kernel nngp --posterior --ridge 0.1", {4}); }
TEST(MpiProgram, PredictionsOfEveryOutputFromTheNetworksOwn) {
    expect_same_predictions("--samples 31 --kernel empirical-ntk --width 16 --block full --initial-function --ridge 0.1", {6});
}
TEST(MpiProgram, PredictionsByPassesThatRanksExchange) {
    expect_same_predictions("--samples 150 --kernel empirical-ntk --width 16 --ridge 0.1 --passes exchange", {2, 6});
}
TEST(MpiProgram, PredictionsFromDifferences) { expect_same_predictions("--samples 60 --w-std 1 --b-std 0.5 --depth 60", {3}); }
TEST(MpiProgram, PredictionsByConjugateGradients) {
    const std::string by_products = "--solver cg --tolerance 1e-12 --ridge 0.1 ";
    expect_same_predictions(by_products + "--samples 61 --kernel empirical-ntk --width 16", {2, 6});
    expect_same_predictions(by_products + "--samples 31 --kernel empirical-ntk --width 8 --block full --initial-function", {3});
    expect_same_predictions(by_products + "--samples 61 --kernel nngp", {4});
    expect_same_predictions(by_products + "--samples 4 --kernel empirical-nngp --width 16", {6});
}
TEST(MpiProgram, GradientFlow) {
    expect_same_predictions("--samples 53 --time 10", {2, 6});
    expect_same_predictions("--samples 31 --kernel empirical-ntk --width 16 --block full --initial-function --time 3", {3});
    expect_same_predictions("--samples 4 --time 10", {6});
}
TEST(MpiProgram, PathOfRidges) {
    expect_same_predictions("--samples 53 --ridge 1e-3:1:log", {3, 4});
    expect_same_predictions("--samples 4 --ridge 0.01,0.1", {6});
}
TEST(MpiProgram, PathOfTimesFromTheNetworksOwn) {
    expect_same_predictions("--samples 53 --kernel empirical-ntk --width 16 --outputs 10 --initial-function --time 1,10,100", {4});
}
TEST(MpiProgram, WhatIsNotSharedIsDoneByOneRank) {
    const std::string coarse = "--samples 40 --kernel empirical-ntk --width 16 --precision fast --ridge 0.1 ";
    expect_same_predictions(coarse, {3});
    const TemporaryFolder folder;
    EXPECT_NE(run_ranks(folder, 2, "predict " + coarse + "--out t").out.find("ranks     1 of 2"), std::string::npos);
    // Its eigendecomposition they share.
    const Outcome path = run_ranks(folder, 2, "predict " + coarse.substr(0, coarse.find("--ridge")) + "--ridge 0.1,1 --out path");
    ASSERT_EQ(path.code, 0) << path.err;
    EXPECT_EQ(path.out.find("ranks     1 of 2"), std::string::npos);
    EXPECT_GT(record(folder, "path/run.json")["results"]["resolution"], 0);
}

void expect_same_spectrum(const std::string& arguments, int ranks, Index vectors) {
    SCOPED_TRACE(arguments);
    const TemporaryFolder folder;
    const std::string command = fmt::format("kernel {} --eigenvalues --eigenvectors {} --out ", arguments, vectors);
    const Outcome one = run_program(folder, command + "one.npy"), all = run_ranks(folder, ranks, command + "all.npy");
    ASSERT_EQ(one.code, 0) << one.err;
    ASSERT_EQ(all.code, 0) << all.err;
    const Array expected = read_npy(folder.path("one.eigenvectors.npy")), found = read_npy(folder.path("all.eigenvectors.npy"));
    const Array values = read_npy(folder.path("one.eigenvalues.npy")), found_values = read_npy(folder.path("all.eigenvalues.npy"));
    ASSERT_EQ(found.shape, expected.shape);
    ASSERT_EQ(found_values.shape, values.shape);
    const double largest = values.values.front();
    for (std::size_t i = 0; i < values.values.size(); ++i) EXPECT_NEAR(found_values.values[i], values.values[i], 1e-13 * largest);
    // Rounding turns an eigenvector by its size over the distance to the next eigenvalue.
    const std::size_t n = values.values.size();
    for (std::size_t m = 0; m < static_cast<std::size_t>(vectors); ++m) {
        double gap = largest;
        if (m > 0) gap = std::min(gap, values.values[m - 1] - values.values[m]);
        if (m + 1 < n) gap = std::min(gap, values.values[m] - values.values[m + 1]);
        for (std::size_t i = 0; i < n; ++i)
            ASSERT_NEAR(found.values[m * n + i], expected.values[m * n + i], 1e-13 * largest / gap)
                << "eigenvector " << m << ", entry " << i;
    }
    const auto facts = record(folder, "all.run.json")["results"], reference = record(folder, "one.run.json")["results"];
    EXPECT_NEAR(facts["lambda_max"], largest, 1e-13 * largest);
    ASSERT_EQ(facts.contains("alignment"), reference.contains("alignment"));
    if (facts.contains("alignment")) {
        EXPECT_NEAR(facts["alignment"]["kernel_target"], reference["alignment"]["kernel_target"], 1e-12);
    }
}

TEST(MpiProgram, SpectrumOfAKernel) {
    expect_same_spectrum("--samples 37 --width 20", 4, 5);
    expect_same_spectrum("--samples 29 --kernel ntk --normalized", 3, 29);
    expect_same_spectrum("--samples 13 --width 16 --outputs 3 --block full", 6, 4);
    expect_same_spectrum("--samples 3 --width 20", 6, 3);
}

TEST(MpiProgram, MemoryOfAPlanIsThatOfTheRun) {
    const TemporaryFolder folder;
    (void)folder.file("rates.json", rates_of(0x1p36));
    for (const std::string command :
         {"predict --samples 61 --time 10", "predict --samples 61 --ridge 1e-3", "predict --samples 61 --kernel nngp --ridge 0.1,1"}) {
        const Outcome plan = run_program(folder, "plan " + command + " --rates rates.json --ranks 1,3 --json --quiet");
        ASSERT_EQ(plan.code, 0) << plan.err;
        const Outcome run = run_ranks(folder, 3, command + " --quiet --out P");
        ASSERT_EQ(run.code, 0) << run.err;
        EXPECT_EQ(nlohmann::json::parse(plan.out)["results"]["ranks"][1]["memory"], record(folder, "P/run.json")["memory"]["planned"])
            << command;
    }
}

/// What a rank takes without work: the program, its libraries and those of MPI.
double program_bytes(int ranks) {
    const TemporaryFolder folder;
    const Outcome smallest = run_ranks(folder, ranks, "kernel --data sphere:n=40,d=2,seed=1 --width 2 --quiet --out K.npy");
    EXPECT_EQ(smallest.code, 0) << smallest.err;
    const auto peaks = record(folder, "K.run.json")["ranks"]["memory_peak"].get<std::vector<double>>();
    return *std::max_element(peaks.begin(), peaks.end());
}

/// Beside what was planned there are buffers of OpenBLAS, of PBLAS and of messages.
TEST(MpiProgram, EveryRankKeepsToItsPlan) {
    constexpr int ranks = 4;
    constexpr double buffers = 24 << 20;
    const TemporaryFolder folder;
    (void)folder.file("rates.json", rates_of(0x1p36));
    const double program = program_bytes(ranks);
    const std::string digits = "predict --samples 1700 --depth 2 ";
    for (const std::string& command :
         {std::string("kernel --data sphere:n=4000,d=8,seed=1 --kernel ntk --depth 2 --out R/K.npy"),
          std::string("kernel --data sphere:n=3000,d=8,seed=1 --width 64 --depth 2 --passes exchange --out R/K.npy"),
          digits + "--kernel ntk --ridge 1 --out R", digits + "--kernel ntk --time 10 --out R",
          digits + "--solver cg --kernel empirical-ntk --width 64 --ridge 10 --out R"}) {
        SCOPED_TRACE(command);
        std::filesystem::create_directory(folder.path("R"));
        const Outcome plan = run_program(folder, "plan " + command + " --rates rates.json --ranks 4 --json --quiet");
        ASSERT_EQ(plan.code, 0) << plan.err;
        const double planned = nlohmann::json::parse(plan.out)["results"]["ranks"][0]["memory"];
        const Outcome run = run_ranks(folder, ranks, command + " --quiet");
        ASSERT_EQ(run.code, 0) << run.err;
        const auto of_ranks = record(folder, command[0] == 'k' ? "R/K.run.json" : "R/run.json")["ranks"];
        ASSERT_EQ(of_ranks["memory_peak"].size(), static_cast<std::size_t>(ranks));
        for (const double peak : of_ranks["memory_peak"]) EXPECT_LE(peak, 1.05 * planned + program + buffers);
        std::filesystem::remove_all(folder.path("R"));
    }
}

TEST(MpiProgram, OtherCommandsWriteOnce) {
    const TemporaryFolder folder;
    for (const std::string command :
         {"jacobian --samples 5 --width 4 --out X.npy", "ensemble --samples 3 --width 8 --networks 50 --out X",
          "compare --samples 20 --depths 2 --widths 8,16 --seeds 4 --out X", "depth --samples 20 --depths 1,10 --out X"}) {
        const std::string name = command.find(".npy") != std::string::npos ? "X.npy"
                                 : command[0] == 'e'                       ? "X/mean.npy"
                                 : command[0] == 'c'                       ? "X/compare.csv"
                                                                           : "X/depth.csv";
        const Outcome one = run_program(folder, command + " --quiet");
        ASSERT_EQ(one.code, 0) << one.err;
        const std::string bytes = read_bytes(folder.path(name));
        ASSERT_FALSE(bytes.empty());
        std::filesystem::remove_all(folder.path("X"));
        const Outcome all = run_ranks(folder, 3, command + " --quiet");
        ASSERT_EQ(all.code, 0) << command << all.err;
        EXPECT_TRUE(read_bytes(folder.path(name)) == bytes) << command;
        std::filesystem::remove_all(folder.path("X"));
    }
    EXPECT_NE(run_ranks(folder, 3, "--version").out.find("\n"), std::string::npos);
    ASSERT_EQ(run_ranks(folder, 3, "plan --save-rates rates.json --quiet").code, 0);
    EXPECT_NE(record(folder, "rates.json")["source"].get<std::string>().find("of each of 3 ranks at once"), std::string::npos);
}

/// A study of depth has the same files, figures and state on any number of ranks.
void expect_same_study(const std::string& arguments) {
    const TemporaryFolder folder;
    const Outcome one = run_program(folder, "depth " + arguments + " --out one");
    ASSERT_EQ(one.code, 0) << one.err;
    for (const int size : {1, 2, 3, 4, 6}) {
        SCOPED_TRACE(fmt::format("{} on {} ranks", arguments, size));
        const Outcome all = run_ranks(folder, size, "depth " + arguments + " --out all");
        ASSERT_EQ(all.code, 0) << all.err;
        EXPECT_EQ(all.out.find("not shared"), std::string::npos);
        expect_same_files(folder.path("one"), folder.path("all"), false);
        EXPECT_EQ(record(folder, "one/run.json")["results"], record(folder, "all/run.json")["results"]);
        std::filesystem::remove_all(folder.path("all"));
    }
}

const std::string two_hundred = "--data gaussian:n=200,d=6,seed=1 ";

TEST(MpiProgram, StudiesOfDepth) {
    expect_same_study(two_hundred + "--w-std 1 --b-std 0.5 --depths 1,2,3,10,100,300,1e4,1e5");
    expect_same_study("--data digits --samples 60 --depths 1,30,1000 --spectrum extreme");
}
TEST(MpiProgram, StudiesOfDepthOnUnequalNorms) {
    expect_same_study(two_hundred + "--normalize none --w-std 1 --b-std 0.5 --depths 1,2,3,10,100,400,1e4");
    expect_same_study(two_hundred + "--normalize none --activation erf --w-std 1.5 --b-std 0.3 --kernel nngp --depths 2,600");
}
TEST(MpiProgram, PhaseDiagrams) {
    expect_same_study("--data digits --samples 40 --depths 1,10 --grid-w-std 0.5:2:4 --grid-b-std 0,0.5 --grid-depth 500");
}

TEST(MpiProgram, Jacobians) {
    for (const std::string arguments : {"--samples 101 --width 8 --outputs 3 --b-std 0.2", "--samples 5 --width 8 --precision fp32"}) {
        const TemporaryFolder folder;
        ASSERT_EQ(run_program(folder, "jacobian --quiet --out one.npy " + arguments).code, 0);
        for (const int size : {1, 2, 3, 4, 6}) {
            const Outcome all = run_ranks(folder, size, "jacobian --quiet --out all.npy " + arguments);
            ASSERT_EQ(all.code, 0) << all.err;
            EXPECT_TRUE(read_bytes(folder.path("one.npy")) == read_bytes(folder.path("all.npy"))) << arguments << " on " << size;
            EXPECT_EQ(record(folder, "all.run.json")["results"]["rows"], record(folder, "one.run.json")["results"]["rows"]);
        }
    }
}

void expect_failure(const std::string& arguments, int code, const std::string& part) {
    const TemporaryFolder folder;
    const Outcome all = run_ranks(folder, 3, arguments);
    EXPECT_EQ(all.code, code) << arguments << all.err;
    EXPECT_NE(all.err.find(part), std::string::npos) << all.err;
    EXPECT_LE(messages(all.err), 1) << all.err;
    EXPECT_FALSE(std::filesystem::exists(folder.path("K.npy")));
    for (const auto& entry : std::filesystem::directory_iterator(folder.path("")))
        EXPECT_EQ(entry.path().filename().string().find(".part"), std::string::npos) << entry.path();
}

TEST(MpiProgram, FailuresEndAllRanksWithOneMessage) {
    expect_failure("kernel --nonsense --out K.npy", 2, "--nonsense");
    expect_failure("kernel --data nowhere.csv --out K.npy", 2, "nowhere.csv");
    expect_failure("kernel --samples 1000 --memory 0.001 --out K.npy", 4, "for each rank");
    expect_failure("kernel --samples 20 --device cuda:99 --out K.npy", 4, "cuda:99");
    expect_failure("predict --data sphere:n=20,d=3,seed=1 --out P", 2, "targets");
    expect_failure("predict --samples 800 --time 1 --memory 0.004 --out P", 4, "for each rank");
    expect_failure("kernel --data sphere:n=1000,d=3,seed=1 --kernel ntk --eigenvalues --memory 0.008 --out K.npy", 4,
                   "the spectrum of a kernel");
    expect_failure("jacobian --samples 100 --width 64 --memory 0.001 --out K.npy", 4, "for each rank");
    expect_failure("depth --data gaussian:n=100,d=3,seed=1 --precision fp32 --out D", 2, "fp64");
    expect_failure("depth --data gaussian:n=1000,d=3,seed=1 --memory 0.001 --out D", 4, "for each rank");
    expect_failure("depth --data gaussian:n=100,d=3,seed=1 --normalize none --activation hermite:0,1,1 --b-std 0.1 --out D", 2,
                   "unequal norms");
}

TEST(MpiProgram, ARefusedSystemIsToldAsByOneRank) {
    const TemporaryFolder folder;
    std::string csv = "a,b,y\n";
    for (int i = 0; i < 12; ++i) csv += fmt::format("{},{},{}\n", i % 4, i % 3 % 2, i);
    folder.file("twice.csv", csv);
    const std::string arguments = "predict --data twice.csv --task regression --kernel empirical-ntk --width 4 --out P";
    const Outcome one = run_program(folder, arguments), all = run_ranks(folder, 3, arguments);
    EXPECT_EQ(one.code, 3) << one.err;
    EXPECT_EQ(all.code, 3) << all.err;
    EXPECT_NE(all.err.find("equal samples"), std::string::npos) << all.err << one.err;
    EXPECT_EQ(messages(all.err), 1) << all.err;

    for (const char* values : {" --ridge 0,1", " --time 1e20"}) {
        const Outcome path = run_program(folder, arguments + values), shared = run_ranks(folder, 3, arguments + values);
        EXPECT_EQ(path.code, 3) << path.err;
        EXPECT_EQ(shared.code, 3) << shared.err;
        // Up to the digits of an eigenvalue that rounding has made up.
        const std::string words = path.err.substr(0, path.err.find("eigenvalue"));
        EXPECT_THAT(shared.err, HasSubstr(words));  // mpirun's own words may come first
        EXPECT_EQ(messages(shared.err), 1) << shared.err;
    }
}

/// The process with that environment variable of Open MPI, which has the rank.
pid_t process_of_rank(const TemporaryFolder& folder, int rank) {
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        const std::string environment = read_bytes(entry.path() / "environ");
        std::error_code error;
        if (environment.find(fmt::format("OMPI_COMM_WORLD_RANK={}", rank) + '\0') == std::string::npos) continue;
        if (std::filesystem::equivalent(std::filesystem::read_symlink(entry.path() / "cwd", error), folder.path(""), error) && !error)
            return std::stoi(name);
    }
    return 0;
}

TEST(MpiProgram, AKilledRankEndsAll) {
    using namespace std::chrono;
    const TemporaryFolder folder;
    Outcome all;
    std::jthread running([&] { all = run_ranks(folder, 3, "kernel --data sphere:n=6000,d=64,seed=1 --width 512 --depth 8 --out K.npy"); });
    pid_t victim = 0;
    const auto begun = steady_clock::now();
    // Until it computes: the file that all write is there.
    const auto writes = [&] {
        for (const auto& entry : std::filesystem::directory_iterator(folder.path("")))
            if (entry.path().filename().string().find(".part") != std::string::npos) return true;
        return false;
    };
    while (!writes() && steady_clock::now() - begun < seconds(60)) std::this_thread::sleep_for(milliseconds(20));
    victim = process_of_rank(folder, 2);
    ASSERT_GT(victim, 0);
    ASSERT_EQ(kill(victim, SIGKILL), 0);
    const auto killed = steady_clock::now();
    running.join();
    EXPECT_LT(steady_clock::now() - killed, seconds(30));
    EXPECT_NE(all.code, 0);
    EXPECT_FALSE(std::filesystem::exists(folder.path("K.npy")));
    // The next run removes what was left half-written.
    ASSERT_EQ(run_ranks(folder, 2, "kernel --samples 10 --width 8 --quiet --out K.npy").code, 0);
    EXPECT_FALSE(writes());
}

/// Kills rank 1 of three when so many records are saved; all end then, and the run that goes on on two ranks leaves what one process that
/// was never killed leaves in `files`.
void expect_resumed(const std::string& command, int records, const std::vector<std::string>& files) {
    using namespace std::chrono;
    const TemporaryFolder folder;
    ASSERT_EQ(run_program(folder, command + " --quiet --out one").code, 0);
    Outcome killed;
    std::jthread running([&] { killed = run_ranks(folder, 3, command + " --quiet --out all"); });
    const auto saved = [&] {
        int count = 0;
        std::error_code error;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path("all/state"), error))
            count += entry.path().extension() == ".json";
        return count;
    };
    const auto begun = steady_clock::now();
    while (saved() < records && steady_clock::now() - begun < seconds(60)) std::this_thread::sleep_for(milliseconds(5));
    const pid_t victim = process_of_rank(folder, 1);
    ASSERT_GT(victim, 0) << "it was over before it could be killed";
    ASSERT_EQ(kill(victim, SIGKILL), 0);
    const auto end = steady_clock::now();
    running.join();
    EXPECT_LT(steady_clock::now() - end, seconds(30));
    EXPECT_NE(killed.code, 0);
    EXPECT_FALSE(std::filesystem::exists(folder.path("all/" + files.front())));
    const Outcome resumed = run_ranks(folder, 2, command + " --out all");
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_NE(resumed.out.find("resumed   "), std::string::npos) << resumed.out;
    for (const std::string& name : files)
        EXPECT_TRUE(read_bytes(folder.path("one/" + name)) == read_bytes(folder.path("all/" + name))) << name;
    expect_same_files(folder.path("one/state"), folder.path("all/state"));
}

TEST(MpiProgram, AKilledSweepGoesOnOnOtherRanks) {
    expect_resumed("compare --samples 200 --depths 2,3 --widths 64,128 --seeds 20", 10, {"compare.csv", "networks.csv"});
}
TEST(MpiProgram, AKilledStudyGoesOnOnOtherRanks) {
    expect_resumed("depth --data gaussian:n=500,d=20,seed=1 --normalize none --b-std 0.3 --depths 1:300:log:20", 6,
                   {"depth.csv", "u.npy", "spectrum_log10.npy"});
}

}  // namespace
}  // namespace ntk

// --memory as a contract: kernels go by blocks where they do not fit and are the same kernels; what a run holds at most stays within the
// limit; what cannot fit is refused before any work.

#include "support/program.hpp"
#include "support/sanitized.hpp"

#include <ntkcuda/array_file.hpp>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace {

using namespace ntk;
using namespace ntk::testing;
using ::testing::HasSubstr;

nlohmann::json record_of(const TemporaryFolder& folder, const std::string& file) {
    return nlohmann::json::parse(read_bytes(folder.path(file)));
}

/// What the smallest kernel takes: the program and its libraries, 200 MiB with those of CUDA, else a few.
double program_bytes() {
    static const double bytes = [] {
        const TemporaryFolder folder;
        EXPECT_EQ(run_program(folder, "kernel --data sphere:n=2,d=2,seed=1 --width 2 --device cpu --threads 2 --out K.npy").code, 0);
        return record_of(folder, "K.run.json").at("memory").at("peak").get<double>();
    }();
    return bytes;
}

/// What larger work touches besides: buffers of OpenBLAS for its operands, up to 10 MiB for each of two threads, and small things.
constexpr double overhead = 24 << 20;

void expect_peak_within(const nlohmann::json& record, double gib) {
    EXPECT_LE(record.at("memory").at("peak").get<double>(), 1.05 * gib * 0x1p30 + program_bytes() + overhead);
    EXPECT_LE(record.at("memory").at("planned").get<double>(), gib * 0x1p30);
}

struct BlockedKernel {
    std::string name, arguments;
    double gib;
};
void PrintTo(const BlockedKernel& kernel, std::ostream* out) { *out << kernel.name; }

class Blocked : public ::testing::TestWithParam<BlockedKernel> {};

/// Entries agree to the rounding of sums over 64 units and the features, in double or float (`single`: whatever the file has).
void expect_same_numbers(const std::string& path, const std::string& whole_path, bool single) {
    const Array blocks = read_npy(path), whole = read_npy(whole_path);
    ASSERT_EQ(blocks.shape, whole.shape);
    single = single || read_bytes(path).find("<f4") != std::string::npos;
    double largest = 0;
    for (const double value : whole.values) largest = std::max(largest, std::abs(value));
    for (std::size_t e = 0; e < whole.values.size(); ++e)
        ASSERT_NEAR(blocks.values[e], whole.values[e], (64 + 16 + 8) * (single ? 0x1p-23 : 0x1p-52) * largest) << "entry " << e;
}

TEST_P(Blocked, IsTheKernelAtOnce) {
    const TemporaryFolder folder;
    const std::string common = "kernel --device cpu --threads 2 " + GetParam().arguments + " --out ";
    const std::string limit = " --memory " + std::to_string(GetParam().gib);
    ASSERT_EQ(run_program(folder, common + "whole.npy").code, 0);
    const Outcome run = run_program(folder, common + "K.npy" + limit);
    ASSERT_EQ(run.code, 0) << run.err;
    EXPECT_THAT(run.out, HasSubstr("is what --memory allows"));
    const auto record = record_of(folder, "K.run.json"), whole = record_of(folder, "whole.run.json");
    EXPECT_GT(record.at("results").at("blocks").at("count").get<int>(), 1);
    EXPECT_FALSE(whole.at("results").contains("blocks"));
    EXPECT_NEAR(record.at("results").at("frobenius").get<double>() / whole.at("results").at("frobenius").get<double>(), 1, 1e-6);
    expect_peak_within(record, GetParam().gib);
    const bool fast = GetParam().arguments.find("--precision fast") != std::string::npos;  // sums in float
    expect_same_numbers(folder.path("K.npy"), folder.path("whole.npy"), fast);
    if (std::filesystem::exists(folder.path("whole.layers.npy")))
        expect_same_numbers(folder.path("K.layers.npy"), folder.path("whole.layers.npy"), fast);
    const std::string one_thread = "kernel --device cpu --threads 1 " + GetParam().arguments + " --out one.npy" + limit;
    ASSERT_EQ(run_program(folder, one_thread).code, 0);
    EXPECT_TRUE(read_bytes(folder.path("K.npy")) == read_bytes(folder.path("one.npy"))) << "bits depend on the number of threads";
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, Blocked,
    ::testing::Values(BlockedKernel{"empirical_ntk", "--data sphere:n=700,d=16,seed=1 --width 64", 0.006},
                      BlockedKernel{"jacobian", "--data sphere:n=500,d=16,seed=1 --width 16 --method jacobian", 0.0015},
                      BlockedKernel{"fast", "--data sphere:n=700,d=16,seed=1 --width 64 --precision fast", 0.007},
                      BlockedKernel{"empirical_nngp", "--kernel empirical-nngp --data sphere:n=700,d=16,seed=1 --width 64", 0.006},
                      BlockedKernel{"ntk", "--kernel ntk --data sphere:n=1500,d=16,seed=1", 0.015},
                      BlockedKernel{"nngp_fp32", "--kernel nngp --precision fp32 --data sphere:n=1500,d=16,seed=1", 0.01},
                      BlockedKernel{"full", "--data sphere:n=300,d=16,seed=1 --width 64 --outputs 3 --block full", 0.009},
                      BlockedKernel{"diag", "--data sphere:n=3000,d=16,seed=1 --width 64 --outputs 3 --block diag", 0.006},
                      BlockedKernel{"cross_normalized",
                                    "--data sphere:n=700,d=16,seed=1 --test sphere:n=300,d=16,seed=2 --width 64 --normalized", 0.004},
                      BlockedKernel{"per_layer", "--data sphere:n=500,d=16,seed=1 --width 64 --per-layer", 0.007}),
    [](const auto& kernel) { return kernel.param.name; });

/// Of 250 samples, 5 MiB of rows: at once, by 96 samples, and by so few that the passes of 48 are repeated.
TEST(Memory, AJacobianInPiecesHasTheBytesOfOneAtOnce) {
    const TemporaryFolder folder;
    const std::string common =
        "jacobian --device cpu --threads 2 --data sphere:n=250,d=16,seed=1 --width 32 --depth 4 --outputs 2 --b-std 0.1 --out ";
    ASSERT_EQ(run_program(folder, common + "whole.npy").code, 0);
    const double planned = record_of(folder, "whole.run.json").at("memory").at("planned").get<double>() / 0x1p30;
    for (const double share : {0.6, 0.3, 0.1}) {
        SCOPED_TRACE(share);
        const Outcome run = run_program(folder, common + "J.npy --memory " + std::to_string(share * planned));
        ASSERT_EQ(run.code, 0) << run.err;
        EXPECT_TRUE(read_bytes(folder.path("J.npy")) == read_bytes(folder.path("whole.npy")));
        if (!sanitized) expect_peak_within(record_of(folder, "J.run.json"), share * planned);  // sanitizers keep freed memory
    }
}

/// The largest runs whose plans fit the limit: what they hold is what was planned.
TEST(Memory, ThePeakIsThePlan) {
    if (sanitized) GTEST_SKIP() << "sanitizers keep freed memory";
    const TemporaryFolder folder;
    std::string rows = "a,b,c,y\n";
    for (int i = 0; i < 1600; ++i)
        rows += std::to_string(std::cos(i)) + "," + std::to_string(std::sin(2.1 * i)) + "," + std::to_string(std::cos(3.7 * i)) + "," +
                std::to_string(std::sin(i)) + "\n";
    folder.file("r.csv", rows);
    const std::vector<std::pair<std::string, std::string>> runs{
        {"kernel --data sphere:n=2000,d=16,seed=1 --width 128 --out R.npy", "R.run.json"},
        {"kernel --kernel ntk --data sphere:n=2500,d=16,seed=1 --out R.npy", "R.run.json"},
        {"jacobian --data sphere:n=300,d=16,seed=1 --width 128 --out R.npy", "R.run.json"},
        {"predict --data r.csv --kernel ntk --ridge 0.1 --out P", "P/run.json"},
        {"predict --data r.csv --kernel empirical-ntk --width 128 --ridge 0.1 --out P", "P/run.json"},
        {"predict --data r.csv --kernel empirical-ntk --width 128 --ridge 0.1 --solver cg --out C", "C/run.json"},
        {"predict --data r.csv --kernel empirical-nngp --width 128 --ridge 0.1 --posterior --out P", "P/run.json"},
        {"predict --data r.csv --kernel ntk --samples 1000 --time 10 --out P", "P/run.json"}};
    for (const auto& [arguments, file] : runs) {
        SCOPED_TRACE(arguments);
        const std::string common = arguments + " --device cpu --threads 2";
        ASSERT_EQ(run_program(folder, common).code, 0);
        const double planned = record_of(folder, file).at("memory").at("planned").get<double>(), gib = planned / 0x1p30;
        ASSERT_EQ(run_program(folder, common + " --memory " + std::to_string(gib + 1e-6)).code, 0);
        expect_peak_within(record_of(folder, file), gib + 1e-6);
    }
}

TEST(Memory, WhatCannotFitIsRefusedWithTheNumber) {
    const TemporaryFolder folder;
    for (const std::string arguments :
         {"kernel --data sphere:n=700,d=16,seed=1 --width 512 --out K.npy", "jacobian --data sphere:n=300,d=16,seed=1 --out K.npy",
          "predict --samples 500 --kernel ntk --out P"}) {
        const Outcome run = run_program(folder, arguments + " --device cpu --memory 0.001");
        EXPECT_EQ(run.code, 4) << arguments;
        EXPECT_THAT(run.err, HasSubstr("needs"));
        EXPECT_THAT(run.err, HasSubstr("1.0 MiB is what --memory allows"));
        EXPECT_FALSE(std::filesystem::exists(folder.path("K.npy")));
    }
}

}  // namespace

// Every allocation of a run made to fail, a sample of them at a time: one message, exit code 4, nothing half-written.

#include "support/paths.hpp"
#include "support/process.hpp"
#include "support/sanitized.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace ntk {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

/// Allocations that are made to fail in each run, evenly spread over it.
int failures_each() {
    const char* chosen = std::getenv("NTKCUDA_FAILURES");
    return chosen ? std::atoi(chosen) : 16;
}

class AllocationFails : public ::testing::TestWithParam<const char*> {};

TEST_P(AllocationFails, AnywhereInTheRun) {
    if (sanitized) GTEST_SKIP() << "sanitizers bring an allocator of their own";
    const TemporaryFolder folder;
    const auto run = [&](const std::string& setting) {
        fs::remove_all(folder.path("out"));
        fs::create_directory(folder.path("out"));
        const std::string command = "cd '" + folder.path("") + "' && golden='" + paths::golden + "' && LD_PRELOAD='" +
                                    paths::failing_allocation + "' " + setting + " '" + paths::program + "' " + GetParam() +
                                    " >.out 2>.err";
        const int status = std::system(command.c_str());
        return Outcome{WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_bytes(folder.path(".out")), read_bytes(folder.path(".err"))};
    };
    const Outcome whole = run("NTKCUDA_COUNT_ALLOCATIONS=.count");
    ASSERT_EQ(whole.code, 0) << whole.err;
    const auto results = files_below(folder.path("out"));
    const long count = std::stol(read_bytes(folder.path(".count")));
    ASSERT_GT(count, 1000);
    const long step = std::max(1L, count / failures_each());
    int refused = 0;
    for (long failing = 1; failing <= count; failing += step) {
        const Outcome outcome = run("NTKCUDA_FAILING_ALLOCATION=" + std::to_string(failing));
        if (outcome.code == 0) continue;  // it could do without
        ++refused;
        EXPECT_EQ(outcome.code, 4) << failing << " of " << count << ": " << outcome.err;
        EXPECT_THAT(outcome.err, HasSubstr("ntkcuda: ")) << failing;
        for (const auto& [name, bytes] : files_below(folder.path("out"))) {
            EXPECT_FALSE(name.ends_with(".part")) << failing << ": " << name;
            const bool final = name.ends_with(".npy") && name.find("state") == std::string::npos;
            EXPECT_TRUE(!final || bytes == results.at(name)) << failing << ": " << name;
        }
    }
    EXPECT_GT(refused, failures_each() / 2);
}

INSTANTIATE_TEST_SUITE_P(
    Commands, AllocationFails,
    ::testing::Values(
        "kernel --samples 20 --width 12 --device cpu --threads 2 --quiet --out out/K.npy",
        "kernel --kernel ntk --data sphere:n=12,d=3,seed=1 --device cpu --threads 2 --quiet --out out/K.npy",
        "kernel --weights \"$golden/arrays/weights.npz\" --data sphere:n=5,d=4,seed=1 --device cpu --quiet --out out/K.npy",
        "jacobian --samples 5 --width 12 --device cpu --threads 2 --quiet --out out/J.npy",
        "predict --samples 60 --device cpu --threads 2 --quiet --out out",
        "compare --data sphere:n=12,d=3,seed=1 --depths 2 --widths 8 --seeds 3 --device cpu --threads 2 --quiet --out out",
        "depth --data sphere:n=12,d=3,seed=1 --depths 1,10,100 --b-std 0.1 --grid-w-std 1:2:2 --grid-b-std 0:1:2 --grid-depth 50 --device "
        "cpu "
        "--threads 2 --quiet --out out",
        "ensemble --data sphere:n=2,d=2,seed=1 --width 8 --networks 5000 --device cpu --threads 2 --quiet --out out",
        "ensemble --data sphere:n=2,d=2,seed=1 --width 80 --networks 500 --sampler conditional --device cpu --threads 2 --quiet "
        "--out out"));

}  // namespace
}  // namespace ntk

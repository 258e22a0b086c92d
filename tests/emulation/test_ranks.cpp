// ntkcuda-mpi with a GPU for each rank: NCCL and cuSOLVERMp, emulated, give what one process gives on the CPU.

#include "support/program.hpp"

#include <ntkcuda/array_file.hpp>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace ntk {
namespace {

using namespace testing;
using ::testing::HasSubstr;

/// `devices`: of the machine, for all ranks.
Outcome run_ranks(const TemporaryFolder& folder, int ranks, int devices, const std::string& arguments) {
    const std::string command = fmt::format("cd '{}' && env {} EMULATED_DEVICES={} {} -np {} {} {} >.out 2>.err", folder.path(""),
                                            NTKCUDA_MPI_ENVIRONMENT, devices, NTKCUDA_MPIRUN, ranks, NTKCUDA_MPI_PROGRAM, arguments);
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_bytes(folder.path(".out")), read_bytes(folder.path(".err"))};
}

nlohmann::json results(const TemporaryFolder& folder, const std::string& run) {
    return nlohmann::json::parse(read_bytes(folder.path(run + "/run.json")))["results"];
}

void expect_close(const Array& a, const Array& b, double tolerance, const std::string& name) {
    ASSERT_EQ(a.shape, b.shape);
    for (std::size_t i = 0; i < a.values.size(); ++i) ASSERT_NEAR(a.values[i], b.values[i], tolerance) << name << ": entry " << i;
}

void expect_same_array(const TemporaryFolder& folder, const std::string& name, double tolerance) {
    expect_close(read_npy(folder.path("one/" + name)), read_npy(folder.path("all/" + name)), tolerance, name);
}

constexpr const char* on_devices = "solver    cuSOLVERMp on the GPUs: NCCL 2.28.9, cuSOLVERMp 0.9.0";

/// `files` beside the predictions are compared as well.
void expect_same_predictions(const std::string& arguments, const std::vector<int>& ranks, bool variance = false,
                             const std::string& engine = on_devices, int devices = 6) {
    const TemporaryFolder folder;
    const Outcome one = run_program(folder, "predict --device cpu " + arguments + " --quiet --out one");
    ASSERT_EQ(one.code, 0) << one.err;
    for (const int size : ranks) {
        SCOPED_TRACE(fmt::format("{} on {} ranks", arguments, size));
        const Outcome all = run_ranks(folder, size, devices, "predict --device cuda " + arguments + " --out all");
        ASSERT_EQ(all.code, 0) << all.err << all.out;
        EXPECT_THAT(all.out, HasSubstr(engine));
        const auto expected = results(folder, "one"), found = results(folder, "all");
        EXPECT_EQ(expected["accuracy"], found["accuracy"]);
        EXPECT_NEAR(expected["log_determinant"], found["log_determinant"], 1e-9 * std::fabs(expected["log_determinant"].get<double>()));
        EXPECT_NEAR(expected["condition"], found["condition"], 1e-9 * expected["condition"].get<double>());
        expect_same_array(folder, "predictions.npy", 1e-10);
        if (variance) expect_same_array(folder, "variance.npy", 1e-10);
        std::filesystem::remove_all(folder.path("all"));
    }
}

TEST(EmulatedRanks, Predictions) { expect_same_predictions("--samples 60 --ridge 1e-2", {2, 3, 4, 6}); }
TEST(EmulatedRanks, PredictionsOfFewerSamplesThanRanks) { expect_same_predictions("--samples 4 --ridge 1e-2", {6}); }
TEST(EmulatedRanks, Posterior) { expect_same_predictions("--samples 53 --kernel nngp --posterior --ridge 0.1", {2, 4, 6}, true); }
TEST(EmulatedRanks, PredictionsOfEveryOutputFromTheNetworksOwn) {
    expect_same_predictions("--samples 31 --kernel empirical-ntk --width 16 --block full --initial-function --ridge 0.1", {6});
}
/// NCCL refuses them, and the hosts do the work of the devices.
TEST(EmulatedRanks, TwoOnOneDeviceFactoriseOnTheHosts) {
    expect_same_predictions(
        "--samples 53 --kernel nngp --posterior --ridge 0.1", {2}, true,
        "solver    ScaLAPACK on the hosts, where the parts of the kernel come from the GPUs: ranks 0 and 1 share a GPU, and NCCL", 1);
}

/// Single precision gives the digits that the condition of its system leaves.
TEST(EmulatedRanks, PredictionsInSinglePrecision) {
    const TemporaryFolder folder;
    const std::string arguments = "predict --samples 53 --kernel nngp --ridge 0.1 ";
    ASSERT_EQ(run_program(folder, arguments + "--device cpu --quiet --out one").code, 0);
    const Outcome all = run_ranks(folder, 3, 3, arguments + "--device cuda --precision fp32 --out all");
    ASSERT_EQ(all.code, 0) << all.err;
    EXPECT_THAT(all.out, HasSubstr(on_devices));
    expect_same_array(folder, "predictions.npy", std::numeric_limits<float>::epsilon() * results(folder, "one")["condition"].get<double>());
}

/// one.npy and all.npy, to the rounding of sums of some hundred terms.
void expect_same_files(const TemporaryFolder& folder) {
    const Array one = read_npy(folder.path("one.npy"));
    double largest = 0;
    for (const double value : one.values) largest = std::max(largest, std::fabs(value));
    expect_close(one, read_npy(folder.path("all.npy")), 1e-14 * largest, "all.npy");
}

/// The same numbers as one process on a device: what is above the diagonal goes from device to device, or, where two ranks have one,
/// through MPI.
void expect_same_kernel(const std::string& arguments, int ranks, int devices, const std::string& engine) {
    SCOPED_TRACE(fmt::format("{} on {} ranks", arguments, ranks));
    const TemporaryFolder folder;
    const std::string kernel = "kernel --data gaussian:n=120,d=6,seed=1 --device cuda " + arguments;
    ASSERT_EQ(run_ranks(folder, 1, 1, kernel + " --quiet --out one.npy").code, 0);
    const Outcome all = run_ranks(folder, ranks, devices, kernel + " --out all.npy");
    ASSERT_EQ(all.code, 0) << all.err << all.out;
    EXPECT_THAT(all.out, HasSubstr(engine));
    expect_same_files(folder);
}

/// One rank: each piece goes to the host while the next one is made.
TEST(EmulatedRanks, JacobianInPieces) {
    const TemporaryFolder folder;
    const std::string jacobian =
        "jacobian --data sphere:n=250,d=16,seed=1 --width 32 --depth 4 --outputs 2 --b-std 0.1 --device cuda --quiet";
    ASSERT_EQ(run_ranks(folder, 1, 1, jacobian + " --out one.npy").code, 0);
    for (const char* memory : {"0.004", "0.0012"}) {
        const Outcome pieces = run_ranks(folder, 1, 1, jacobian + " --out all.npy --memory " + memory);
        ASSERT_EQ(pieces.code, 0) << pieces.err;
        expect_same_files(folder);
    }
}

constexpr const char* from_device_to_device = "mirror    from GPU to GPU: NCCL 2.28.9";

TEST(EmulatedRanks, Kernels) {
    for (const int ranks : {2, 4, 6}) expect_same_kernel("--width 16", ranks, 6, from_device_to_device);
}
TEST(EmulatedRanks, NormalizedLimits) { expect_same_kernel("--kernel ntk --normalized", 3, 3, from_device_to_device); }
TEST(EmulatedRanks, KernelsOfTwoOnOneDevice) {
    expect_same_kernel("--width 16", 2, 1, "mirror    by the hosts, through MPI: ranks 0 and 1 share a GPU");
}

TEST(EmulatedRanks, ARefusedSystemIsToldAsByOneRank) {
    const TemporaryFolder folder;
    std::string csv = "a,b,y\n";
    for (int i = 0; i < 12; ++i) csv += fmt::format("{},{},{}\n", i % 4, i % 3 % 2, i);
    folder.file("twice.csv", csv);
    const std::string arguments = "predict --data twice.csv --task regression --kernel empirical-ntk --width 4 --out P";
    const Outcome all = run_ranks(folder, 3, 3, arguments + " --device cuda");
    EXPECT_EQ(all.code, 3) << all.err;
    EXPECT_THAT(all.out, HasSubstr(on_devices));
    EXPECT_THAT(all.err, HasSubstr("equal samples"));
    EXPECT_FALSE(std::filesystem::exists(folder.path("P/predictions.npy")));
}

}  // namespace
}  // namespace ntk

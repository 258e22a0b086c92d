// Several devices: each has memory, streams and handles of its own, operations find theirs from any thread, and a sweep shared out to them
// has the bits of one.

#include "cuda/context.hpp"
#include "cuda/device_matrix.hpp"

#include <ntkcuda/compare.hpp>
#include <ntkcuda/ensemble.hpp>
#include <ntkcuda/random.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace ntk {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class Devices : public ::testing::Test {
protected:
    Devices() { emulated::settings.devices = 3; }
    ~Devices() override { emulated::settings = before_; }

private:
    emulated::Settings before_ = emulated::settings;
};
using DevicesDeathTest = Devices;

std::string refusal(const std::string& devices, ErrorCode code) {
    try {
        (void)make_backends<double>(devices);
        ADD_FAILURE() << devices << " was taken";
        return "";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), code) << error.what();
        return error.what();
    }
}

HostMatrix<double> numbers(Index rows, Index cols) { return host_normals({.seed = 5}, rows, cols); }

TEST_F(Devices, AreNamedOneByOneOrAll) {
    EXPECT_EQ(devices().size(), 4U);
    const auto ids = [](const std::string& names) {
        std::vector<std::string> found;
        for (const auto& backend : make_backends<double>(names)) found.push_back(backend->info().id());
        return found;
    };
    using Ids = std::vector<std::string>;
    EXPECT_EQ(ids("cuda:all"), (Ids{"cuda:0", "cuda:1", "cuda:2"}));
    EXPECT_EQ(ids("cuda:2,0"), (Ids{"cuda:2", "cuda:0"}));
    EXPECT_EQ(ids("cuda:1"), (Ids{"cuda:1"}));
    EXPECT_EQ(ids("auto"), (Ids{"cuda:0"}));
    EXPECT_EQ(ids("cpu"), (Ids{"cpu"}));
    for (const char* wrong : {"cuda:0,0", "cuda:0,", "cuda:0,x", "cuda:-1,0", "cpu,cuda:0", "cuda:0,cuda:1"})
        EXPECT_THAT(refusal(wrong, ErrorCode::invalid_argument), HasSubstr("cuda:0,1")) << wrong;
    EXPECT_THAT(refusal("cuda:0,3", ErrorCode::device_unavailable), HasSubstr("cuda:2 (emulated device)"));
    try {
        (void)make_backend<double>("cuda:all");
        FAIL();
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("compare and ensemble"));
    }
}

TEST_F(Devices, HaveMemoryOfTheirOwn) {
    const auto first = make_backend<double>("cuda:0"), last = make_backend<double>("cuda:2");
    const auto before = first->info().memory_free, last_before = last->info().memory_free;
    Matrix<double> large(last, 1000, 1000);
    EXPECT_EQ(first->info().memory_free, before);
    EXPECT_EQ(last->info().memory_free, last_before - 8000000);
    emulated::settings.memory = std::size_t{1} << 27;
    EXPECT_THROW((void)Matrix<double>(last, 4000, 4000), Error);
    EXPECT_NO_THROW((void)Matrix<double>(first, 3000, 3000));
}

TEST_F(Devices, EveryOperationFindsItsOwnFromAnyThread) {
    const auto first = make_backend<double>("cuda:0"), last = make_backend<double>("cuda:2");
    const HostMatrix<double> values = numbers(6, 6);
    std::optional<Matrix<double>> x, y;
    std::unique_ptr<Recording> doubling;
    std::unique_ptr<HostStaging<double>> staging;
    std::thread([&] {
        x = upload(last, values);
        y = upload(first, values);
        doubling = last->record([&] { last->scale(2, x->view()); });
        staging = last->host_staging();
    }).join();
    (void)first->info();  // cuda:0 is current on this thread
    doubling->run();
    y->backend()->scale(3, y->view());
    double sum = 0;
    staging->put(std::move(*x), [&](Index, ConstMatrixView<double> part) {
        for (Index e = 0; e < part.size(); ++e) sum += part.data()[e] - 2 * values.data()[e];
    });
    (void)first->info();
    staging->finish();
    EXPECT_EQ(sum, 0);
    EXPECT_EQ(download(*y)(1, 2), 3 * values(1, 2));
    (void)first->info();
    doubling.reset();  // memory of another device than the current one ends here
    staging.reset();
    x.reset();
    last->synchronize();
}

Dataset data(Index samples, std::uint64_t seed) {
    Dataset set;
    set.x = host_normals({.seed = seed}, samples, 4);
    set.y = host_normals({.seed = seed + 1}, samples, 1);
    return set;
}

CompareOptions small_sweep() {
    CompareOptions options;
    options.depths = {2, 3};
    options.widths = {4, 8};
    options.seeds = 5;
    return options;
}

EnsembleOptions small_ensemble() {
    EnsembleOptions options;
    options.sampler.architecture = {.inputs = 2, .hidden = {2}};
    options.networks = 9000;
    options.histograms = {{}};
    options.covariances = {{{}, {KernelEntry::Kernel::nngp, 0, 0, 0}}};
    return options;
}

TEST_F(Devices, SeveralShareOutASweepAndGiveTheBitsOfOne) {
    const Dataset train = data(6, 1), test = data(3, 7);
    const auto one = make_backends<double>("cuda:1"), all = make_backends<double>("cuda:all");
    const CompareResult alone = compare(Workers<double>(one), train, test, small_sweep());
    const CompareResult shared = compare(Workers<double>(all), train, test, small_sweep());
    ASSERT_EQ(shared.networks.size(), 20U);
    for (std::size_t i = 0; i < 20; ++i) {
        EXPECT_EQ(shared.networks[i].train_relative, alone.networks[i].train_relative);
        EXPECT_EQ(shared.networks[i].predictor_distance, alone.networks[i].predictor_distance);
    }
    for (std::size_t i = 0; i < alone.cells.size(); ++i) {
        EXPECT_EQ(shared.cells[i].train.bias_squared, alone.cells[i].train.bias_squared);
        EXPECT_EQ(shared.cells[i].diagonal_variance, alone.cells[i].diagonal_variance);
    }
}

TEST_F(Devices, SeveralShareOutAnEnsembleAndGiveTheBitsOfOne) {
    const auto one = make_backends<double>("cuda:1"), all = make_backends<double>("cuda:all");
    const HostMatrix<double> x = numbers(1, 2);
    const EnsembleState a = ensemble(Workers<double>(one), x, small_ensemble()).state(),
                        b = ensemble(Workers<double>(all), x, small_ensemble()).state();
    EXPECT_TRUE(std::equal(a.moments.values().data(), a.moments.values().data() + a.moments.values().size(), b.moments.values().data()));
    EXPECT_TRUE(
        std::equal(a.products.values().data(), a.products.values().data() + a.products.values().size(), b.products.values().data()));
    EXPECT_EQ(a.histograms[0].bins(), b.histograms[0].bins());
}

// Whatever call of one device fails, the sweep ends with an error that names the device, and nothing is left on any.
TEST_F(Devices, OneThatFailsEndsTheSweepAndIsNamed) {
    Dataset train = data(6, 1), test = data(3, 7);
    train.y = test.y = {};  // the solver's handle is made at the first use, and kept
    const auto all = make_backends<double>("cuda:all");
    const std::size_t objects = emulated::live_objects();
    int failures = 0;
    for (const long call : {20, 60, 100, 150}) {
        emulated::settings.fail_on = 1;
        emulated::settings.fail_at = call;
        emulated::calls = 0;
        emulated::failed_call.clear();
        try {
            (void)compare(Workers<double>(all), train, test, small_sweep());
            EXPECT_TRUE(emulated::failed_call.empty() || emulated::failed_call.find("Free") != std::string::npos) << emulated::failed_call;
        } catch (const Error& error) {
            ++failures;
            EXPECT_THAT(error.what(), StartsWith("cuda:1: ")) << emulated::failed_call;
        }
        emulated::settings.fail_at = -1;
        for (const auto& backend : all) try {
                backend->synchronize();
            } catch (const Error&) {  // a release that failed is told once
            }
        EXPECT_EQ(emulated::live_objects(), objects) << emulated::failed_call;
    }
    EXPECT_GT(failures, 0);
}

__global__ void read_kernel(const double*) {}

TEST_F(DevicesDeathTest, WorkOfOneOnAnotherIsFound) {
    constexpr int caught = 86;
    cuda::Context first(0), second(1);
    cuda::Buffer memory(second, 64);
    const cuda::LaunchShape one{dim3(1), dim3(1)};
    first.make_current();
    EXPECT_EXIT((void)second.allocate(8), ::testing::ExitedWithCode(caught), "not the current one");
    EXPECT_EXIT(first.launch("read", one, read_kernel, memory.as<double>()), ::testing::ExitedWithCode(caught), "no device memory");
}

}  // namespace
}  // namespace ntk

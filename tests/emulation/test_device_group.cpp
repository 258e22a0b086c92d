// ntkcuda::mpi with a device for each rank, on any number of ranks: groups, mirror images, and the closed form.

#include "mpi/parts.hpp"
#include "support/devices.hpp"
#include "support/samples.hpp"

#include <ntkcuda/closed_form.hpp>
#include <ntkcuda/mpi.hpp>

#include <emulated/device.hpp>
#include <gmock/gmock.h>

#include <limits>

namespace ntk {
namespace {

using namespace testing;
using ::testing::HasSubstr;

class DeviceGroups : public ::testing::Test {
protected:
    DeviceGroups() { emulated::settings.devices = ranks.size(); }
    ~DeviceGroups() override { emulated::settings = before_; }

    template <class Real>
    [[nodiscard]] std::shared_ptr<Backend<Real>> own_device() const {
        return make_backend<Real>("cuda:" + std::to_string(ranks.rank()));
    }

    MpiRanks ranks;

private:
    emulated::Settings before_ = emulated::settings;
};

template <class Real>
std::unique_ptr<DeviceGroup<Real>> join(MpiRanks& ranks, const std::shared_ptr<Backend<Real>>& backend) {
    std::string why_not;
    auto group = DeviceGroup<Real>::join(ranks, backend, why_not);
    EXPECT_TRUE(group) << why_not;
    return group;
}

TEST_F(DeviceGroups, AreJoinedAndNameTheirLibraries) {
    const auto backend = own_device<double>();
    const std::size_t objects = emulated::live_objects();
    EXPECT_EQ(join(ranks, backend)->libraries(), "NCCL 2.28.9, cuSOLVERMp 0.9.0");
    EXPECT_EQ(emulated::live_objects(), objects);
}

TEST_F(DeviceGroups, AreNotJoinedWhereNcclCannot) {
    std::string why_not;
    EXPECT_FALSE(DeviceGroup<double>::join(ranks, make_backend<double>("cpu", 1), why_not));
    EXPECT_EQ(why_not, "its device is the CPU");
    if (ranks.size() == 1) return;
    EXPECT_FALSE(DeviceGroup<double>::join(ranks, ranks.rank() == 1 ? make_backend<double>("cpu", 1) : own_device<double>(), why_not));
    EXPECT_EQ(why_not, "rank 1: its device is the CPU");
    EXPECT_FALSE(DeviceGroup<double>::join(ranks, make_backend<double>("cuda:0"), why_not));
    EXPECT_EQ(why_not, "ranks 0 and 1 share a GPU, and NCCL takes one rank a GPU");
}

// Whatever call fails on whatever rank: no rank waits for another, all know why, and nothing is left.
TEST_F(DeviceGroups, AreNotJoinedWhereACallFails) {
    const auto backend = own_device<double>();
    backend->synchronize();
    const std::size_t objects = emulated::live_objects();
    int failures = 0;
    for (int failing = 0; failing < ranks.size(); ++failing)
        for (long call = 1; call <= 12; ++call) {
            if (ranks.rank() == failing) emulated::settings.fail_at = call;
            emulated::calls = 0;
            std::string why_not;
            auto group = DeviceGroup<double>::join(ranks, backend, why_not);
            emulated::settings.fail_at = -1;
            EXPECT_NE(static_cast<bool>(group), !why_not.empty()) << why_not;
            if (!group) ++failures;
            group.reset();
            EXPECT_EQ(emulated::live_objects(), objects) << why_not;
        }
    EXPECT_GE(failures, 4 * ranks.size());
}

template <class Real>
void check_mirror(MpiRanks& ranks, const std::shared_ptr<Backend<Real>>& backend) {
    const auto group = join(ranks, backend);
    for (const Index n : {1, 2, 5, 37, 130})
        for (const Index each : {1, 3}) {
            const DistributedLayout layout = kernel_layout(ranks.size(), n, 0, each).repeated(each, each);
            const HostMatrix<Real> expected = part_of(gram(n * each, 2), layout, ranks.rank()).template cast<Real>();
            HostMatrix<Real> part = expected;
            for (Index i = 0; i < part.rows(); ++i)
                for (Index j = 0; j < part.cols(); ++j)
                    if (layout.global_row(ranks.rank(), i) < layout.global_col(ranks.rank(), j))
                        part(i, j) = std::numeric_limits<Real>::quiet_NaN();
            Matrix<Real> device(backend, part.rows(), part.cols());
            backend->upload(part.view(), device.view());
            group->mirror_lower(layout, device.view());
            const HostMatrix<Real> whole = download(device);
            for (Index i = 0; i < part.size(); ++i) ASSERT_EQ(whole.data()[i], expected.data()[i]) << n << " " << each << ": " << i;
        }
}

TEST_F(DeviceGroups, MakeASymmetricMatrixWhole) {
    check_mirror(ranks, own_device<double>());
    check_mirror(ranks, own_device<float>());
}

/// Against KernelSystem on this rank's CPU alone, with the tolerances of the hosts' own test (tests/mpi).
TEST_F(DeviceGroups, SolveAsOneRank) {
    const auto cpu = make_backend<double>("cpu", 1), backend = own_device<double>();
    const auto group = join(ranks, backend);
    for (const Index n : {1, 3, 37, 150}) {
        constexpr Index tests = 7, targets = 3;
        const HostMatrix<double> k = gram(n, 10), y = random_matrix(n, targets, 1), cross = random_matrix(tests, n, 2);
        HostMatrix<double> prior(tests, 1);
        for (Index i = 0; i < tests; ++i) prior(i, 0) = 100 * static_cast<double>(n);
        const KernelSystem<double> one(upload(cpu, k), 0.01);
        const DistributedLayout layout = kernel_layout(ranks.size(), n, 0, 1), cross_layout = kernel_layout(ranks.size(), tests, n, 1);
        const DistributedKernelSystem<double> all(*group, layout, upload(backend, part_of(k, layout, ranks.rank())), 0.01);
        const double tolerance = static_cast<double>(n) * 4e-16 * one.report().condition;
        EXPECT_NEAR(all.report().condition, one.report().condition, 1e-9 * one.report().condition);
        EXPECT_NEAR(all.report().log_determinant, one.report().log_determinant, 1e-12 * static_cast<double>(n) * 10);
        expect_near(all.solve(y), download(one.solve(upload(cpu, y))), 10 * tolerance);
        const HostMatrix<double> mine = part_of(cross, cross_layout, ranks.rank());
        const HostMatrix<double> expected = download(one.posterior_variance(upload(cpu, cross), upload(cpu, prior)));
        expect_near(all.posterior_variance(cross_layout, upload(backend, mine), prior), expected, 100 * static_cast<double>(n) * tolerance);
        expect_near(all.posterior_variance(cross_layout, mine, prior), expected, 100 * static_cast<double>(n) * tolerance);
    }
}

TEST_F(DeviceGroups, RefuseInTheWordsOfOneRank) {
    const auto backend = own_device<double>();
    const auto group = join(ranks, backend);
    HostMatrix<double> k = gram(40, 10);
    k(33, 33) = -1;
    std::string words;
    try {
        (void)KernelSystem<double>(upload(make_backend<double>("cpu", 1), k), 0.5);
    } catch (const Error& e) {
        words = e.what();
    }
    ASSERT_NE(words, "");
    const DistributedLayout layout = kernel_layout(ranks.size(), 40, 0, 1);
    const auto solve = [&] {
        (void)DistributedKernelSystem<double>(*group, layout, upload(backend, part_of(k, layout, ranks.rank())), 0.5);
    };
    expect_error(ErrorCode::not_positive_definite, words, solve);
    k(3, 3) = std::numeric_limits<double>::infinity();
    expect_error(ErrorCode::invalid_argument, "not finite", solve);
    expect_error(ErrorCode::shape_mismatch, "part of the kernel",
                 [&] { (void)DistributedKernelSystem<double>(*group, layout, Matrix<double>(backend, 41, 41), 0.5); });
}

}  // namespace
}  // namespace ntk

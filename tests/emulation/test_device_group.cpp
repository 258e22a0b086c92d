// ntkcuda::mpi with a device for each rank, on any number of ranks: groups, mirror images, and the closed form.

#include "mpi/systems.hpp"

#include <ntkcuda/mpi.hpp>

#include <emulated/device.hpp>
#include <gmock/gmock.h>

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
            forget_upper(layout, ranks.rank(), part);
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

class DeviceGroupSystems : public DeviceGroups {
protected:
    [[nodiscard]] auto place() {
        return [this](const HostMatrix<double>& part) { return upload(backend_, part); };
    }
    [[nodiscard]] auto make() {
        return [this](const DistributedLayout& layout, Matrix<double> part, double ridge) {
            return DistributedKernelSystem<double>(*group_, layout, std::move(part), ridge);
        };
    }

private:
    std::shared_ptr<Backend<double>> backend_ = own_device<double>();
    std::unique_ptr<DeviceGroup<double>> group_ = join(ranks, backend_);
};

TEST_F(DeviceGroupSystems, SolveAsOneRank) { expect_solves_as_one_rank(ranks, place(), make()); }
TEST_F(DeviceGroupSystems, RefuseInTheWordsOfOneRank) { expect_refuses_in_the_words_of_one_rank(ranks, place(), make()); }

}  // namespace
}  // namespace ntk

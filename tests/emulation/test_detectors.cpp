// Mistakes that the emulated device must catch, so that their absence elsewhere means something.

#include "cuda/context.hpp"
#include "cuda/device_matrix.hpp"
#include "cuda/hopper.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace ntk::cuda {
namespace {

constexpr int caught = 86;
const LaunchShape small{dim3(1), dim3(64)}, with_shared{dim3(1), dim3(64), 2048};

__global__ void add_one_kernel(double* x, int count) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < count) x[i] += 1;
}
__global__ void set_kernel(double* x) { x[threadIdx.x] = 7; }
__global__ void read_matrix_kernel(DeviceMatrix<const double>) {}
__global__ void divergent_kernel(double* x) {
    if (threadIdx.x % 2) {
        x[0] = 1;
        __syncthreads();
    } else {
        __syncthreads();
    }
}
/// The second warp never comes to the shuffle's partner: half of its lanes are at the barrier.
__global__ void stuck_kernel(double* x) {
    if (threadIdx.x < 40) {
        x[0] = __shfl_xor_sync(~0U, 1.0, 1);
    } else {
        __syncthreads();
    }
}
__global__ void shift_without_barrier_kernel(double* x) {
    __shared__ double tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    x[threadIdx.x] = tile[(threadIdx.x + 1) % 64] + tile[(threadIdx.x + 63) % 64];
}

/// A block whose one barrier expects one arrival, and room for a copy or an operand.
struct Shared {
    alignas(1024) double value[128];
    hopper::Barrier barrier;
};
__device__ Shared& with_barrier() {
    Shared& shared = hopper::dynamic_shared<Shared>();
    if (threadIdx.x == 0) shared.barrier.initialize(1);
    hopper::fence_initialized();
    __syncthreads();
    return shared;
}
__global__ void wait_for_nobody_kernel(double*) { with_barrier().barrier.wait(0); }
__global__ void arrive_twice_kernel(double*) {
    Shared& shared = with_barrier();
    if (threadIdx.x == 0) shared.barrier.arrive_and_expect(16);
    if (threadIdx.x == 1) shared.barrier.arrive();
}
__global__ void copy_kernel(double* x, int from, int to, int count) {
    Shared& shared = with_barrier();
    const auto bytes = static_cast<unsigned>(count * static_cast<int>(sizeof(double)));
    if (threadIdx.x == 0) {
        shared.barrier.arrive_and_expect(bytes);
        hopper::copy(shared.value + to, x + from, bytes, shared.barrier);
        x[0] = shared.value[1];
    }
    shared.barrier.wait(0);
    if (threadIdx.x == 0) x[1] = shared.value[1];
}
/// One product of zeros; the sums change when they are waited for.
__global__ void product_kernel(double* x, std::uint64_t layout, bool wait) {
    Shared& shared = with_barrier();
    for (int i = static_cast<int>(threadIdx.x); i < 128; i += 64) shared.value[i] = 0;
    __syncthreads();
    const std::uint64_t zeros = hopper::shared_address(shared.value) / 16 | layout << 62;
    float sums[64];
    for (float& sum : sums) sum = 7;
    hopper::multiply(sums, zeros, zeros, false);
    hopper::commit_products();
    if (threadIdx.x == 0) x[0] = sums[0];
    if (wait) hopper::wait_for_products<0>();
    if (threadIdx.x == 0) x[1] = sums[0];
}
constexpr std::size_t more_than_a_launch_has = 50000;
__global__ void large_kernel(double*) {}

class Detectors : public ::testing::Test {
protected:
    double* x() const { return memory.as<double>(); }
    std::vector<double> fetch() {
        std::vector<double> values(64);
        check(cudaMemcpyAsync(values.data(), x(), 64 * sizeof(double), cudaMemcpyDeviceToHost, context.stream()), "cudaMemcpyAsync");
        context.synchronize();
        return values;
    }
    void store(const std::vector<double>& values) {
        check(cudaMemcpyAsync(x(), values.data(), values.size() * sizeof(double), cudaMemcpyHostToDevice, context.stream()),
              "cudaMemcpyAsync");
        context.synchronize();
    }

    Context context{0};
    Buffer memory{context, 64 * sizeof(double)};
};
using DetectorsDeathTest = Detectors;

TEST_F(DetectorsDeathTest, HostReadsDeviceMemory) {
    EXPECT_EXIT(std::printf("%g", *static_cast<volatile double*>(x())), ::testing::ExitedWithCode(caught),
                "the host touched device memory");
}

TEST_F(DetectorsDeathTest, FreedArgument) {
    double* gone = static_cast<double*>(context.allocate(8));
    context.release(gone);
    context.synchronize();
    EXPECT_EXIT(context.launch("add_one", small, add_one_kernel, gone, 1), ::testing::ExitedWithCode(caught), "no device memory");
}

TEST_F(DetectorsDeathTest, FreedBeforeUse) {
    double* gone = static_cast<double*>(context.allocate(8));
    const auto use_after_free = [&] {
        context.release(gone);
        context.launch("add_one", small, add_one_kernel, gone, 1);
        context.synchronize();
    };
    EXPECT_EXIT(use_after_free(), ::testing::ExitedWithCode(caught), "freed or never allocated device memory|points to no device memory");
}

TEST_F(DetectorsDeathTest, HostPointerArgument) {
    double host = 0;
    EXPECT_EXIT(context.launch("add_one", small, add_one_kernel, &host, 1), ::testing::ExitedWithCode(caught), "no device memory");
}

TEST_F(DetectorsDeathTest, MatrixLargerThanItsMemory) {
    const ConstMatrixView<double> too_large(x(), 8, 9);
    EXPECT_EXIT(context.launch("read", small, read_matrix_kernel, too_large), ::testing::ExitedWithCode(caught), "reaches outside");
}

TEST_F(DetectorsDeathTest, DefaultStream) {
    EXPECT_EXIT(launch("add_one", nullptr, small, add_one_kernel, x(), 1), ::testing::ExitedWithCode(caught), "default stream");
}

TEST_F(DetectorsDeathTest, BarriersAtDifferentPlaces) {
    const auto run = [&] {
        context.launch("divergent", small, divergent_kernel, x());
        context.synchronize();
    };
    EXPECT_EXIT(run(), ::testing::ExitedWithCode(caught), "different __syncthreads");
}

TEST_F(DetectorsDeathTest, ThreadsThatNeverMeet) {
    const auto run = [&] {
        context.launch("stuck", small, stuck_kernel, x());
        context.synchronize();
    };
    EXPECT_EXIT(run(), ::testing::ExitedWithCode(caught), "never come");
}

TEST_F(DetectorsDeathTest, WriteBehindTheEnd) {
    const auto write_64_of_63 = [&] {
        const Buffer odd(context, 63 * sizeof(double));
        context.launch("set", small, set_kernel, odd.as<double>());
    };
    EXPECT_EXIT((write_64_of_63(), context.synchronize()), ::testing::ExitedWithCode(caught), "past the end");
}

TEST_F(DetectorsDeathTest, RecordedWorkThatFreesWhatItDidNotAllocate) {
    double* before = static_cast<double*>(context.allocate(8));
    EXPECT_EXIT((void)context.record([&] { context.release(before); }), ::testing::ExitedWithCode(caught), "did not allocate");
    context.release(before);
}

TEST_F(DetectorsDeathTest, RecordedWorkThatKeepsWhatItAllocates) {
    EXPECT_EXIT((void)context.record([&] { (void)context.allocate(8); }), ::testing::ExitedWithCode(caught), "does not free");
}

TEST_F(Detectors, RecordedWorkRunsWhenItIsLaunchedAndFindsItsMemoryUnset) {
    store(std::vector<double>(64, 1.0));
    const auto graph = context.record([&] {
        context.launch("add_one", small, add_one_kernel, x(), 63);
        const Buffer fresh(context, sizeof(double));
        check(cudaMemcpyAsync(x() + 63, fresh.as<double>(), sizeof(double), cudaMemcpyDeviceToDevice, context.stream()), "cudaMemcpyAsync");
        context.launch("set", LaunchShape{dim3(1), dim3(1)}, set_kernel, fresh.as<double>());
    });
    EXPECT_EQ(fetch(), std::vector<double>(64, 1.0));
    cudaGraphExec_t executable = nullptr;
    check(cudaGraphInstantiate(&executable, graph.get(), 0), "cudaGraphInstantiate");
    for (int run = 1; run <= 2; ++run) {
        check(cudaGraphLaunch(executable, context.stream()), "cudaGraphLaunch");
        const std::vector<double> values = fetch();
        EXPECT_EQ(values[0], 1 + run);
        EXPECT_TRUE(std::isnan(values[63])) << "memory of an earlier launch";
    }
    check(cudaGraphExecDestroy(executable), "cudaGraphExecDestroy");
}

TEST_F(DetectorsDeathTest, ArrivalsThatNeverCome) {
    const auto run = [&] {
        context.launch("wait", with_shared, wait_for_nobody_kernel, x());
        context.synchronize();
    };
    EXPECT_EXIT(run(), ::testing::ExitedWithCode(caught), "never come");
}

TEST_F(DetectorsDeathTest, ArrivalsThatNobodyExpects) {
    const auto run = [&] {
        context.launch("arrive", with_shared, arrive_twice_kernel, x());
        context.synchronize();
    };
    EXPECT_EXIT(run(), ::testing::ExitedWithCode(caught), "more arrivals");
}

TEST_F(DetectorsDeathTest, CopiesIntoSharedMemoryThatLeaveTheirs) {
    const auto run = [&](int from, int to, int count) {
        context.launch("copy", with_shared, copy_kernel, x(), from, to, count);
        context.synchronize();
    };
    EXPECT_EXIT(run(60, 0, 8), ::testing::ExitedWithCode(caught), "reads outside of device memory");
    EXPECT_EXIT(run(0, 254, 4), ::testing::ExitedWithCode(caught), "leaves dynamic shared memory");
    EXPECT_EXIT(run(1, 0, 8), ::testing::ExitedWithCode(caught), "multiples of 16 bytes");
}

TEST_F(DetectorsDeathTest, LessSharedMemoryThanTheKernelUses) {
    const auto run = [&] {
        context.launch("wait", small, wait_for_nobody_kernel, x());
        context.synchronize();
    };
    EXPECT_EXIT(run(), ::testing::ExitedWithCode(caught), "less dynamic shared memory");
}

TEST_F(DetectorsDeathTest, ProductsThatNobodyWaitsFor) {
    const auto run = [&](std::uint64_t layout, bool wait) {
        context.launch("product", with_shared, product_kernel, x(), layout, wait);
        context.synchronize();
    };
    EXPECT_EXIT(run(1, false), ::testing::ExitedWithCode(caught), "before its products");
    EXPECT_EXIT(run(2, true), ::testing::ExitedWithCode(caught), "matrix descriptor");
}

TEST_F(Detectors, ProductsAreLate) {
    context.launch("product", with_shared, product_kernel, x(), std::uint64_t{1}, true);
    const std::vector<double> values = fetch();
    EXPECT_EQ(values[0], emulated::settings.eager ? 0 : 7);
    EXPECT_EQ(values[1], 0);
}

TEST_F(Detectors, CopiesIntoSharedMemoryAreLate) {
    store(std::vector<double>(64, 1.0));
    context.launch("copy", with_shared, copy_kernel, x(), 0, 0, 8);
    const std::vector<double> values = fetch();
    EXPECT_TRUE(emulated::settings.eager || std::isnan(values[0])) << values[0];
    EXPECT_EQ(values[1], 1);
}

TEST_F(Detectors, SharedMemoryThatWasNotAskedFor) {
    const LaunchShape shape{dim3(1), dim3(64), more_than_a_launch_has};
    EXPECT_THROW(context.launch("large", shape, large_kernel, x()), Error);
    check(cudaFuncSetAttribute(large_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(more_than_a_launch_has)),
          "cudaFuncSetAttribute");
    context.launch("large", shape, large_kernel, x());
    context.synchronize();
    EXPECT_EQ(cudaFuncSetAttribute(large_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 1 << 20), cudaErrorInvalidValue);
}

TEST_F(Detectors, UnsetMemoryIsNotANumber) {
    for (const double value : fetch()) EXPECT_TRUE(std::isnan(value));
}

TEST_F(Detectors, MissingBarrierGivesOtherNumbers) {
    std::vector<double> values(64);
    for (int i = 0; i < 64; ++i) values[i] = i;
    store(values);
    context.launch("shift", small, shift_without_barrier_kernel, x());
    EXPECT_NE(fetch()[5], 4 + 6);
}

TEST_F(Detectors, ReadingBeforeWaitingGivesTheOldNumber) {
    if (emulated::settings.eager) GTEST_SKIP() << "eager streams wait by themselves";
    store(std::vector<double>(64, 1.0));
    double early = 0;
    check(cudaMemcpyAsync(&early, x(), sizeof early, cudaMemcpyDeviceToHost, context.stream()), "cudaMemcpyAsync");
    EXPECT_EQ(early, 0);
    context.synchronize();
    EXPECT_EQ(early, 1);
}

TEST_F(Detectors, AnotherStreamSeesTheNumberOnlyBehindAnEvent) {
    if (emulated::settings.eager) GTEST_SKIP() << "eager streams wait by themselves";
    const Unique<cudaStream_t, cudaStreamDestroy> other(new_stream());
    cudaEvent_t made = nullptr;
    check(cudaEventCreateWithFlags(&made, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    const Unique<cudaEvent_t, cudaEventDestroy> event(made);
    const auto first_number_on_other = [&] {
        double value = 0;
        check(cudaMemcpyAsync(&value, x(), sizeof value, cudaMemcpyDeviceToHost, other.get()), "cudaMemcpyAsync");
        check(cudaStreamSynchronize(other.get()), "cudaStreamSynchronize");
        return value;
    };
    context.launch("set", small, set_kernel, x());
    EXPECT_TRUE(std::isnan(first_number_on_other()));
    check(cudaEventRecord(event.get(), context.stream()), "cudaEventRecord");
    context.launch("add_one", small, add_one_kernel, x(), 64);  // behind the event
    check(cudaStreamWaitEvent(other.get(), event.get(), 0), "cudaStreamWaitEvent");
    EXPECT_EQ(first_number_on_other(), 7);
    context.synchronize();
    EXPECT_EQ(first_number_on_other(), 8);
}

TEST_F(Detectors, ShapesThatNoDeviceTakes) {
    for (const LaunchShape& shape :
         {LaunchShape{dim3(1), dim3(2048)}, LaunchShape{dim3(1, 70000), dim3(1)}, LaunchShape{dim3(0), dim3(32)}})
        EXPECT_THROW(context.launch("add_one", shape, add_one_kernel, x(), 1), Error);
}

TEST_F(Detectors, CopiesThatLeaveTheirMemory) {
    double host[65] = {};
    EXPECT_EQ(cudaMemcpyAsync(x(), host, sizeof host, cudaMemcpyHostToDevice, context.stream()), cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemcpyAsync(host, x(), 8, cudaMemcpyHostToDevice, context.stream()), cudaErrorInvalidValue);
}

TEST_F(Detectors, MatricesThatCublasRefuses) {
    const double one = 1;
    EXPECT_EQ(cublasDgemm_64(context.blas(), CUBLAS_OP_N, CUBLAS_OP_N, 4, 4, 4, &one, x(), 3, x(), 4, &one, x(), 4),
              CUBLAS_STATUS_INVALID_VALUE);
}

}  // namespace
}  // namespace ntk::cuda

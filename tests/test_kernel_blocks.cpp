// Kernels by blocks: every entry is shown once, and they are those of the whole kernel, on every device.

#include "support/devices.hpp"
#include "support/samples.hpp"
#include "support/tolerance.hpp"

#include <ntkcuda/gram.hpp>
#include <ntkcuda/infinite_width.hpp>
#include <ntkcuda/kernel_blocks.hpp>

namespace ntk {
namespace {

using namespace testing;

class KernelBlocksOn : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Devices, KernelBlocksOn, ::testing::ValuesIn(device_ids()),
                         [](const auto& device) { return device.param == "cpu" ? std::string("cpu") : "cuda"; });

/// All blocks put together; each entry must be shown once.
template <class Real>
HostMatrix<Real> collect(Backend<Real>& backend, const KernelBlocks& blocks, Index rows, Index cols, const ComputeBlock<Real>& compute) {
    HostMatrix<Real> all(rows, cols);
    HostMatrix<double> times(rows, cols);
    for_each_kernel_block<Real>(backend, blocks, compute, [&](Index row, Index col, ConstMatrixView<Real> entries) {
        ASSERT_LE(row + entries.rows(), rows);
        ASSERT_LE(col + entries.cols(), cols);
        for (Index i = 0; i < entries.rows(); ++i)
            for (Index j = 0; j < entries.cols(); ++j) {
                all(row + i, col + j) = entries.data()[i * entries.stride() + j];
                ++times(row + i, col + j);
            }
    });
    for (Index e = 0; e < times.size(); ++e) EXPECT_EQ(times.data()[e], 1) << "entry " << e;
    return all;
}

/// |a - b| within the rounding of `terms` products of entries of the magnitude of b's largest.
template <class Real>
void expect_same(const HostMatrix<Real>& a, const HostMatrix<Real>& b, Index terms) {
    double largest = 0;
    for (Index e = 0; e < b.size(); ++e) largest = std::max(largest, static_cast<double>(std::fabs(b.data()[e])));
    for (Index e = 0; e < b.size(); ++e) ASSERT_NEAR(a.data()[e], b.data()[e], tolerance<Real>(terms) * largest) << "entry " << e;
}

template <class Real>
void check_tangent_kernel(const std::string& device, Block block) {
    const auto backend = make_backend<Real>(device);
    const Architecture net{.inputs = 5, .hidden = {8, 6}, .outputs = 2};
    const Network<Real> network = draw_network(backend, net, 3);
    const HostMatrix<double> x = random_matrix(23, 5), y = random_matrix(11, 5, 1);
    const EmpiricalOptions options{.block = block};
    const Index r = block == Block::full ? 2 : 1;
    const auto rows_of = [&](const HostMatrix<double>& samples, Index first, Index count) {
        return upload(backend, samples.view().row_range(first, count));
    };
    const ComputeBlock<Real> symmetric = [&](const SampleBlock& b) {
        const Matrix<Real> left = rows_of(x, b.row, b.rows);
        if (b.on_diagonal()) return empirical_ntk(network, left.view(), options);
        return empirical_ntk(network, left.view(), rows_of(x, b.col, b.cols).view(), options);
    };
    const auto whole = download(empirical_ntk(network, rows_of(x, 0, 23).view(), options));
    for (const Index side : {1, 4, 23, 50})
        expect_same(collect<Real>(*backend, {23, 23, side, true}, 23 * r, 23 * r, symmetric), whole, 5 + 8 + 6);
    const auto cross = download(empirical_ntk(network, rows_of(y, 0, 11).view(), rows_of(x, 0, 23).view(), options));
    expect_same(collect<Real>(*backend, {11, 23, 6, false}, 11 * r, 23 * r,
                              [&](const SampleBlock& b) {
                                  return empirical_ntk(network, rows_of(y, b.row, b.rows).view(), rows_of(x, b.col, b.cols).view(),
                                                       options);
                              }),
                cross, 5 + 8 + 6);
}

TEST_P(KernelBlocksOn, TangentKernels) {
    for (const Block block : {Block::trace, Block::full}) {
        check_tangent_kernel<double>(GetParam(), block);
        check_tangent_kernel<float>(GetParam(), block);
    }
}

TEST_P(KernelBlocksOn, ShowEntriesInOrderAndOnce) {
    const auto backend = make_backend<double>(GetParam());
    // Entry (i, j) of the kernel is 1000 max + min: symmetric, and different everywhere below the diagonal.
    const auto entry = [](Index i, Index j) { return static_cast<double>(1000 * std::max(i, j) + std::min(i, j)); };
    const ComputeBlock<double> compute = [&](const SampleBlock& b) {
        HostMatrix<double> values(b.rows, b.cols);
        for (Index i = 0; i < b.rows; ++i)
            for (Index j = 0; j < b.cols; ++j) values(i, j) = entry(b.row + i, b.col + j);
        return upload(backend, values);
    };
    for (const auto& [rows, cols, symmetric] :
         {std::tuple<Index, Index, bool>{37, 37, true}, {37, 37, false}, {5, 90, false}, {90, 1, false}})
        for (const Index side : {1, 7, 37, 100}) {
            const HostMatrix<double> all = collect<double>(*backend, {rows, cols, side, symmetric}, rows, cols, compute);
            for (Index i = 0; i < rows; ++i)
                for (Index j = 0; j < cols; ++j) ASSERT_EQ(all(i, j), entry(i, j)) << i << ", " << j;
        }
    EXPECT_TRUE(collect<double>(*backend, {0, 0, 3, true}, 0, 0, compute).empty());
}

TEST_P(KernelBlocksOn, AnExceptionComesOutAndNothingIsShownAfterIt) {
    const auto backend = make_backend<double>(GetParam());
    const ComputeBlock<double> compute = [&](const SampleBlock& b) { return upload(backend, HostMatrix<double>(b.rows, b.cols)); };
    int shown = 0;
    expect_error(ErrorCode::io, "full", [&] {
        for_each_kernel_block<double>(*backend, {20, 20, 5, true}, compute, [&](Index, Index, ConstMatrixView<double>) {
            if (++shown == 3) throw Error(ErrorCode::io, "full");
        });
    });
    EXPECT_EQ(shown, 3);
    int computed = 0;
    const ComputeBlock<double> failing = [&](const SampleBlock& b) {
        if (++computed == 3) throw Error(ErrorCode::device_failure, "broken");
        return compute(b);
    };
    expect_error(ErrorCode::device_failure, "broken", [&] {
        for_each_kernel_block<double>(*backend, {20, 20, 5, true}, failing, [](Index, Index, ConstMatrixView<double>) {});
    });
    backend->synchronize();
}

TEST(KernelBlocks, AreCounted) {
    EXPECT_EQ((KernelBlocks{10, 10, 4, true}.count()), 6);
    EXPECT_EQ((KernelBlocks{10, 10, 4, false}.count()), 9);
    EXPECT_EQ((KernelBlocks{10, 1, 4, false}.count()), 3);
    EXPECT_EQ((KernelBlocks{10, 10, 10, true}.count()), 1);
    expect_error(ErrorCode::invalid_argument, "side", [] { (void)KernelBlocks{10, 10, 0, true}.count(); });
}

TEST(KernelBlocks, TransposesOfAnyStride) {
    const HostMatrix<double> x = random_matrix(70, 40);
    HostMatrix<double> all(50, 90);
    visit_transpose<double>(20, 10, x.view().col_range(3, 35), [&](Index row, Index col, ConstMatrixView<double> part) {
        for (Index i = 0; i < part.rows(); ++i)
            for (Index j = 0; j < part.cols(); ++j) all(row + i, col + j) = part.data()[i * part.stride() + j];
    });
    for (Index i = 0; i < 70; ++i)
        for (Index j = 0; j < 35; ++j) EXPECT_EQ(all(10 + j, 20 + i), x(i, j + 3));
}

}  // namespace
}  // namespace ntk

// Kernels on several ranks: every entry is on one rank, each pair of samples is computed once, and what is computed is the kernel.

#include "support/devices.hpp"
#include "support/samples.hpp"
#include "support/tolerance.hpp"

#include <ntkcuda/distributed_layout.hpp>
#include <ntkcuda/gram.hpp>

#include <cmath>

namespace ntk {
namespace {

using namespace testing;

TEST(RankGrid, IsNearestToASquare) {
    for (const auto& [ranks, rows, cols] :
         {std::tuple{1, 1, 1}, {2, 1, 2}, {3, 1, 3}, {4, 2, 2}, {6, 2, 3}, {7, 1, 7}, {12, 3, 4}, {64, 8, 8}}) {
        const RankGrid grid = rank_grid(ranks);
        EXPECT_EQ(grid.rows, rows);
        EXPECT_EQ(grid.cols, cols);
        for (int rank = 0; rank < ranks; ++rank) EXPECT_EQ(grid.rank(grid.row_of(rank), grid.col_of(rank)), rank);
    }
    expect_error(ErrorCode::invalid_argument, "at least one", [] { (void)rank_grid(0); });
}

TEST(CyclicAxis, DealsEveryIndexOnceInOrder) {
    for (const Index size : {0, 1, 5, 12, 37})
        for (const Index side : {1, 2, 5, 50})
            for (const int parts : {1, 2, 3, 7}) {
                const CyclicAxis axis{size, side, parts};
                std::vector<int> seen(static_cast<std::size_t>(size));
                for (int part = 0; part < parts; ++part) {
                    Index last = -1;
                    for (Index i = 0; i < axis.count(part); ++i) {
                        const Index at = axis.global(part, i);
                        ASSERT_GT(at, last);
                        ASSERT_LT(at, size);
                        ASSERT_EQ(at / side % parts, part);
                        ++seen[static_cast<std::size_t>(last = at)];
                    }
                }
                for (const int times : seen) ASSERT_EQ(times, 1);
            }
}

/// How often the pieces name each entry of a part.
HostMatrix<double> computed(const DistributedLayout& layout, int rank) {
    HostMatrix<double> times(layout.local_rows(rank), layout.local_cols(rank));
    for (const KernelPiece& piece : kernel_pieces(layout, rank))
        for (Index i = 0; i < piece.rows; ++i)
            for (Index j = 0; j < (piece.own ? i + 1 : piece.cols); ++j) ++times(piece.row + i, piece.col + j);
    return times;
}

TEST(KernelPieces, ComputeEveryPairOnce) {
    for (const int ranks : {1, 2, 3, 4, 6, 12})
        for (const Index n : {1, 2, 5, 37, 3000}) {
            const DistributedLayout symmetric = kernel_layout(ranks, n, 0, 1), cross = kernel_layout(ranks, n, 2 * n + 1, 3);
            for (int rank = 0; rank < ranks; ++rank) {
                const HostMatrix<double> pairs = computed(symmetric, rank), all = computed(cross, rank);
                for (Index i = 0; i < pairs.rows(); ++i)
                    for (Index j = 0; j < pairs.cols(); ++j)
                        ASSERT_EQ(pairs(i, j), symmetric.global_row(rank, i) >= symmetric.global_col(rank, j) ? 1 : 0)
                            << ranks << " ranks, n = " << n << ", rank " << rank << ": " << i << ", " << j;
                for (Index i = 0; i < all.size(); ++i) ASSERT_EQ(all.data()[i], 1);
            }
        }
}

TEST(KernelLayout, GivesEveryRankWorkOfMuchTheSameSize) {
    for (const int ranks : {4, 6, 16}) {
        constexpr Index n = 4000;
        const DistributedCost cost = distributed_cost(kernel_layout(ranks, n, 0, 1), 1, 1, sizeof(double));
        const double pairs = static_cast<double>(n) * (n + 1) / 2;
        EXPECT_GE(cost.computed, pairs / ranks);
        EXPECT_LE(cost.computed, 1.3 * pairs / ranks) << ranks;
        // A rank has at most one block more than its share of rows and of columns.
        const DistributedLayout layout = kernel_layout(ranks, n, 0, 1);
        const auto side = static_cast<double>(layout.rows.side);
        EXPECT_LE(cost.entries, (n / layout.grid.rows + side) * (n / layout.grid.cols + side)) << ranks;
    }
    EXPECT_EQ(kernel_layout(4, 100000, 0, 1).rows.side, 240);
    EXPECT_LE(kernel_layout(4, 100000, 0, 10).rows.side, 24);
}

TEST(DistributedCost, OfOneRankIsTheWholeKernelAndNoMessage) {
    const DistributedCost cost = distributed_cost(kernel_layout(1, 100, 0, 2), 2, 3, sizeof(double));
    EXPECT_EQ(cost.entries, 200 * 200);
    EXPECT_EQ(cost.mirrored_bytes + cost.factorise_bytes + cost.solve_bytes, 0);
}

class KernelPartsOn : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Devices, KernelPartsOn, ::testing::ValuesIn(device_ids()),
                         [](const auto& device) { return device.param == "cpu" ? std::string("cpu") : "cuda"; });

/// The rows of x that a part has.
HostMatrix<double> rows_of(const HostMatrix<double>& x, const CyclicAxis& axis, int part) {
    HostMatrix<double> rows(axis.count(part), x.cols());
    for (Index i = 0; i < rows.rows(); ++i)
        for (Index j = 0; j < x.cols(); ++j) rows(i, j) = x(axis.global(part, i), j);
    return rows;
}

/// The computed entries of the part of each rank are those of `whole`, to this part of its largest.
template <class Real, class Compute>
void check_parts(const std::shared_ptr<Backend<Real>>& backend, const HostMatrix<double>& x, const HostMatrix<Real>& whole, Index each,
                 double part_of_largest, const Compute& compute) {
    double largest = 0;
    for (Index i = 0; i < whole.size(); ++i) largest = std::max(largest, std::fabs(static_cast<double>(whole.data()[i])));
    for (const int ranks : {2, 6}) {
        const DistributedLayout samples = kernel_layout(ranks, x.rows(), 0, each), layout = samples.repeated(each, each);
        for (int rank = 0; rank < ranks; ++rank) {
            Matrix<Real> part(backend, layout.local_rows(rank), layout.local_cols(rank));
            if (part.empty()) continue;
            const auto x1 = upload(backend, rows_of(x, samples.rows, samples.grid.row_of(rank))),
                       x2 = upload(backend, rows_of(x, samples.cols, samples.grid.col_of(rank)));
            compute(part.view(), x1, x2, kernel_pieces(samples, rank));
            const auto entries = download(part);
            for (Index i = 0; i < entries.rows(); ++i)
                for (Index j = 0; j < entries.cols(); ++j) {
                    const Index row = layout.global_row(rank, i), col = layout.global_col(rank, j);
                    if (row < col) continue;
                    ASSERT_NEAR(entries(i, j), whole(row, col), part_of_largest * largest) << row << ", " << col;
                }
        }
    }
}

template <class Real>
void check_network_kernels(const std::string& device) {
    const auto backend = make_backend<Real>(device);
    const Architecture shape{.inputs = 5, .hidden = {8, 6}, .outputs = 2};
    const Network<Real> network = draw_network(backend, shape, 3);
    const HostMatrix<double> x = random_matrix(23, 5);
    const auto all = upload(backend, x);
    for (const Block block : {Block::trace, Block::full})
        for (const Method method : {Method::layerwise, Method::jacobian})
            for (const GramPrecision gram : {GramPrecision::exact, GramPrecision::half}) {
                if (gram == GramPrecision::half && (method == Method::jacobian || sizeof(Real) == sizeof(float))) continue;
                const EmpiricalOptions options{.block = block, .method = method, .gram = gram};
                check_parts<Real>(backend, x, download(empirical_ntk(network, all.view(), options)), block == Block::full ? 2 : 1,
                                  gram == GramPrecision::half ? tolerance<float>(100) : tolerance<Real>(100),
                                  [&](MatrixView<Real> out, const auto& x1, const auto& x2, const auto& pieces) {
                                      empirical_ntk_into(out, network, x1.view(), x2.view(), pieces, options);
                                  });
            }
    check_parts<Real>(backend, x, download(empirical_nngp(network, all.view())), 1, tolerance<Real>(100),
                      [&](MatrixView<Real> out, const auto& x1, const auto& x2, const auto& pieces) {
                          empirical_nngp_into(out, network, x1.view(), x2.view(), pieces);
                      });
}

TEST_P(KernelPartsOn, AreTheKernel) {
    check_network_kernels<double>(GetParam());
    check_network_kernels<float>(GetParam());
}

}  // namespace
}  // namespace ntk

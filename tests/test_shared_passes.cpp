// Ranks that share the passes over samples which several of them need have the kernel of those that compute them all.

#include "support/every_device.hpp"
#include "support/samples.hpp"
#include "support/thread_ranks.hpp"

#include <ntkcuda/distributed_layout.hpp>
#include <ntkcuda/gram.hpp>

#include <deque>
#include <span>

namespace ntk {
namespace {

using namespace testing;

template <class Real>
class SharedPasses : public EveryDevice<Real> {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(SharedPasses, Reals);

TEST(PassShares, AreContiguousMultiplesOf48AndTheRest) {
    for (const Index samples : {0, 1, 47, 48, 49, 96, 97, 1000})
        for (const int ranks : {1, 2, 3, 7}) {
            const CyclicAxis shares = pass_shares(samples, ranks);
            Index next = 0;
            for (int rank = 0; rank < ranks; ++rank) {
                const Index count = shares.count(rank);
                for (Index i = 0; i < count; ++i) ASSERT_EQ(shares.global(rank, i), next++);
                if (next < samples) {
                    EXPECT_EQ(count % 48, 0);
                    EXPECT_GT(count, 0);
                }
                EXPECT_LT(count, samples / ranks + 49);
            }
            EXPECT_EQ(next, samples);
        }
}

/// Small integers.
HostMatrix<double> integers(Index rows, Index cols, double largest, std::uint32_t which) {
    HostMatrix<double> values = random_matrix(rows, cols, which);
    for (Index i = 0; i < values.size(); ++i) values.data()[i] = std::clamp(std::round(values.data()[i]), -largest, largest);
    return values;
}

/// A network whose sums are all of integers that even float32 and FP16 hold, so that they are the same bits in any order: layers
/// 3 -> 6 -> 8 -> 2 of ReLU with derivatives by W and b.
template <class Real>
Network<Real> network_of_integers(const std::shared_ptr<Backend<Real>>& backend) {
    Weights weights;
    for (const auto& [out, in] : {std::pair{6, 3}, {8, 6}, {2, 8}}) {
        weights.weights.push_back(integers(out, in, 1, static_cast<std::uint32_t>(10 * out + in)));
        weights.biases.push_back(integers(1, out, 1, static_cast<std::uint32_t>(out)));
    }
    Architecture like;
    like.parametrization = Parametrization::standard;
    like.weight_std = 1;
    like.bias_std = 0.5;
    return make_network(backend, architecture_of(weights, like), weights);
}

HostMatrix<double> rows_of(const HostMatrix<double>& x, const CyclicAxis& axis, int part) {
    HostMatrix<double> rows(axis.count(part), x.cols());
    for (Index i = 0; i < rows.rows(); ++i) std::copy_n(x.data() + axis.global(part, i) * x.cols(), x.cols(), rows.data() + i * x.cols());
    return rows;
}

/// Every rank computes its part in groups of threads: work(out, x1, x2, pieces, groups). Of what the pieces name, the entries are those of
/// `whole`.
template <class Real, class Compute>
void check_parts(const std::string& device, const DistributedLayout& samples, const HostMatrix<double>& x1, const HostMatrix<double>& x2,
                 Index each, const HostMatrix<Real>& whole, const Compute& compute) {
    const RankGrid& grid = samples.grid;
    const DistributedLayout layout = samples.repeated(each, each);
    std::deque<ThreadGroup> rows, cols;
    for (int row = 0; row < grid.rows; ++row) rows.emplace_back(grid.cols);
    for (int col = 0; col < grid.cols; ++col) cols.emplace_back(grid.rows);
    on_ranks(grid.rows * grid.cols, [&](Ranks& ranks) {
        const int rank = ranks.rank(), row = grid.row_of(rank), col = grid.col_of(rank);
        ThreadRanks same_rows(rows[static_cast<std::size_t>(row)], col, grid.cols);
        ThreadRanks same_cols(cols[static_cast<std::size_t>(col)], row, grid.rows);
        const auto backend = make_backend<Real>(device, 1);
        Matrix<Real> part(backend, layout.local_rows(rank), layout.local_cols(rank));
        compute(part.view(), network_of_integers(backend), upload(backend, rows_of(x1, samples.rows, row)),
                upload(backend, rows_of(x2, samples.cols, col)), kernel_pieces(samples, rank), PassGroups{same_rows, same_cols});
        const HostMatrix<Real> entries = download(part);
        for (const KernelPiece& piece : kernel_pieces(layout, rank))
            for (Index i = piece.row; i < piece.row + piece.rows; ++i)
                for (Index j = piece.col; j < piece.col + (piece.own ? i - piece.row + 1 : piece.cols); ++j)
                    ASSERT_EQ(entries(i, j), whole(layout.global_row(rank, i), layout.global_col(rank, j)))
                        << "rank " << rank << " of " << grid.rows << " x " << grid.cols << ": " << i << ", " << j;
    });
}

/// n samples and tests that are few enough for ranks without a share, and many enough for shares of several sizes.
constexpr std::tuple<int, Index, Index> cases[] = {{2, 5, 0}, {6, 2, 0}, {2, 203, 0}, {6, 311, 0}, {4, 130, 220}, {3, 150, 0}, {6, 3, 170}};
/// The last two on devices, which differ from the CPU in nothing but the way of what is gathered.
std::span<const std::tuple<int, Index, Index>> cases_on(const std::string& device) {
    return device == "cpu" ? std::span(cases) : std::span(cases).last(2);
}

template <class Real>
void check_tangent_kernel(const std::string& device, const EmpiricalOptions& options) {
    const auto backend = make_backend<Real>(device, 1);
    const Network<Real> network = network_of_integers(backend);
    const Index each = options.block == Block::full ? 2 : 1;
    for (const auto& [ranks, n, others] : cases_on(device)) {
        const HostMatrix<double> x1 = integers(n, 3, 2, 1), x2 = others > 0 ? integers(others, 3, 2, 2) : x1;
        const auto all1 = upload(backend, x1), all2 = upload(backend, x2);
        check_parts<Real>(
            device, kernel_layout(ranks, n, others, each), x1, x2, each,
            download(empirical_ntk(network, all1.view(), all2.view(), options)),
            [&](MatrixView<Real> out, const Network<Real>& own, const auto& rows, const auto& cols, const auto& pieces,
                const PassGroups& groups) { empirical_ntk_into(out, own, rows.view(), cols.view(), pieces, options, {}, groups); });
    }
}

TYPED_TEST(SharedPasses, GiveTheTangentKernelOfAllMethods) {
    for (const auto& id : device_ids()) {
        SCOPED_TRACE(id);
        for (const Block block : {Block::trace, Block::full}) {
            check_tangent_kernel<TypeParam>(id, {.block = block});
            check_tangent_kernel<TypeParam>(id, {.block = block, .method = Method::jacobian});
            check_tangent_kernel<TypeParam>(id, {.block = block, .gram = GramPrecision::half});
        }
    }
}

TYPED_TEST(SharedPasses, GiveTheNngp) {
    for (const auto& id : device_ids()) {
        SCOPED_TRACE(id);
        const auto backend = make_backend<TypeParam>(id, 1);
        const Network<TypeParam> network = network_of_integers(backend);
        for (const auto& [ranks, n, others] : cases_on(id)) {
            const HostMatrix<double> x1 = integers(n, 3, 2, 1), x2 = others > 0 ? integers(others, 3, 2, 2) : x1;
            const auto all1 = upload(backend, x1), all2 = upload(backend, x2);
            check_parts<TypeParam>(
                id, kernel_layout(ranks, n, others, 1), x1, x2, 1, download(empirical_nngp(network, all1.view(), all2.view())),
                [](MatrixView<TypeParam> out, const Network<TypeParam>& own, const auto& rows, const auto& cols, const auto& pieces,
                   const PassGroups& groups) { empirical_nngp_into(out, own, rows.view(), cols.view(), pieces, groups); });
        }
    }
}

/// Of a network without hidden layers nothing is passed on; terms of layers come as they do on one rank.
TYPED_TEST(SharedPasses, TakeAnyDepthAndTermsOfLayers) {
    this->on_devices([](const std::shared_ptr<Backend<TypeParam>>& backend) {
        const HostMatrix<double> x = integers(130, 3, 2, 1);
        const auto all = upload(backend, x);
        const KernelPiece whole{{0, 130, 0, 130}, false};
        Architecture linear;
        linear.inputs = 3;
        for (const Network<TypeParam>& network : {draw_network(backend, linear, 1), network_of_integers(backend)}) {
            std::vector<HostMatrix<double>> terms, expected;
            EmpiricalOptions options;
            options.per_layer = [&](Index, const HostMatrix<double>& term) { expected.push_back(term); };
            const auto kernel = download(empirical_ntk(network, all.view(), all.view(), options));
            std::deque<ThreadGroup> cols;
            for (int rank = 0; rank < 2; ++rank) cols.emplace_back(1);
            ThreadGroup row(2);
            on_ranks(2, [&](Ranks& ranks) {
                const auto own_backend = make_backend<TypeParam>(backend->info().id(), 1);
                ThreadRanks same_rows(row, ranks.rank(), 2), alone(cols[static_cast<std::size_t>(ranks.rank())], 0, 1);
                const Network<TypeParam> own =
                    network.architecture.hidden.empty() ? draw_network(own_backend, linear, 1) : network_of_integers(own_backend);
                const auto mine = upload(own_backend, x);
                EmpiricalOptions own_options;
                if (ranks.root()) own_options.per_layer = [&](Index, const HostMatrix<double>& term) { terms.push_back(term); };
                Matrix<TypeParam> out(own_backend, 130, 130);
                empirical_ntk_into(out.view(), own, mine.view(), mine.view(), std::span(&whole, 1), own_options, {},
                                   PassGroups{same_rows, alone});
                EXPECT_TRUE(same_bits(download(out), kernel));
            });
            ASSERT_EQ(terms.size(), expected.size());
            for (std::size_t l = 0; l < terms.size(); ++l) EXPECT_TRUE(same_bits(terms[l], expected[l])) << l;
        }
    });
}

}  // namespace
}  // namespace ntk

// Products with kernels: equal to the kernel times the vectors to rounding, whatever is kept, however samples are spread.

#include <ntkcuda/infinite_width.hpp>
#include <ntkcuda/kernel_operator.hpp>

#include "support/every_device.hpp"
#include "support/samples.hpp"
#include "support/thread_ranks.hpp"
#include "support/tolerance.hpp"

#include <gtest/gtest.h>

namespace ntk {
namespace {

using namespace testing;

constexpr Index samples = 150, tests = 37, columns = 3;  // more than two batches of the smallest size

std::vector<Architecture> architectures() {
    Architecture plain{.inputs = 5, .hidden = {16, 24}, .outputs = 1};
    Architecture several{.inputs = 5, .hidden = {16, 12}, .outputs = 3, .activation = parse_activation("erf")};
    several.bias_std = 0.3;
    several.biases = Biases::trained;
    Architecture standard{.inputs = 5, .hidden = {20}, .outputs = 2, .activation = parse_activation("abs")};
    standard.bias_std = 0.2;
    standard.biases = Biases::trained;
    standard.parametrization = Parametrization::standard;
    Architecture fixed{.inputs = 5, .hidden = {12, 12, 12}, .outputs = 2, .activation = parse_activation("leaky_relu:0.1")};
    fixed.bias_std = 0.4;
    fixed.biases = Biases::fixed;
    Architecture linear{.inputs = 5, .hidden = {}, .outputs = 2};
    linear.bias_std = 0.1;
    linear.biases = Biases::trained;
    return {plain, several, standard, fixed, linear};
}

/// Nothing kept and the smallest batches; batches of odd sizes of which some are kept; all at once.
std::vector<OperatorOptions> memories(Block block) {
    return {{.block = block, .memory = 0}, {.block = block, .memory = 200e3, .most_batch = 100}, {.block = block, .memory = 1e9}};
}

template <class Real>
HostMatrix<double> host(const Matrix<Real>& matrix) {
    return download(matrix).template cast<double>();
}

/// Sums of this length, of products that are sums themselves, layer behind layer.
template <class Real>
constexpr double rounding = 4 * tolerance<Real>(samples + 100);

/// What an operator says of K (n r x n r), `cross` (tests r x n r) and v.
template <class Real>
void expect_kernel(KernelOperator<Real>& op, const Matrix<Real>& kernel, const Matrix<Real>& cross, const Matrix<Real>& x) {
    const auto& backend = op.backend();
    const Index rows = kernel.rows(), r = op.rows_per_sample();
    ASSERT_EQ(op.all_rows(), rows);
    const Matrix<Real> v = upload(backend, random_matrix(rows, columns, 7));
    Matrix<Real> expected(backend, rows, columns), product(backend, rows, columns), expected_cross(backend, cross.rows(), columns);
    backend->gemm(Transpose::no, Transpose::no, 1, kernel.view(), v.view(), 0, expected.view());
    backend->gemm(Transpose::no, Transpose::no, 1, cross.view(), v.view(), 0, expected_cross.view());
    op.apply(v.view(), product.view());
    EXPECT_LE(relative_distance(host(product), host(expected)), rounding<Real>);
    EXPECT_LE(relative_distance(host(op.cross(x.view(), v.view())), host(expected_cross)), rounding<Real>);
    const std::vector<Index> chosen{0, 140, 7, 64};
    const HostMatrix<double> all = host(kernel), some = host(op.columns(chosen)), diagonal = host(op.diagonal());
    HostMatrix<double> expected_columns(rows, 4 * r), expected_diagonal(rows, 1);
    for (Index i = 0; i < rows; ++i) {
        expected_diagonal(i, 0) = all(i, i);
        for (Index j = 0; j < 4 * r; ++j) expected_columns(i, j) = all(i, chosen[static_cast<std::size_t>(j / r)] * r + j % r);
    }
    EXPECT_LE(relative_distance(some, expected_columns), rounding<Real>);
    EXPECT_LE(relative_distance(diagonal, expected_diagonal), rounding<Real>);
}

template <class Real>
class KernelOperators : public EveryDevice<Real> {};
using Precisions = ::testing::Types<float, double>;
TYPED_TEST_SUITE(KernelOperators, Precisions);

TYPED_TEST(KernelOperators, TangentProductsAreThoseOfTheKernel) {
    using Real = TypeParam;
    this->on_devices([](const std::shared_ptr<Backend<Real>>& backend) {
        for (const Architecture& architecture : architectures())
            for (const Block block : {Block::trace, Block::full}) {
                SCOPED_TRACE(::testing::Message() << "depth " << architecture.depth() << ", block " << static_cast<int>(block));
                const Network<Real> network = draw_network(backend, architecture, 3);
                const Matrix<Real> x = upload(backend, random_matrix(samples, 5)), test = upload(backend, random_matrix(tests, 5, 1));
                const Matrix<Real> kernel = empirical_ntk(network, x.view(), {.block = block}),
                                   cross = empirical_ntk(network, test.view(), x.view(), {.block = block});
                for (const OperatorOptions& options : memories(block)) {
                    SCOPED_TRACE(options.memory);
                    const auto op = tangent_operator(network, x.view(), 2, options);  // of three columns, two and then one
                    expect_kernel(*op, kernel, cross, test);
                }
            }
    });
}

TYPED_TEST(KernelOperators, NngpProductsAreThoseOfTheKernel) {
    using Real = TypeParam;
    this->on_devices([](const std::shared_ptr<Backend<Real>>& backend) {
        for (const Architecture& architecture : architectures()) {
            const Network<Real> network = draw_network(backend, architecture, 3);
            const Matrix<Real> x = upload(backend, random_matrix(samples, 5)), test = upload(backend, random_matrix(tests, 5, 1));
            for (const OperatorOptions& options : memories(Block::trace)) {
                const auto op = nngp_operator(network, x.view(), columns, options);
                expect_kernel(*op, empirical_nngp(network, x.view()), empirical_nngp(network, test.view(), x.view()), test);
            }
        }
    });
}

template <class Real>
KernelTiles<Real> limit_tiles(const std::shared_ptr<Backend<Real>>& backend, const Architecture& architecture) {
    KernelTiles<Real> tiles;
    tiles.cross = [=](ConstMatrixView<Real> x1, ConstMatrixView<Real> x2) {
        Matrix<Real> out(backend, x1.rows(), x2.rows());
        infinite_width_kernel_into(out.view(), backend, architecture, InfiniteKernel::ntk, x1, x2);
        return out;
    };
    tiles.symmetric = [=](ConstMatrixView<Real> x) {
        Matrix<Real> out(backend, x.rows(), x.rows());
        infinite_width_kernel_into(out.view(), backend, architecture, InfiniteKernel::ntk, x);
        return out;
    };
    tiles.diagonal = [=](ConstMatrixView<Real> x) {
        Matrix<Real> copy(backend, x.rows(), x.cols());
        backend->copy(x, copy.view());
        return infinite_width_diagonal(architecture, InfiniteKernel::ntk, copy);
    };
    return tiles;
}

TYPED_TEST(KernelOperators, TiledProductsAreThoseOfTheKernel) {
    using Real = TypeParam;
    this->on_devices([](const std::shared_ptr<Backend<Real>>& backend) {
        const Architecture architecture{.inputs = 5, .hidden = {1, 1}};
        const Matrix<Real> x = upload(backend, random_matrix(samples, 5)), test = upload(backend, random_matrix(tests, 5, 1));
        const Matrix<Real> kernel = infinite_width_kernel(architecture, InfiniteKernel::ntk, x),
                           cross = infinite_width_kernel(architecture, InfiniteKernel::ntk, test, x);
        for (const OperatorOptions& options : memories(Block::trace)) {
            const auto op = tiled_operator(backend, x.view(), limit_tiles(backend, architecture), options);
            expect_kernel(*op, kernel, cross, test);
        }
    });
}

/// The vectors of one rank, and back.
template <class Real>
Matrix<Real> own_rows(const KernelOperator<Real>& op, const HostMatrix<double>& all) {
    const Index r = op.rows_per_sample();
    return upload<Real>(op.backend(), all.view().row_range(op.share().first * r, op.rows()));
}

TEST(KernelOperatorRanks, EveryRankHasItsRowsOfTheSameProduct) {
    for (const int count : {2, 3})
        for (const bool tiled : {false, true})
            on_ranks(count, [&](Ranks& ranks) {
                const auto backend = make_backend<double>("cpu", 1);
                Architecture architecture = architectures()[1];
                if (tiled) architecture = {.inputs = 5, .hidden = {1, 1}};
                const Network<double> network = draw_network(backend, architecture, 3);
                const Matrix<double> x = upload(backend, random_matrix(samples, 5)), test = upload(backend, random_matrix(tests, 5, 1));
                const OperatorOptions options{.block = Block::full, .memory = 1e6};
                const auto make = [&](Ranks& these) {
                    return tiled ? tiled_operator(backend, x.view(), limit_tiles(backend, architecture), options, these)
                                 : tangent_operator(network, x.view(), columns, options, these);
                };
                const auto op = make(ranks), alone = make(one_rank());
                const HostMatrix<double> v = random_matrix(op->all_rows(), columns, 7);
                const Matrix<double> mine = own_rows(*op, v), all = upload(backend, v);
                Matrix<double> product(backend, op->rows(), columns), whole(backend, op->all_rows(), columns);
                op->apply(mine.view(), product.view());
                alone->apply(all.view(), whole.view());
                EXPECT_LE(relative_distance(host(product), host(own_rows(*op, host(whole)))), rounding<double>);
                EXPECT_LE(relative_distance(host(op->cross(test.view(), mine.view())), host(alone->cross(test.view(), all.view()))),
                          rounding<double>);
                EXPECT_LE(relative_distance(host(op->columns({140, 2})), host(own_rows(*op, host(alone->columns({140, 2}))))),
                          rounding<double>);
            });
}

TEST(KernelOperatorPlan, FitsInWhatIsGivenAndSaysWhatItTakes) {
    const Architecture architecture{.inputs = 64, .hidden = {512, 512}};
    const Index n = 50000;
    const double units = 1024, products = 64 * 512 + 512 * 512 + 512;
    const OperatorPlan all = plan_tangent_operator<double>(architecture, n, 1, {.memory = 4e9});
    EXPECT_EQ(all.kept * all.batch >= n, true);
    EXPECT_LE(all.bytes, 4e9);
    EXPECT_EQ(all.product_flops, 4 * products * n);
    const OperatorPlan some = plan_tangent_operator<double>(architecture, n, 1, {.memory = 5e8});
    EXPECT_LE(some.bytes, 5e8);
    EXPECT_GT(some.kept, 0);
    EXPECT_GE(some.bytes, static_cast<double>(some.kept * some.batch) * 2 * units * 8);
    EXPECT_EQ(some.product_flops, 4 * products * n + 8 * products * static_cast<double>(n - some.kept * some.batch));
    EXPECT_EQ(some.gradient_numbers, products);
}

TEST(KernelOperatorRefusals, BlocksAndShapes) {
    const auto backend = make_backend<double>("cpu", 1);
    const Network<double> network = draw_network(backend, architectures()[0], 3);
    const Matrix<double> x = upload(backend, random_matrix(10, 5)), wrong = upload(backend, random_matrix(10, 4)),
                         v = upload(backend, random_matrix(9, 1));
    expect_error(ErrorCode::invalid_argument, "diag", [&] { (void)tangent_operator(network, x.view(), 1, {.block = Block::diag}); });
    expect_error(ErrorCode::shape_mismatch, "features", [&] { (void)tangent_operator(network, wrong.view(), 1); });
    const auto op = tangent_operator(network, x.view(), 1);
    Matrix<double> out(backend, 9, 1);
    expect_error(ErrorCode::shape_mismatch, "10 rows", [&] { op->apply(v.view(), out.view()); });
}

}  // namespace
}  // namespace ntk

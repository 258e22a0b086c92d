#include "support/devices.hpp"
#include "support/golden.hpp"
#include "support/oracle.hpp"
#include "support/samples.hpp"

#include "host/jacobian_rows.hpp"

#include <ntkcuda/gram.hpp>
#include <ntkcuda/propagate.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace ntk {
namespace {

using namespace testing;
using nlohmann::json;

/// Entries to 1e-12 of sqrt(K(i,i) K(j,j)), which for a diagonal entry is its own size; where that is 0 the entry must be 0.
void expect_kernel(const HostMatrix<double>& got, const HostMatrix<double>& expected, const HostMatrix<double>& rows,
                   const HostMatrix<double>& cols, double relative = 1e-12) {
    ASSERT_EQ(got.rows(), expected.rows());
    ASSERT_EQ(got.cols(), expected.cols());
    for (Index i = 0; i < got.rows(); ++i)
        for (Index j = 0; j < got.cols(); ++j)
            ASSERT_NEAR(got(i, j), expected(i, j), relative * std::sqrt(rows(i, 0) * cols(j, 0))) << i << ", " << j;
}

HostMatrix<double> diagonal_column(const HostMatrix<double>& kernel) {
    HostMatrix<double> diagonal(kernel.rows(), 1);
    for (Index i = 0; i < kernel.rows(); ++i) diagonal(i, 0) = kernel(i, i);
    return diagonal;
}

HostMatrix<double> block_of(const HostMatrix<double>& x, Index row, Index rows, Index col, Index cols) {
    HostMatrix<double> block(rows, cols);
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < cols; ++j) block(i, j) = x(row + i, col + j);
    return block;
}

Architecture three_outputs() {
    Architecture architecture;
    architecture.inputs = 6;
    architecture.hidden = {40, 33};
    architecture.outputs = 3;
    architecture.biases = Biases::trained;
    architecture.bias_std = 0.3;
    return architecture;
}

class OnDevice : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Devices, OnDevice, ::testing::ValuesIn(device_ids()));

/// Each of the four operands of an entry is off by 2^-11 at most, relative to its own entries; the float32 sums are far below.
TEST_P(OnDevice, HalfGramIsTheExactKernelToElevenBits) {
    const auto backend = make_backend<double>(GetParam());
    const Network<double> network = draw_network(backend, three_outputs(), 5);
    const Matrix<double> x1 = upload(backend, random_matrix(23, 6)), x2 = upload(backend, random_matrix(9, 6, 1));
    for (const Block block : {Block::trace, Block::full}) {
        EmpiricalOptions exact, half;
        exact.block = half.block = block;
        half.gram = GramPrecision::half;
        const auto expected = download(empirical_ntk(network, x1.view(), exact)), got = download(empirical_ntk(network, x1.view(), half));
        const auto other = diagonal_column(download(empirical_ntk(network, x2.view(), exact))), own = diagonal_column(expected);
        expect_kernel(got, expected, own, own, 0x1p-9);
        expect_kernel(download(empirical_ntk(network, x1.view(), x2.view(), half)),
                      download(empirical_ntk(network, x1.view(), x2.view(), exact)), own, other, 0x1p-9);
        EXPECT_NE(got(1, 0), expected(1, 0));
        EXPECT_EQ(got(1, 0), got(0, 1));

        HostMatrix<double> sum(got.rows(), got.cols());
        half.per_layer = [&](Index, const HostMatrix<double>& term) {
            for (Index e = 0; e < sum.size(); ++e) sum.data()[e] += term.data()[e];
        };
        (void)empirical_ntk(network, x1.view(), half);
        expect_kernel(sum, got, own, own, 1e-14);
    }
}

TEST_P(OnDevice, HalfGramLeavesTheDiagonalExactAndRefusesTheJacobian) {
    const auto backend = make_backend<double>(GetParam());
    const Network<double> network = draw_network(backend, three_outputs(), 5);
    const Matrix<double> x = upload(backend, random_matrix(7, 6));
    EmpiricalOptions options;
    options.block = Block::diag;
    const auto exact = download(empirical_ntk(network, x.view(), options));
    options.gram = GramPrecision::half;
    const auto half = download(empirical_ntk(network, x.view(), options));
    for (Index e = 0; e < exact.size(); ++e) EXPECT_EQ(half.data()[e], exact.data()[e]);
    options.method = Method::jacobian;
    EXPECT_THROW((void)empirical_ntk(network, x.view(), options), Error);
}

/// A Gram matrix of rounded operands: no eigenvalue below zero by more than the float32 sums, though half the samples are near duplicates.
TEST_P(OnDevice, HalfGramOfNearDuplicatesIsPositiveSemidefinite) {
    const auto backend = make_backend<double>(GetParam());
    const Network<double> network = draw_network(backend, three_outputs(), 5);
    HostMatrix<double> x = random_matrix(40, 6);
    for (Index i = 0; i < 20; ++i)
        for (Index j = 0; j < 6; ++j) x(20 + i, j) = x(i, j) * (1 + 1e-7 * static_cast<double>(j));
    EmpiricalOptions options;
    options.gram = GramPrecision::half;
    Matrix<double> kernel = empirical_ntk(network, upload(backend, x).view(), options), values(backend, 40, 1);
    const double size = backend->norms(kernel.view()).max_abs;
    backend->eigen(kernel.view(), values.view(), false);
    EXPECT_GT(download(values)(0, 0), -40 * 0x1p-24 * size);
}

// tests/golden/make_empirical_ntk.py: depths 1 to 5, four activations, both parametrizations, three kinds of biases, 3 outputs, a zero
// sample.
TEST_P(OnDevice, KernelsAndJacobiansEqualAutograd) {
    const auto backend = make_backend<double>(GetParam());
    const json golden = testing::golden("empirical_ntk.json");
    const HostMatrix<double> x = matrix_of(golden["x"]);
    const Index n = x.rows();
    const Matrix<double> inputs = upload(backend, x);
    int cases = 0;
    for (const json& c : golden["cases"]) {
        const json& net = golden["networks"][std::to_string(c["depth"].get<int>())];
        const std::string biases = c["biases"];
        SCOPED_TRACE(c["activation"].get<std::string>() + " " + c["parametrization"].get<std::string>() + " biases " + biases + " depth " +
                     c["depth"].dump());
        Weights weights;
        for (const json& w : net["weights"]) weights.weights.push_back(matrix_of(w));
        if (biases != "none")
            for (const json& b : net["biases"]) weights.biases.push_back(matrix_of(json::array({b})));
        Architecture like;
        like.activation = parse_activation(c["activation"]);
        like.weight_std = golden["weight_std"];
        like.bias_std = biases == "none" ? 0 : golden["bias_std"].get<double>();
        like.parametrization = c["parametrization"] == "ntk" ? Parametrization::ntk : Parametrization::standard;
        Architecture architecture = architecture_of(weights, like);
        if (biases == "fixed") architecture.biases = Biases::fixed;
        const auto network = make_network(backend, architecture, weights);
        const Index o = architecture.outputs;

        const HostMatrix<double> output = download(forward<double>(network, inputs.view()).output);
        for (Index e = 0; e < output.size(); ++e)
            EXPECT_NEAR(output.data()[e], c["output"][static_cast<std::size_t>(e)].get<double>(), 1e-13);

        HostMatrix<double> full(n * o, n * o);
        for (Index i = 0, e = 0; i < n * o; ++i)
            for (Index j = 0; j <= i; ++j, ++e) full(i, j) = full(j, i) = c["kernel"][static_cast<std::size_t>(e)].get<double>();
        const HostMatrix<double> scale = diagonal_column(full), trace = mean_over_outputs(full, o), trace_scale = diagonal_column(trace);
        const auto x1 = inputs.view().row_range(0, 3), x2 = inputs.view().row_range(1, 3);
        for (const Method method : {Method::layerwise, Method::jacobian}) {
            EmpiricalOptions options;
            options.method = method;
            options.block = Block::full;
            expect_kernel(download(empirical_ntk<double>(network, inputs.view(), options)), full, scale, scale);
            expect_kernel(download(empirical_ntk<double>(network, x1, x2, options)), block_of(full, 0, 3 * o, o, 3 * o), scale,
                          block_of(scale, o, 3 * o, 0, 1));
            options.block = Block::trace;
            expect_kernel(download(empirical_ntk<double>(network, inputs.view(), options)), trace, trace_scale, trace_scale);
            expect_kernel(download(empirical_ntk<double>(network, x1, x2, options)), block_of(trace, 0, 3, 1, 3), trace_scale,
                          block_of(trace_scale, 1, 3, 0, 1));
            options.block = Block::diag;
            const HostMatrix<double> diagonal = download(empirical_ntk<double>(network, inputs.view(), options));
            for (Index i = 0; i < n * o; ++i) EXPECT_NEAR(diagonal.data()[i], full(i, i), 1e-12 * full(i, i));
        }
        if (c.contains("jacobian")) {
            const HostMatrix<double> j = download(jacobian<double>(network, inputs.view().row_range(0, 2)));
            ASSERT_EQ(static_cast<std::size_t>(j.size()), c["jacobian"].size());
            for (Index e = 0; e < j.size(); ++e) EXPECT_NEAR(j.data()[e], c["jacobian"][static_cast<std::size_t>(e)].get<double>(), 1e-13);
        }
        ++cases;
    }
    EXPECT_EQ(cases, 6 + 4 * 4 * 2 * 3);
}

TEST_P(OnDevice, JacobianIsTheDerivative) {
    const auto backend = make_backend<double>(GetParam());
    for (const char* activation : {"erf", "relu", "leaky_relu:0.2", "abs"})
        for (const auto parametrization : {Parametrization::ntk, Parametrization::standard})
            for (const auto biases : {Biases::none, Biases::fixed, Biases::trained}) {
                const Architecture architecture{
                    3, {4, 2}, 2, parse_activation(activation), 1.2, biases == Biases::none ? 0 : 0.3, biases, parametrization};
                const Weights weights = random_weights(architecture, 5);
                const HostMatrix<double> x = random_matrix(3, 3, 5);
                double to_kink = 1;
                for (Index i = 0; i < 3; ++i) (void)oracle_output(architecture, weights, x.data() + 3 * i, &to_kink);
                ASSERT_GT(to_kink, 0.005) << "the differences step over a kink";
                const HostMatrix<double> expected = oracle_jacobian(architecture, weights, x);
                const Matrix<double> inputs = upload(backend, x);
                const HostMatrix<double> j = download(jacobian<double>(make_network(backend, architecture, weights), inputs.view()));
                ASSERT_EQ(j.cols(), architecture.parameters());
                for (Index e = 0; e < j.size(); ++e) ASSERT_NEAR(j.data()[e], expected.data()[e], 1e-9) << activation << " " << e;
            }
}

TEST_P(OnDevice, RowsOfTheJacobianAreThoseOfTheWhole) {
    const auto backend = make_backend<double>(GetParam());
    const Network<double> network = draw_network(backend, three_outputs(), 5);
    const Matrix<double> x = upload(backend, random_matrix(7, 6));
    const HostMatrix<double> whole = download(jacobian<double>(network, x.view()));
    for (const auto& [first, count] : {std::pair<Index, Index>{0, 7}, {2, 3}, {6, 1}, {4, 0}})
        EXPECT_TRUE(same_bits(download(jacobian_rows<double>(network, x.view(), first, count)),
                              block_of(whole, 3 * first, 3 * count, 0, whole.cols())))
            << first << " " << count;
    expect_error(ErrorCode::shape_mismatch, "samples 5 to 8", [&] { (void)jacobian_rows<double>(network, x.view(), 5, 3); });
}

template <class Real>
class Example {
public:
    Example(const std::string& device, Architecture architecture, Index n, int threads = 0)
        : backend_(make_backend<Real>(device, threads)),
          network_(draw_network(backend_, architecture, 5)),
          x_(upload(backend_, random_matrix(n, architecture.inputs))),
          y_(upload(backend_, random_matrix(n / 2 + 1, architecture.inputs, 1))) {}

    [[nodiscard]] HostMatrix<Real> kernel(Block block, Method method = Method::layerwise, Index block_bytes = Index{256} << 20) const {
        EmpiricalOptions options;
        options.block = block;
        options.method = method;
        options.jacobian_block_bytes = block_bytes;
        return download(empirical_ntk<Real>(network_, x_.view(), options));
    }
    [[nodiscard]] HostMatrix<Real> cross(Block block, Method method = Method::layerwise, Index block_bytes = Index{256} << 20) const {
        EmpiricalOptions options;
        options.block = block;
        options.method = method;
        options.jacobian_block_bytes = block_bytes;
        return download(empirical_ntk<Real>(network_, y_.view(), x_.view(), options));
    }
    [[nodiscard]] const Network<Real>& network() const { return network_; }
    [[nodiscard]] ConstMatrixView<Real> x() const { return x_.view(); }
    [[nodiscard]] ConstMatrixView<Real> y() const { return y_.view(); }

private:
    std::shared_ptr<Backend<Real>> backend_;
    Network<Real> network_;
    Matrix<Real> x_, y_;
};

Architecture wide(const char* activation, Parametrization parametrization, Biases biases) {
    return {10, {40, 23, 31}, 3, parse_activation(activation), 1.4, biases == Biases::none ? 0 : 0.3, biases, parametrization};
}

template <class Real>
void expect_methods_agree(const std::string& device, double relative) {
    for (const char* activation : {"relu", "leaky_relu:0.2", "abs", "erf"})
        for (const auto parametrization : {Parametrization::ntk, Parametrization::standard})
            for (const auto biases : {Biases::none, Biases::fixed, Biases::trained}) {
                const Example<Real> example(device, wide(activation, parametrization, biases), 37);
                for (const Block block : {Block::full, Block::trace, Block::diag})
                    EXPECT_LT(relative_distance(to_double(example.kernel(block)), to_double(example.kernel(block, Method::jacobian))),
                              relative);
                for (const Block block : {Block::full, Block::trace})
                    EXPECT_LT(relative_distance(to_double(example.cross(block)), to_double(example.cross(block, Method::jacobian))),
                              relative);
            }
}

TEST_P(OnDevice, LayerwiseIsTheJacobianTimesItsTranspose) { expect_methods_agree<double>(GetParam(), 1e-13); }
TEST_P(OnDevice, LayerwiseIsTheJacobianTimesItsTransposeInFloat32) { expect_methods_agree<float>(GetParam(), 1e-13 * 0x1p29); }

TEST_P(OnDevice, BlocksOfTheJacobianMayHaveAnySize) {
    const Example<double> example(GetParam(), wide("relu", Parametrization::ntk, Biases::trained), 13);
    for (const Block block : {Block::full, Block::trace, Block::diag}) {
        const HostMatrix<double> whole = example.kernel(block, Method::jacobian);
        for (const Index bytes : {1, 40000, 100000, 300000})
            EXPECT_LT(relative_distance(example.kernel(block, Method::jacobian, bytes), whole), 1e-14) << bytes;
        if (block == Block::diag) continue;
        EXPECT_LT(relative_distance(example.cross(block, Method::jacobian, 40000), example.cross(block, Method::jacobian)), 1e-14);
    }
}

TEST_P(OnDevice, BlocksAreThoseOfTheFullKernel) {
    const Example<double> example(GetParam(), wide("relu", Parametrization::standard, Biases::trained), 21);
    const HostMatrix<double> full = example.kernel(Block::full);
    EXPECT_LT(relative_distance(example.kernel(Block::diag), diagonal_of(full, 3)), 1e-14);
    EXPECT_LT(relative_distance(example.kernel(Block::trace), mean_over_outputs(full, 3)), 1e-14);
    EXPECT_LT(relative_distance(example.cross(Block::trace), mean_over_outputs(example.cross(Block::full), 3)), 1e-14);
}

TEST_P(OnDevice, SymmetricKernelsAreSymmetricBitForBit) {
    const Example<double> example(GetParam(), wide("erf", Parametrization::ntk, Biases::fixed), 29);
    for (const Block block : {Block::full, Block::trace})
        for (const Method method : {Method::layerwise, Method::jacobian}) {
            const HostMatrix<double> kernel = example.kernel(block, method);
            for (Index i = 0; i < kernel.rows(); ++i)
                for (Index j = 0; j < i; ++j) ASSERT_EQ(kernel(i, j), kernel(j, i));
        }
}

TEST_P(OnDevice, PermutingTheSamplesPermutesTheKernel) {
    const auto backend = make_backend<double>(GetParam());
    const Architecture architecture = wide("relu", Parametrization::ntk, Biases::trained);
    const auto network = draw_network(backend, architecture, 5);
    const Index n = 17, o = 3;
    const HostMatrix<double> x = random_matrix(n, 10);
    HostMatrix<double> permuted(n, 10);
    const auto image = [&](Index i) { return (5 * i + 3) % n; };
    for (Index i = 0; i < n; ++i) std::copy_n(x.data() + image(i) * 10, 10, permuted.data() + i * 10);
    EmpiricalOptions options;
    options.block = Block::full;
    const Matrix<double> a = upload(backend, x), b = upload(backend, permuted);
    const HostMatrix<double> kernel = download(empirical_ntk<double>(network, a.view(), options)),
                             other = download(empirical_ntk<double>(network, b.view(), options));
    HostMatrix<double> expected(n * o, n * o);
    for (Index i = 0; i < n * o; ++i)
        for (Index j = 0; j < n * o; ++j) expected(i, j) = kernel(image(i / o) * o + i % o, image(j / o) * o + j % o);
    EXPECT_LT(relative_distance(other, expected), 1e-14);
}

TEST_P(OnDevice, LayersSumToTheKernel) {
    const Example<double> example(GetParam(), wide("relu", Parametrization::ntk, Biases::trained), 15);
    for (const Block block : {Block::full, Block::trace, Block::diag})
        for (const Method method : {Method::layerwise, Method::jacobian})
            for (const bool cross : {false, true}) {
                if (cross && block == Block::diag) continue;
                HostMatrix<double> sum;
                std::vector<Index> layers;
                EmpiricalOptions options;
                options.block = block;
                options.method = method;
                options.per_layer = [&](Index l, const HostMatrix<double>& term) {
                    layers.push_back(l);
                    if (sum.empty()) sum = HostMatrix<double>(term.rows(), term.cols());
                    for (Index e = 0; e < term.size(); ++e) sum.data()[e] += term.data()[e];
                };
                const HostMatrix<double> kernel =
                    download(cross ? empirical_ntk<double>(example.network(), example.y(), example.x(), options)
                                   : empirical_ntk<double>(example.network(), example.x(), options));
                std::sort(layers.begin(), layers.end());
                EXPECT_EQ(layers, (std::vector<Index>{1, 2, 3, 4}));
                EXPECT_LT(relative_distance(sum, kernel), 1e-15);
                EXPECT_LT(relative_distance(kernel, cross ? example.cross(block, method) : example.kernel(block, method)), 1e-14);
            }
}

TEST_P(OnDevice, FirstLayerTermOfALinearModel) {
    // L = 1: Theta = sigma_w^2 / d <x, x'> + sigma_b^2 for every output, whatever the weights.
    const Example<double> example(GetParam(), {10, {}, 3, {}, 1.4, 0.3, Biases::trained}, 9);
    const HostMatrix<double> x = random_matrix(9, 10), full = example.kernel(Block::full), trace = example.kernel(Block::trace);
    for (Index i = 0; i < 9; ++i)
        for (Index j = 0; j < 9; ++j) {
            double expected = 0.3 * 0.3;
            for (Index k = 0; k < 10; ++k) expected += 1.4 * 1.4 / 10 * x(i, k) * x(j, k);
            EXPECT_NEAR(trace(i, j), expected, 1e-13);
            for (Index a = 0; a < 3; ++a)
                for (Index b = 0; b < 3; ++b) EXPECT_NEAR(full(3 * i + a, 3 * j + b), a == b ? expected : 0, 1e-13);
        }
}

TEST_P(OnDevice, BiasesOfStdZeroCountOnlyInTheStandardParametrization) {
    for (const auto parametrization : {Parametrization::ntk, Parametrization::standard}) {
        Architecture none{10, {12}, 2, {}}, zero = none;
        none.parametrization = zero.parametrization = parametrization;
        zero.biases = Biases::trained;
        const Example<double> without(GetParam(), none, 7), with(GetParam(), zero, 7);
        const double distance = relative_distance(with.kernel(Block::full), without.kernel(Block::full));
        if (parametrization == Parametrization::ntk)
            EXPECT_EQ(distance, 0);
        else
            EXPECT_GT(distance, 0.01);
        EXPECT_LT(relative_distance(with.kernel(Block::full), with.kernel(Block::full, Method::jacobian)), 1e-14);
    }
}

TEST_P(OnDevice, NngpIsTheCovarianceOfTheOutputGivenTheLastActivations) {
    const auto backend = make_backend<double>(GetParam());
    for (const Biases biases : {Biases::none, Biases::fixed}) {
        const Architecture architecture = wide("relu", Parametrization::standard, biases);
        const auto network = draw_network(backend, architecture, 5);
        const Matrix<double> x = upload(backend, random_matrix(8, 10)), y = upload(backend, random_matrix(5, 10, 1));
        const HostMatrix<double> a = download(forward<double>(network, x.view()).hidden.back()),
                                 b = download(forward<double>(network, y.view()).hidden.back());
        HostMatrix<double> symmetric = oracle_gram(a, a), cross = oracle_gram(b, a);
        for (HostMatrix<double>* k : {&symmetric, &cross})
            for (Index e = 0; e < k->size(); ++e) k->data()[e] = 1.4 * 1.4 / 31 * k->data()[e] + (biases == Biases::none ? 0 : 0.09);
        EXPECT_LT(relative_distance(download(empirical_nngp<double>(network, x.view())), symmetric), 1e-14);
        EXPECT_LT(relative_distance(download(empirical_nngp<double>(network, y.view(), x.view())), cross), 1e-14);
    }
}

TEST_P(OnDevice, Float32IsFloat64RoundedWhereNoSignFlips) {
    const Architecture architecture = wide("erf", Parametrization::ntk, Biases::trained);
    const Example<float> narrow(GetParam(), architecture, 19);
    const Example<double> wide_example(GetParam(), architecture, 19);
    EXPECT_LT(relative_distance(to_double(narrow.kernel(Block::full)), wide_example.kernel(Block::full)), 1e-6);
}

TEST(Gram, SameBitsOnAnyNumberOfThreads) {
    const auto everything = [](int threads) {
        const Example<double> example("cpu", wide("relu", Parametrization::ntk, Biases::trained), 300, threads);
        std::vector<HostMatrix<double>> all;
        for (const Block block : {Block::full, Block::trace, Block::diag}) all.push_back(example.kernel(block));
        all.push_back(example.cross(Block::full));
        all.push_back(example.kernel(Block::trace, Method::jacobian, 1 << 22));
        all.push_back(download(empirical_nngp<double>(example.network(), example.x())));
        return all;
    };
    const auto one = everything(1), two = everything(2), three = everything(3);
    for (std::size_t k = 0; k < one.size(); ++k) {
        EXPECT_TRUE(same_bits(one[k], two[k])) << k;
        EXPECT_TRUE(same_bits(one[k], three[k])) << k;
    }
}

TEST(Gram, RefusesACrossKernelsDiagonalAndSamplesThatDoNotFit) {
    const Example<double> example("cpu", wide("relu", Parametrization::ntk, Biases::none), 4);
    EmpiricalOptions options;
    options.block = Block::diag;
    expect_error(ErrorCode::invalid_argument, "a cross kernel has no diagonal",
                 [&] { (void)empirical_ntk<double>(example.network(), example.x(), example.y(), options); });
    const Matrix<double> other = upload(example.network().backend(), random_matrix(3, 9));
    for (const auto& call : {std::function<void()>([&] { (void)empirical_ntk<double>(example.network(), other.view()); }),
                             std::function<void()>([&] { (void)empirical_nngp<double>(example.network(), other.view()); }),
                             std::function<void()>([&] { (void)jacobian<double>(example.network(), other.view()); })})
        expect_error(ErrorCode::shape_mismatch, "9 features", call);
}

}  // namespace
}  // namespace ntk

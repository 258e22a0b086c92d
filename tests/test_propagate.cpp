#include "support/oracle.hpp"
#include "support/samples.hpp"
#include "support/tolerance.hpp"

#include <ntkcuda/propagate.hpp>

#include <gtest/gtest.h>

namespace ntk {
namespace {

using namespace testing;

TEST(Forward, IsTheDefinition) {
    for (const char* activation : {"relu", "leaky_relu:0.3", "abs", "erf"})
        for (const auto parametrization : {Parametrization::ntk, Parametrization::standard})
            for (const std::vector<Index>& hidden : {std::vector<Index>{}, {4}, {4, 5, 2}}) {
                const Architecture architecture{3, hidden, 2, parse_activation(activation), 1.2, 0.5, Biases::fixed, parametrization};
                const Weights weights = random_weights(architecture);
                const HostMatrix<double> x = random_matrix(5, 3);
                const auto backend = make_backend<double>("cpu", 2);
                const auto network = make_network(backend, architecture, weights);
                const Matrix<double> inputs = upload(backend, x);
                const Forward<double> pass = forward<double>(network, inputs.view());
                ASSERT_EQ(pass.hidden.size(), hidden.size());
                const HostMatrix<double> output = download(pass.output);
                for (Index i = 0; i < 5; ++i) {
                    const std::vector<double> expected = oracle_output(architecture, weights, x.data() + i * 3);
                    for (Index o = 0; o < 2; ++o) EXPECT_NEAR(output(i, o), expected[static_cast<std::size_t>(o)], 1e-13);
                }
            }
}

TEST(Forward, RefusesSamplesOfAnotherDimension) {
    const auto backend = make_backend<double>("cpu", 1);
    const auto network = draw_network(backend, Architecture{3, {4}, 1, {}}, 1);
    const Matrix<double> x = upload(backend, random_matrix(2, 4));
    expect_error(ErrorCode::shape_mismatch, "the samples have 4 features: the network takes 3",
                 [&] { (void)forward<double>(network, x.view()); });
}

TEST(Backward, IsTheDerivativeByThePreactivation) {
    // A bias of the standard parametrization moves its preactivation alone: d f / d z^l = d f / d b^l.
    const Architecture architecture{3, {4, 5, 2}, 2, parse_activation("erf"), 1.2, 0.5, Biases::trained, Parametrization::standard};
    const Weights weights = random_weights(architecture);
    const HostMatrix<double> x = random_matrix(3, 3);
    const HostMatrix<double> expected = oracle_jacobian(architecture, weights, x);
    const auto backend = make_backend<double>("cpu", 2);
    const auto network = make_network(backend, architecture, weights);
    const Matrix<double> inputs = upload(backend, x);
    const Forward<double> pass = forward<double>(network, inputs.view());
    std::vector<Index> layers;
    backward<double>(network, pass, [&](Index l, ConstMatrixView<double> delta) {
        layers.push_back(l);
        EXPECT_EQ(delta.empty(), l == architecture.depth());
        if (delta.empty()) return;
        Index column = 0;
        for (Index k = 1; k <= l; ++k) column += architecture.width(k) * architecture.width(k - 1) + (k < l ? architecture.width(k) : 0);
        HostMatrix<double> got(delta.rows(), delta.cols());
        backend->download(delta, got.view());
        for (Index row = 0; row < got.rows(); ++row)
            for (Index unit = 0; unit < got.cols(); ++unit) EXPECT_NEAR(got(row, unit), expected(row, column + unit), 1e-9);
    });
    EXPECT_EQ(layers, (std::vector<Index>{4, 3, 2, 1}));
}

TEST(Backward, SlopeAtTheKink) {
    // A zero sample without biases: z = 0 everywhere. phi'(0) is 0 for ReLU and abs, the slope for leaky ReLU.
    for (const auto& [name, slope] : {std::pair{"relu", 0.0}, {"abs", 0.0}, {"leaky_relu:0.25", 0.25}}) {
        const auto backend = make_backend<double>("cpu", 1);
        const Architecture architecture{2, {3}, 1, parse_activation(name)};
        const auto network = draw_network(backend, architecture, 1);
        const HostMatrix<double> weight = download(network.weight[1]);
        const Matrix<double> x = upload(backend, HostMatrix<double>(1, 2));
        const Forward<double> pass = forward<double>(network, x.view());
        backward<double>(network, pass, [&, slope = slope](Index l, ConstMatrixView<double> delta) {
            if (l != 1) return;
            HostMatrix<double> got(1, 3);
            backend->download(delta, got.view());
            for (Index j = 0; j < 3; ++j) EXPECT_EQ(got(0, j), slope * weight(0, j));
        });
    }
}

}  // namespace
}  // namespace ntk

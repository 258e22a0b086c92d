#include "support/devices.hpp"
#include "support/oracle.hpp"
#include "support/samples.hpp"

#include <ntkcuda/network.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ntk {
namespace {

using testing::expect_error;
using testing::random_weights;
using testing::same_bits;

Architecture example(Parametrization parametrization = Parametrization::ntk, Biases biases = Biases::trained) {
    return {3, {4, 5}, 2, parse_activation("relu"), 1.5, biases == Biases::none ? 0 : 0.25, biases, parametrization};
}

TEST(Activation, NamesParseAndPrint) {
    EXPECT_EQ(parse_activation("relu"), (Activation{Activation::Kind::leaky_relu, 0}));
    EXPECT_EQ(parse_activation("leaky_relu:0.1"), (Activation{Activation::Kind::leaky_relu, 0.1}));
    EXPECT_EQ(parse_activation("abs").kind, Activation::Kind::abs);
    EXPECT_EQ(parse_activation("erf").kind, Activation::Kind::erf);
    for (const char* name : {"relu", "leaky_relu:0.1", "leaky_relu:-0.3333333333333333", "abs", "erf"})
        EXPECT_EQ(to_string(parse_activation(name)), name);
    for (const char* name : {"", "tanh", "RELU", "relu:0.1"})
        expect_error(ErrorCode::invalid_argument, "expected relu, leaky_relu:SLOPE", [&] { (void)parse_activation(name); });
    for (const char* name : {"leaky_relu:", "leaky_relu:x", "leaky_relu:0.1x", "leaky_relu:nan", "leaky_relu:inf"})
        expect_error(ErrorCode::invalid_argument, "must be a finite number", [&] { (void)parse_activation(name); });
}

TEST(Architecture, CountsAndVariances) {
    const Architecture ntk = example(), standard = example(Parametrization::standard),
                       fixed = example(Parametrization::standard, Biases::fixed);
    EXPECT_EQ(ntk.depth(), 3);
    EXPECT_EQ(ntk.width(0), 3);
    EXPECT_EQ(ntk.width(1), 4);
    EXPECT_EQ(ntk.width(2), 5);
    EXPECT_EQ(ntk.width(3), 2);
    EXPECT_EQ(ntk.parameters(), 3 * 4 + 4 + 4 * 5 + 5 + 5 * 2 + 2);
    EXPECT_EQ(fixed.parameters(), 3 * 4 + 4 * 5 + 5 * 2);
    EXPECT_DOUBLE_EQ(ntk.weight_gradient_variance(2), 1.5 * 1.5 / 4);
    EXPECT_EQ(standard.weight_gradient_variance(2), 1);
    EXPECT_DOUBLE_EQ(ntk.bias_gradient_variance(), 0.0625);
    EXPECT_EQ(standard.bias_gradient_variance(), 1);
    EXPECT_EQ(fixed.bias_gradient_variance(), 0);
}

TEST(Architecture, RefusesWhatIsOutOfItsDomainByName) {
    const auto refused = [](const std::string& part, auto change) {
        Architecture architecture = example();
        change(architecture);
        expect_error(ErrorCode::invalid_argument, part, [&] { architecture.validate(); });
    };
    const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
    refused("inputs must be at least 1", [](Architecture& a) { a.inputs = 0; });
    refused("outputs must be at least 1", [](Architecture& a) { a.outputs = -2; });
    refused("hidden layer 2 must be at least 1, not 0", [](Architecture& a) { a.hidden[1] = 0; });
    for (const double bad : {0.0, -1.0, nan, infinity})
        refused("weight_std must be positive", [=](Architecture& a) { a.weight_std = bad; });
    for (const double bad : {-1.0, nan, infinity}) refused("bias_std must be 0 or more", [=](Architecture& a) { a.bias_std = bad; });
    refused("has no biases", [](Architecture& a) { a.biases = Biases::none; });
    refused("slope", [=](Architecture& a) { a.activation.slope = nan; });
    EXPECT_NO_THROW(example().validate());
    EXPECT_NO_THROW((Architecture{}.validate()));
}

template <class Real>
class Networks : public ::testing::Test {};
using Precisions = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Networks, Precisions);

TYPED_TEST(Networks, DrawnWeightsAreTheirStreams) {
    const auto backend = make_backend<TypeParam>("cpu", 2);
    const Architecture architecture = example();
    const Network<TypeParam> network = draw_network(backend, architecture, 42, 6);
    ASSERT_EQ(network.weight.size(), 3u);
    ASSERT_EQ(network.bias.size(), 3u);
    for (Index l = 1; l <= 3; ++l) {
        const auto weight = download(network.weight[static_cast<std::size_t>(l - 1)]),
                   bias = download(network.bias[static_cast<std::size_t>(l - 1)]);
        const auto omega = host_normals({42, 6, weight_stream(l)}, architecture.width(l), architecture.width(l - 1));
        const auto beta = host_normals({42, 6, bias_stream(l)}, 1, architecture.width(l));
        const double factor = 1.5 / std::sqrt(static_cast<double>(architecture.width(l - 1)));
        for (Index e = 0; e < weight.size(); ++e) EXPECT_EQ(weight.data()[e], static_cast<TypeParam>(factor * omega.data()[e]));
        for (Index e = 0; e < bias.size(); ++e) EXPECT_EQ(bias.data()[e], static_cast<TypeParam>(0.25 * beta.data()[e]));
    }
}

TYPED_TEST(Networks, GivenNormalsMakeTheDrawnNetwork) {
    const auto backend = make_backend<TypeParam>("cpu", 2);
    const Architecture architecture = example();
    Weights normals;
    for (Index l = 1; l <= 3; ++l) {
        normals.weights.push_back(host_normals({42, 6, weight_stream(l)}, architecture.width(l), architecture.width(l - 1)));
        normals.biases.push_back(host_normals({42, 6, bias_stream(l)}, 1, architecture.width(l)));
    }
    const auto drawn = draw_network(backend, architecture, 42, 6), made = make_network(backend, architecture, normals);
    for (std::size_t l = 0; l < 3; ++l) {
        EXPECT_TRUE(same_bits(download(drawn.weight[l]), download(made.weight[l])));
        EXPECT_TRUE(same_bits(download(drawn.bias[l]), download(made.bias[l])));
    }
}

TYPED_TEST(Networks, DrawnWeightsMakeTheDrawnNetwork) {
    const auto backend = make_backend<TypeParam>("cpu", 2);
    for (const auto parametrization : {Parametrization::ntk, Parametrization::standard}) {
        const Architecture architecture = example(parametrization);
        const auto drawn = draw_network(backend, architecture, 42, 6),
                   made = make_network(backend, architecture, draw_weights(architecture, 42, 6));
        for (std::size_t l = 0; l < 3; ++l) {
            EXPECT_TRUE(same_bits(download(drawn.weight[l]), download(made.weight[l])));
            EXPECT_TRUE(same_bits(download(drawn.bias[l]), download(made.bias[l])));
        }
    }
    EXPECT_TRUE(draw_weights({.inputs = 2, .hidden = {3}}, 1).biases.empty());
}

TYPED_TEST(Networks, BothParametrizationsDrawTheSameFunction) {
    const auto backend = make_backend<TypeParam>("cpu", 2);
    const auto a = draw_network(backend, example(Parametrization::ntk), 1),
               b = draw_network(backend, example(Parametrization::standard), 1);
    for (std::size_t l = 0; l < 3; ++l) EXPECT_TRUE(same_bits(download(a.weight[l]), download(b.weight[l])));
}

TEST(Network, StandardWeightsAreTakenAsTheyAre) {
    const Architecture architecture = example(Parametrization::standard);
    const Weights weights = random_weights(architecture);
    const auto network = make_network(make_backend<double>("cpu"), architecture, weights);
    for (std::size_t l = 0; l < 3; ++l) {
        EXPECT_TRUE(same_bits(download(network.weight[l]), weights.weights[l]));
        EXPECT_TRUE(same_bits(download(network.bias[l]), weights.biases[l]));
    }
}

TEST(Network, ArchitectureFollowsFromWeights) {
    const Architecture architecture = example();
    Weights weights = random_weights(architecture);
    Architecture like;
    like.activation = parse_activation("erf");
    like.weight_std = 2;
    const Architecture found = architecture_of(weights, like);
    EXPECT_EQ(found.inputs, 3);
    EXPECT_EQ(found.hidden, architecture.hidden);
    EXPECT_EQ(found.outputs, 2);
    EXPECT_EQ(found.biases, Biases::trained);
    EXPECT_EQ(found.activation, like.activation);
    EXPECT_EQ(found.weight_std, 2);
    weights.biases.clear();
    EXPECT_EQ(architecture_of(weights, like).biases, Biases::none);
    weights.weights[1] = HostMatrix<double>(5, 6);
    expect_error(ErrorCode::shape_mismatch, "layers 1 and 2 do not chain: W1 is 4 x 3 and W2 is 5 x 6",
                 [&] { (void)architecture_of(weights, like); });
    expect_error(ErrorCode::shape_mismatch, "no layer", [&] { (void)architecture_of({}, like); });
}

TEST(Network, RefusesWeightsThatDoNotFit) {
    const Architecture architecture = example();
    const auto refused = [&](ErrorCode code, const std::string& part, auto change) {
        Weights weights = random_weights(architecture);
        change(weights);
        expect_error(code, part, [&] { (void)make_network(make_backend<double>("cpu"), architecture, weights); });
    };
    refused(ErrorCode::shape_mismatch, "2 weight matrices were given for a network of depth 3", [](Weights& w) { w.weights.pop_back(); });
    refused(ErrorCode::shape_mismatch, "0 bias vectors were given: the network needs 3", [](Weights& w) { w.biases.clear(); });
    refused(ErrorCode::shape_mismatch, "W2 is 4 x 5: the network needs 5 x 4", [](Weights& w) { w.weights[1] = HostMatrix<double>(4, 5); });
    refused(ErrorCode::shape_mismatch, "b3 is 2 x 1: the network needs 1 x 2", [](Weights& w) { w.biases[2] = HostMatrix<double>(2, 1); });
    refused(ErrorCode::invalid_argument, "W1: entry (1, 2) is not a finite number",
            [](Weights& w) { w.weights[0](1, 2) = std::numeric_limits<double>::infinity(); });
}

}  // namespace
}  // namespace ntk

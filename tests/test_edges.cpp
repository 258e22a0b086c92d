// Numbers at the edges: the right one, or a refusal that says why.

#include "support/program.hpp"

#include <ntkcuda/ntkcuda.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace ntk {
namespace {

using namespace testing;
using ::testing::HasSubstr;

HostMatrix<double> inputs() { return {4, 3, {3, -1, 2, 0.5, 4, -1, -2, 1, 1, 1, 1, 7}}; }

HostMatrix<double> scaled(HostMatrix<double> x, double factor) {
    std::transform(x.data(), x.data() + x.size(), x.data(), [=](double v) { return v * factor; });
    return x;
}

std::vector<double> values(const HostMatrix<double>& x) { return {x.data(), x.data() + x.size()}; }

/// The four kernels of a ReLU network, whatever the norms of the inputs.
std::vector<HostMatrix<double>> kernels(const Architecture& net, const HostMatrix<double>& inputs) {
    const auto backend = make_backend<double>("cpu", 2);
    const auto x = upload(backend, inputs);
    const auto network = draw_network(backend, net, 1);
    return {download(infinite_width_kernel(net, InfiniteKernel::ntk, x)), download(infinite_width_kernel(net, InfiniteKernel::nngp, x)),
            download(empirical_ntk(network, x.view())), download(empirical_nngp(network, x.view()))};
}

// Without biases the kernels of ReLU are homogeneous, and a power of two is exact: not a bit may differ.
TEST(Edges, NormsFrom1em150To1e150GiveTheSameDigits) {
    const Architecture net{.inputs = 3, .hidden = {16, 8}};
    const auto one = kernels(net, inputs());
    for (const int exponent : {-498, -300, 300, 498}) {
        const double scale = std::ldexp(1, exponent);
        const auto other = kernels(net, scaled(inputs(), scale));
        for (std::size_t k = 0; k < one.size(); ++k)
            EXPECT_EQ(values(other[k]), values(scaled(scaled(one[k], scale), scale))) << k << " at 2^" << exponent;
    }
}

TEST(Edges, SubnormalInputsAreRescaledExactly) {
    for (const Normalization how : {Normalization::sphere, Normalization::unit, Normalization::standardize}) {
        Dataset large, small;
        large.x = scaled(inputs(), 2);  // whole numbers, which subnormal numbers hold exactly
        small.x = scaled(large.x, 0x1p-1074);
        normalize(how, large);
        normalize(how, small);
        EXPECT_EQ(values(small.x), values(large.x)) << to_string(how);
    }
}

// The kernel of such inputs as they are lies below the range of float64: zero, or without its digits.
TEST(Edges, KernelsBelowTheRangeAreRefused) {
    const TemporaryFolder folder;
    write_npy(folder.path("tiny.npy"), scaled(inputs(), 1e-310));
    write_npy(folder.path("small.npy"), scaled(inputs(), 1e-158));
    write_npy(folder.path("small32.npy"), scaled(inputs(), 1e-24));
    write_npy(folder.path("zero.npy"), scaled(inputs(), 0));
    for (const char* kernel : {"ntk", "nngp", "empirical-ntk", "empirical-nngp"}) {
        const std::string begin = std::string("kernel --device cpu --width 8 --normalize none --out K.npy --kernel ") + kernel + " --data ";
        for (const char* data : {"tiny.npy", "small.npy", "small32.npy --precision fp32"}) {
            const Outcome refused = run_program(folder, begin + data);
            EXPECT_NE(refused.code, 0) << kernel << " of " << data;
            EXPECT_THAT(refused.err, HasSubstr("range of float")) << kernel << " of " << data;
            EXPECT_FALSE(std::filesystem::exists(folder.path("K.npy")));
        }
        const Outcome zero = run_program(folder, begin + "zero.npy");
        EXPECT_EQ(zero.code, 0) << kernel << ": " << zero.err;
        std::filesystem::remove(folder.path("K.npy"));
    }
}

TEST(Edges, OneSampleOneFeatureOneLayerOneNeuron) {
    const HostMatrix<double> x(1, 1, {3});
    // One affine layer: Theta = sigma_w^2 x x' / d, finite or not.
    const Architecture linear{.inputs = 1, .hidden = {}, .weight_std = 0.5};
    const auto results = kernels(linear, x);
    for (std::size_t k = 0; k < results.size(); ++k) EXPECT_DOUBLE_EQ(results[k](0, 0), 0.25 * 9) << k;
    // A hidden layer of one neuron: layer by layer and by the Jacobian.
    const Architecture narrow{.inputs = 1, .hidden = {1, 1}, .bias_std = 0.5, .biases = Biases::trained};
    const auto backend = make_backend<double>("cpu", 2);
    const auto input = upload(backend, x);
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        const auto network = draw_network(backend, narrow, seed);
        const double layerwise = download(empirical_ntk(network, input.view()))(0, 0);
        EXPECT_NEAR(download(empirical_ntk(network, input.view(), {.method = Method::jacobian}))(0, 0), layerwise, 1e-14 * layerwise);
    }
}

TEST(Edges, TenThousandOutputs) {
    const auto backend = make_backend<double>("cpu", 2);
    const Architecture net{.inputs = 3, .hidden = {4}, .outputs = 10000};
    const auto x = upload(backend, inputs());
    const auto network = draw_network(backend, net, 1);
    const auto trace = download(empirical_ntk(network, x.view()));
    const auto diagonal = download(empirical_ntk(network, x.view(), {.block = Block::diag}));
    ASSERT_EQ(diagonal.cols(), 10000);
    for (Index i = 0; i < 4; ++i) {
        long double sum = 0;
        for (Index o = 0; o < 10000; ++o) sum += diagonal(i, o);
        EXPECT_NEAR(trace(i, i), static_cast<double>(sum / 10000), 1e-13 * trace(i, i));
    }
    EXPECT_EQ(download(infinite_width_kernel(net, InfiniteKernel::ntk, x)).rows(), 4);
}

HostMatrix<double> predict(const HostMatrix<double>& train, const HostMatrix<double>& y, const HostMatrix<double>& test, double ridge) {
    const auto backend = make_backend<double>("cpu", 2);
    const Architecture net{.inputs = train.cols(), .hidden = {8, 8}};
    const auto x = upload(backend, train), z = upload(backend, test), targets = upload(backend, y);
    const KernelSystem<double> system(infinite_width_kernel(net, InfiniteKernel::ntk, x), ridge);
    return download(system.predict(infinite_width_kernel(net, InfiniteKernel::ntk, z, x), targets));
}

TEST(Edges, ConstantLabelsAreInterpolated) {
    const HostMatrix<double> y(4, 1, {1.5, 1.5, 1.5, 1.5});
    const auto predicted = predict(inputs(), y, inputs(), 0);
    for (Index i = 0; i < 4; ++i) EXPECT_NEAR(predicted(i, 0), 1.5, 1e-12);
}

// Every sample twice with ridge lambda is every sample once with lambda / 2; without a ridge the pair is named.
TEST(Edges, DuplicatedSamplesNeedARidgeAndAreNamed) {
    const HostMatrix<double> once = inputs(), y(4, 1, {1, -2, 0.5, 3}), test(2, 3, {1, 2, 3, -1, 0, 2});
    HostMatrix<double> twice(8, 3), both(8, 1);
    for (Index i = 0; i < 8; ++i) {
        for (Index j = 0; j < 3; ++j) twice(i, j) = once(i / 2, j);
        both(i, 0) = y(i / 2, 0);
    }
    const auto expected = predict(once, y, test, 0.05), found = predict(twice, both, test, 0.1);
    for (Index i = 0; i < 2; ++i) EXPECT_NEAR(found(i, 0), expected(i, 0), 1e-10);
    expect_error(ErrorCode::not_positive_definite, {"equal samples 1 and 2", "--ridge"}, [&] { (void)predict(twice, both, test, 0); });
}

TEST(Edges, AOneClassProblemIsItsOneClass) {
    const TemporaryFolder folder;
    folder.file("one.csv", "1,2,cat\n2,1,cat\n3,5,cat\n4,0,cat\n0,1,cat\n");
    const Outcome outcome = run_program(folder, "predict --data one.csv --device cpu --out out");
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(read_bytes(folder.path("out/predict.csv")), HasSubstr("1,cat,cat,0\n"));
}

// Too few samples to hold any out, or none left to learn from, is said.
TEST(Edges, TooFewSamplesAreRefused) {
    const TemporaryFolder folder;
    for (const std::string n : {"1", "2"})
        for (const std::string command : {"compare --depths 2 --widths 4 --seeds 3", "depth --depths 1"}) {
            const Outcome outcome = run_program(folder, command + " --device cpu --data sphere:n=" + n + ",d=2,seed=1 --out out");
            EXPECT_EQ(outcome.code, 2) << command;
            EXPECT_THAT(outcome.err, HasSubstr("both need one at least")) << command;
        }
}

}  // namespace
}  // namespace ntk

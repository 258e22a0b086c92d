#include "support/devices.hpp"
#include "support/golden.hpp"

#include <ntkcuda/formulas/limit_recursion.hpp>
#include <ntkcuda/infinite_width.hpp>

#include "host/backend/limit_tiles.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

namespace ntk {
namespace {

using nlohmann::json;
using testing::matrix_of;

/// tests/golden/make_infinite_width.py: multi-precision references.
const json& golden() {
    static const json values = testing::golden("infinite_width.json");
    return values;
}

Architecture architecture_of_case(const json& c, Index inputs) {
    Architecture architecture;
    architecture.inputs = inputs;
    architecture.hidden.assign(c["depth"].get<std::size_t>() - 1, c["width"].get<Index>());
    architecture.activation = parse_activation(c["activation"]);
    architecture.weight_std = c["weight_std"];
    architecture.bias_std = c["bias_std"];
    architecture.biases = c["biases"] == "none" ? Biases::none : c["biases"] == "fixed" ? Biases::fixed : Biases::trained;
    architecture.parametrization = c["parametrization"] == "ntk" ? Parametrization::ntk : Parametrization::standard;
    return architecture;
}

std::string label(const json& c) {
    json shown = c;
    for (const char* data : {"lower", "nngp", "ntk"}) shown.erase(data);
    return shown.dump();
}

HostMatrix<double> random_rows(Index n, Index d, unsigned seed) {
    std::mt19937_64 generator(seed);
    std::normal_distribution<double> normal;
    HostMatrix<double> x(n, d);
    for (Index e = 0; e < x.size(); ++e) x.data()[e] = normal(generator);
    return x;
}

Architecture relu_network(Index inputs, std::size_t depth, double weight_std = std::sqrt(2.0), double bias_std = 0) {
    Architecture architecture;
    architecture.inputs = inputs;
    architecture.hidden.assign(depth - 1, 16);
    architecture.weight_std = weight_std;
    architecture.bias_std = bias_std;
    architecture.biases = bias_std > 0 ? Biases::trained : Biases::none;
    return architecture;
}

HostMatrix<double> kernel_on_cpu(const Architecture& architecture, InfiniteKernel kernel, const HostMatrix<double>& x, int threads = 2) {
    return download(infinite_width_kernel(architecture, kernel, upload(make_backend<double>("cpu", threads), x)));
}

bool same_bits(const HostMatrix<double>& a, const HostMatrix<double>& b) {
    return a.rows() == b.rows() && a.cols() == b.cols() &&
           std::memcmp(a.data(), b.data(), sizeof(double) * static_cast<std::size_t>(a.size())) == 0;
}

class InfiniteWidth : public ::testing::TestWithParam<std::string> {
protected:
    template <class Real = double>
    std::shared_ptr<Backend<Real>> backend() const {
        return make_backend<Real>(GetParam(), 2);
    }
};

INSTANTIATE_TEST_SUITE_P(Devices, InfiniteWidth, ::testing::ValuesIn(testing::device_ids()), [](const auto& device) {
    std::string name = device.param;
    std::replace(name.begin(), name.end(), ':', '_');
    return name;
});

TEST_P(InfiniteWidth, EqualsTheMultiPrecisionReferenceEntryByEntry) {
    const HostMatrix<double> inputs = matrix_of(golden()["inputs"]);
    const Matrix<double> x = upload(backend(), inputs);
    for (const json& c : golden()["entries"]) {
        const Architecture architecture = architecture_of_case(c, inputs.cols());
        const InfiniteKernel kernel = c["kernel"] == "ntk" ? InfiniteKernel::ntk : InfiniteKernel::nngp;
        const HostMatrix<double> symmetric = download(infinite_width_kernel(architecture, kernel, x));
        const HostMatrix<double> cross = download(infinite_width_kernel(architecture, kernel, x, x));
        const HostMatrix<double> diagonal = download(infinite_width_diagonal(architecture, kernel, x));
        HostMatrix<double> expected(inputs.rows(), inputs.rows());
        std::size_t at = 0;
        for (Index i = 0; i < inputs.rows(); ++i)
            for (Index j = 0; j <= i; ++j) expected(i, j) = expected(j, i) = c["lower"][at++].get<double>();
        for (Index i = 0; i < inputs.rows(); ++i) {
            EXPECT_EQ(diagonal(i, 0), symmetric(i, i)) << label(c);
            for (Index j = 0; j < inputs.rows(); ++j) {
                const double scale = std::sqrt(expected(i, i)) * std::sqrt(expected(j, j));
                const double tolerance = std::min(1e-13 * scale, 1e-12 * std::fabs(expected(i, j)));
                EXPECT_NEAR(symmetric(i, j), expected(i, j), tolerance) << i << ", " << j << " of " << label(c);
                EXPECT_NEAR(cross(i, j), expected(i, j), tolerance) << i << ", " << j << " of the cross kernel of " << label(c);
            }
        }
    }
}

TEST_P(InfiniteWidth, TinyAndHugeInputsScaleAsTheyShould) {
    // ReLU without biases: the kernel is bilinear in the norms. Powers of two are exact.
    const HostMatrix<double> base = random_rows(4, 6, 3);
    const Architecture architecture = relu_network(6, 4);
    const HostMatrix<double> expected = download(infinite_width_kernel(architecture, InfiniteKernel::ntk, upload(backend(), base)));
    const int exponents[4] = {-500, 500, 0, -200};
    HostMatrix<double> x = base;
    for (Index i = 0; i < 4; ++i)
        for (Index j = 0; j < 6; ++j) x(i, j) = std::ldexp(x(i, j), exponents[i]);
    const HostMatrix<double> scaled = download(infinite_width_kernel(architecture, InfiniteKernel::ntk, upload(backend(), x)));
    for (Index i = 0; i < 4; ++i)
        for (Index j = 0; j < 4; ++j)
            EXPECT_NEAR(std::ldexp(scaled(i, j), -exponents[i] - exponents[j]), expected(i, j), 1e-14 * std::fabs(expected(i, j)))
                << i << ", " << j;
}

TEST_P(InfiniteWidth, AFallOutOfTheRangeIsRefused) {
    const auto kernel = [&](const Architecture& a, const HostMatrix<double>& x) {
        return infinite_width_kernel(a, InfiniteKernel::ntk, upload(backend(), x));
    };
    const auto refused = [&](const Architecture& a, const HostMatrix<double>& x, ErrorCode code, const std::string& part) {
        try {
            (void)kernel(a, x);
            ADD_FAILURE() << "not refused: " << part;
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), code) << error.what();
            EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
        }
    };
    const HostMatrix<double> x = random_rows(3, 2, 5);
    refused(relu_network(2, 2000, 2.0), x, ErrorCode::device_failure, "depth 2000 with weight std 2");
    refused(relu_network(2, 2000, 1.0), x, ErrorCode::device_failure, "depth 2000 with weight std 1");
    HostMatrix<double> tiny = x;
    tiny(1, 0) = tiny(1, 1) = 1e-170;
    refused(relu_network(2, 3), tiny, ErrorCode::device_failure, "row 1");
    EXPECT_NO_THROW((void)kernel(relu_network(2, 3, 1.2, 0.3), tiny)) << "beside a bias its square is nothing";
    HostMatrix<double> zero = x;
    zero(2, 0) = zero(2, 1) = 0;
    EXPECT_EQ(download(kernel(relu_network(2, 3), zero))(2, 0), 0);
    HostMatrix<double> bad = x;
    bad(1, 1) = std::nan("");
    refused(relu_network(2, 3), bad, ErrorCode::invalid_argument, "row 1, column 1");
    refused(relu_network(5, 3), x, ErrorCode::shape_mismatch, "2 columns");
    refused(relu_network(2, 3, -1.0), x, ErrorCode::invalid_argument, "weight_std");
    Architecture small = relu_network(2, 200, 1.0);
    EXPECT_NO_THROW((void)kernel(small, x));
    EXPECT_THROW((void)infinite_width_kernel(small, InfiniteKernel::ntk, upload(backend<float>(), x)), Error) << "1e-60 is no float32";
}

TEST_P(InfiniteWidth, SinglePrecisionIsTheDoubleResultRounded) {
    const HostMatrix<double> x = random_rows(5, 4, 9).cast<float>().cast<double>();
    const Architecture architecture = relu_network(4, 3, 1.3, 0.2);
    const HostMatrix<double> expected = download(infinite_width_kernel(architecture, InfiniteKernel::ntk, upload(backend(), x)));
    const HostMatrix<float> single = download(infinite_width_kernel(architecture, InfiniteKernel::ntk, upload(backend<float>(), x)));
    for (Index e = 0; e < x.rows() * x.rows(); ++e) EXPECT_EQ(single.data()[e], static_cast<float>(expected.data()[e]));
}

TEST_P(InfiniteWidth, EmptySetsGiveEmptyKernels) {
    const Matrix<double> none(backend(), 0, 3), some = upload(backend(), random_rows(2, 3, 1));
    const Matrix<double> kernel = infinite_width_kernel(relu_network(3, 2), InfiniteKernel::nngp, none, some);
    EXPECT_EQ(kernel.rows(), 0);
    EXPECT_EQ(kernel.cols(), 2);
    EXPECT_EQ(infinite_width_kernel(relu_network(3, 2), InfiniteKernel::nngp, none).rows(), 0);
}

TEST(HostInfiniteWidth, SameBitsOnAnyNumberOfThreads) {
    const HostMatrix<double> x = random_rows(150, 7, 21);
    for (const char* name : {"relu", "erf"}) {
        Architecture architecture = relu_network(7, 20, 1.2, 0.3);
        architecture.activation = parse_activation(name);
        const HostMatrix<double> one = kernel_on_cpu(architecture, InfiniteKernel::ntk, x, 1);
        for (const int threads : {2, 3, 5})
            EXPECT_TRUE(same_bits(one, kernel_on_cpu(architecture, InfiniteKernel::ntk, x, threads))) << name;
    }
}

TEST(HostInfiniteWidth, EntriesDoNotDependOnTheRowsAround) {
    const HostMatrix<double> x = random_rows(150, 7, 22);
    HostMatrix<double> reversed(150, 7);
    for (Index i = 0; i < 150; ++i) std::copy_n(&x(i, 0), 7, &reversed(149 - i, 0));
    const Architecture architecture = relu_network(7, 5, 1.2, 0.3);
    const HostMatrix<double> a = kernel_on_cpu(architecture, InfiniteKernel::ntk, x),
                             b = kernel_on_cpu(architecture, InfiniteKernel::ntk, reversed);
    for (Index i = 0; i < 150; ++i)
        for (Index j = 0; j < 150; ++j) EXPECT_NEAR(a(i, j), b(149 - i, 149 - j), 2e-15 * std::fabs(a(i, i)));
}

TEST(HostInfiniteWidth, EveryInstructionSetGivesTheSameBits) {
    const Index n = 70, d = 11;
    HostMatrix<double> x = random_rows(n, d, 31);
    for (Index j = 0; j < d; ++j) x(1, j) = x(0, j) * (1 + 1e-9 * static_cast<double>(j));  // one pair near the line
    std::vector<double> norm, square, mean;
    for (Index i = 0; i < n; ++i) {
        double sum = 0;
        for (Index j = 0; j < d; ++j) sum += x(i, j) * x(i, j);
        square.push_back(sum);
        norm.push_back(std::sqrt(sum));
        mean.push_back(sum / static_cast<double>(d));
    }
    const std::vector<int> exponent(static_cast<std::size_t>(n), 0);
    const LimitSamples samples{n, d, x.data(), norm.data(), square.data(), mean.data(), exponent.data()};
    std::vector<double> products(static_cast<std::size_t>(n * n));
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j)
            for (Index k = 0; k < d; ++k) products[static_cast<std::size_t>(i * n + j)] += x(i, k) * x(j, k);
    for (const char* name : {"leaky_relu:0.2", "erf"})
        for (const double bias : {0.0, 0.09})
            for (const bool tangent : {false, true}) {
                LimitProblem problem;
                problem.activation = parse_activation(name);
                problem.constants = {{1.7, 0}, {bias, 0}, {bias, 0}};
                problem.gains.assign(19, {1.7, 0});
                problem.tangent = tangent;
                LimitWorkspace workspace(problem, n);
                std::vector<double> expected;
                for (const LimitTile run : limit_tile_variants()) {
                    std::vector<double> entries = products;
                    run(problem, samples, samples, false, workspace, entries.data());
                    if (expected.empty()) expected = entries;
                    EXPECT_EQ(0, std::memcmp(expected.data(), entries.data(), sizeof(double) * entries.size())) << name << " " << bias;
                    EXPECT_TRUE(std::isfinite(entries[1]));
                }
            }
}

// --- the recursion itself: 1 - rho and 1 - K ----------------------------------------------------------------------------

/// One pair, layer by layer, as a depth study runs it.
template <class Dual>
struct PairRun {
    formulas::LimitConstants constants;
    formulas::DoubleDouble gain;
    Dual dual;
    formulas::SampleState x{}, y{};
    formulas::Correlation correlation{};
    formulas::Tangent tangent{};

    void start(const std::vector<double>& a, const std::vector<double>& b, formulas::DoubleDouble first_gain) {
        const auto d = static_cast<double>(a.size());
        const double aa = std::inner_product(a.begin(), a.end(), a.begin(), 0.0),
                     bb = std::inner_product(b.begin(), b.end(), b.begin(), 0.0);
        const double ab = std::inner_product(a.begin(), a.end(), b.begin(), 0.0), cosine = ab / std::sqrt(aa * bb);
        const formulas::InputPair input = std::fabs(cosine) > formulas::near_line
                                              ? formulas::near_line_pair(a.data(), b.data(), static_cast<long>(a.size()), ab, aa, bb, 0)
                                              : formulas::input_pair(cosine, (aa - bb) / (aa + bb));
        const auto fx = formulas::first_layer(constants, first_gain, aa / d, false, x);
        const auto fy = formulas::first_layer(constants, first_gain, bb / d, false, y);
        correlation = formulas::first_correlation(input, fx, fy, std::sqrt(x.covariance.hi / y.covariance.hi));
        tangent = formulas::first_tangent(input, fx, fy, std::sqrt(x.tangent.hi / y.tangent.hi));
    }

    void step() {
        typename Dual::Factors dx, dy;
        const auto fx = formulas::next_layer(constants, dual, gain, x, dx), fy = formulas::next_layer(constants, dual, gain, y, dy);
        const formulas::Image image = dual.image(correlation, dx, dy);
        tangent = formulas::next_tangent(tangent, image, fx, fy);
        correlation = formulas::next_correlation(image, fx, fy);
    }
};

template <class Dual>
void expect_differences(const json& c, const Dual& dual, double tolerance) {
    const Architecture architecture = architecture_of_case(c, 4);
    const auto points = golden()["points"].get<std::vector<std::vector<double>>>();
    const bool standard = architecture.parametrization == Parametrization::standard;
    const formulas::DoubleDouble weight = formulas::exact_product(architecture.weight_std, architecture.weight_std);
    const formulas::DoubleDouble bias = formulas::exact_product(architecture.bias_std, architecture.bias_std);
    for (std::size_t j = 1; j < points.size(); ++j) {
        PairRun<Dual> run{
            {weight, bias,
             architecture.biases == Biases::trained ? standard ? formulas::DoubleDouble{1, 0} : bias : formulas::DoubleDouble{}},
            standard ? formulas::DoubleDouble{static_cast<double>(architecture.hidden[0]), 0} : weight,
            dual};
        run.start(points[0], points[j], standard ? formulas::DoubleDouble{4, 0} : weight);
        for (Index l = 2; l <= architecture.depth(); ++l) run.step();
        const double nngp = c["nngp"][j - 1], ntk = c["ntk"][j - 1];
        EXPECT_NEAR(run.correlation.below_one, nngp, tolerance * nngp) << "1 - rho of point " << j << ", " << label(c);
        EXPECT_NEAR(run.tangent.below_one, ntk, tolerance * ntk) << "1 - K of point " << j << ", " << label(c);
        EXPECT_NEAR(run.tangent.value, 1 - ntk, 1e-14) << "K of point " << j << ", " << label(c);
    }
}

TEST(LimitRecursion, KeepsOneMinusTheKernelToFullRelativePrecision) {
    for (const json& c : golden()["differences"]) {
        const double depth = c["depth"];
        // Where 1 - rho shrinks by the same factor every layer, the rounding of that factor is the same too: one unit a layer.
        const double tolerance = depth <= 30 ? 4e-15 : c["bias_std"] == 0 ? 5e-15 : 2.3e-16 * depth;
        const Activation activation = parse_activation(c["activation"]);
        if (activation.kind == Activation::Kind::erf)
            expect_differences(c, formulas::ErfDual{}, tolerance);
        else
            expect_differences(c, formulas::RectifierDual(activation), tolerance);
    }
}

TEST(LimitRecursion, CriticalReluTendsToOneQuarter) {
    // theory: the normalised NTK at rho = 1/2, sigma_w^2 = 2, no biases; to the digits given.
    struct Value {
        int depth;
        double kernel, digits;
    };
    const Value values[] = {
        {10, 0.3793, 5e-5}, {100, 0.2779, 5e-5}, {1000, 0.25381, 5e-6}, {10000, 0.250469, 5e-7}, {100000, 0.2500555, 5e-8}};
    PairRun<formulas::RectifierDual> run{{{2, 0}, {}, {}}, {2, 0}, formulas::RectifierDual(Activation{})};
    run.start({1, 0}, {0.5, std::sqrt(0.75)}, {2, 0});
    int depth = 1;
    for (const Value& v : values) {
        for (; depth < v.depth; ++depth) run.step();
        EXPECT_NEAR(run.tangent.value, v.kernel, v.digits) << depth;
        EXPECT_NEAR(run.tangent.value + run.tangent.below_one, 1, 4e-14) << depth;
    }
}

}  // namespace
}  // namespace ntk

// The fused kernel of FP16 layer Grams (NTKCUDA_FUSED_GRAM=1), where a device has it, against the definition.

#include "support/conformance.hpp"
#include "support/half.hpp"
#include "support/padded.hpp"
#include "support/samples.hpp"

#include <ntkcuda/gram.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <limits>
#include <vector>

namespace ntk {
namespace {

using namespace testing;

constexpr const char* variable = "NTKCUDA_FUSED_GRAM";

/// A backend made while the variable has this value.
template <class Real>
std::shared_ptr<Backend<Real>> backend_with(const char* value) {
    const char* const before = std::getenv(variable);
    const std::string kept = before ? before : "";
    setenv(variable, value, 1);
    const auto restore = [&] { before ? setenv(variable, kept.c_str(), 1) : unsetenv(variable); };
    try {
        auto backend = make_backend<Real>("cuda");
        restore();
        return backend;
    } catch (...) {
        restore();
        throw;
    }
}

/// The operands of one layer. A triangle has its rows on both sides; the output layer has no deltas.
struct Layer {
    HostMatrix<double> a1, a2, d1, d2;
    double scale = 1, shift = 0;
};

HostMatrix<double> integers(Index rows, Index cols, Index seed) {
    HostMatrix<double> x(rows, cols);
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < cols; ++j) x(i, j) = static_cast<double>((i * 7 + j * 3 + i * j + seed) % 5 - 2);
    return x;
}

template <class Real>
class FusedGram : public ::testing::Test {
protected:
    void SetUp() override {
        NTKCUDA_NEEDS_CUDA();
        library = backend_with<Real>("0");
        try {
            fused = backend_with<Real>("1");
        } catch (const Error& error) {
            if (error.code() != ErrorCode::device_unavailable) throw;
            GTEST_SKIP() << error.what();
        }
    }

    /// theta plus the layers, on a backend.
    static HostMatrix<Real> sum(const std::shared_ptr<Backend<Real>>& backend, const std::vector<Layer>& layers, Triangle triangle,
                                const HostMatrix<double>& before, Index pad = 0) {
        Padded<Real> theta(backend, before, pad);
        const auto sum = backend->half_gram_sum(theta.view(), triangle);
        for (const Layer& layer : layers) {
            const Padded<Real> a1(backend, layer.a1, pad), d1(backend, layer.d1, pad);
            const bool lower = triangle == Triangle::lower;
            const Padded<Real> a2(backend, lower ? layer.a1 : layer.a2, pad), d2(backend, lower ? layer.d1 : layer.d2, pad);
            const ConstMatrixView<Real> none;
            const auto deltas = [&](const Padded<Real>& d) { return layer.d1.empty() ? none : d.view(); };
            sum->add(a1.view(), lower ? a1.view() : a2.view(), deltas(d1), lower ? deltas(d1) : deltas(d2), layer.scale, layer.shift);
        }
        sum->finish();
        return theta.get();
    }

    std::shared_ptr<Backend<Real>> fused, library;
};

using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(FusedGram, Reals);

/// Layers of sums so small that every order of them is exact in float32.
std::vector<Layer> integer_layers(Index n1, Index n2) {
    std::vector<Layer> layers;
    layers.push_back({integers(n1, 65, 0), integers(n2, 65, 1), {}, {}, 2, 3});
    layers.push_back({integers(n1, 8, 2), integers(n2, 8, 3), integers(n1, 130, 4), integers(n2, 130, 5), 0.5, 0});
    layers.push_back({integers(n1, 70, 6), integers(n2, 70, 7), integers(n1, 64, 8), integers(n2, 64, 9), 1, 2});
    return layers;
}

double exact_term(const Layer& layer, const HostMatrix<double>& a2, const HostMatrix<double>& d2, Index i, Index j) {
    const double products = static_cast<double>(inner_product(layer.a1, i, a2, j).value);
    const double deltas = layer.d1.empty() ? 1 : static_cast<double>(inner_product(layer.d1, i, d2, j).value);
    return (layer.scale * products + layer.shift) * deltas;
}

TYPED_TEST(FusedGram, ExactSums) {
    for (const auto& [n1, n2] : {std::pair<Index, Index>{1, 1}, {130, 200}, {257, 5}})
        for (const Triangle triangle : {Triangle::lower, Triangle::full}) {
            const bool lower = triangle == Triangle::lower;
            const std::vector<Layer> layers = integer_layers(n1, lower ? n1 : n2);
            const HostMatrix<double> before = integers(n1, lower ? n1 : n2, 10);
            const HostMatrix<TypeParam> got = this->sum(this->fused, layers, triangle, before, 3);
            for (Index i = 0; i < got.rows(); ++i)
                for (Index j = 0; j < got.cols(); ++j) {
                    double expected = before(i, j);
                    for (const Layer& layer : layers)
                        if (!lower || j <= i) expected += exact_term(layer, lower ? layer.a1 : layer.a2, lower ? layer.d1 : layer.d2, i, j);
                    ASSERT_EQ(static_cast<double>(got(i, j)), expected) << i << ", " << j << " of " << n1 << " x " << n2;
                }
        }
}

/// More layers than one run of the kernel takes.
TYPED_TEST(FusedGram, ManyLayers) {
    std::vector<Layer> layers;
    HostMatrix<double> expected = integers(9, 9, 0);
    const HostMatrix<double> before = expected;
    for (Index l = 0; l < 40; ++l) {
        layers.push_back({integers(9, 3, l), {}, integers(9, 2, l + 1), {}, 1, 1});
        for (Index i = 0; i < 9; ++i)
            for (Index j = 0; j <= i; ++j) expected(i, j) += exact_term(layers.back(), layers.back().a1, layers.back().d1, i, j);
    }
    EXPECT_TRUE(same_bits(to_double(this->sum(this->fused, layers, Triangle::lower, before)), expected));
}

/// Rows of very different sizes, of which another layer has other ones.
HostMatrix<double> uneven_rows(Index rows, Index cols, std::uint32_t which, double decades) {
    HostMatrix<double> x = random_matrix(rows, cols, which);
    for (Index i = 0; i < rows; ++i) {
        const double size = std::pow(10, decades * static_cast<double>((i + which) % 5 - 2) / 2);
        for (Index j = 0; j < cols; ++j) x(i, j) *= size;
    }
    return x;
}

/// The sums of one entry by definition, and the magnitudes that a row has with itself.
struct Definition {
    std::vector<Layer> rounded;

    explicit Definition(const std::vector<Layer>& layers) {
        for (const Layer& layer : layers)
            rounded.push_back(
                {rounded_rows(layer.a1), rounded_rows(layer.a2), rounded_rows(layer.d1), rounded_rows(layer.d2), layer.scale, layer.shift});
    }
    [[nodiscard]] Sum entry(const HostMatrix<double> Layer::*a1, const HostMatrix<double> Layer::*d1, Index i,
                            const HostMatrix<double> Layer::*a2, const HostMatrix<double> Layer::*d2, Index j) const {
        Sum sum;
        for (const Layer& layer : rounded) {
            const Sum products = inner_product(layer.*a1, i, layer.*a2, j);
            const Sum deltas = layer.d1.empty() ? single(1) : inner_product(layer.*d1, i, layer.*d2, j);
            sum.value += (layer.scale * products.value + layer.shift) * deltas.value;
            sum.magnitude += (layer.scale * products.magnitude + layer.shift) * deltas.magnitude;
        }
        return sum;
    }
};

/// Within the rounding of float32 sums, and of what vanishes beside the diagonal: a term below 2^-126 in units of which a row has no more
/// than its diagonal entry.
TYPED_TEST(FusedGram, RowsOfAnySize) {
    constexpr bool wide = std::is_same_v<TypeParam, double>;
    const double sample_decades = wide ? 150 : 15, delta_decades = -sample_decades / 2;  // so that theta is a number
    for (const auto& [n1, n2] : {std::pair<Index, Index>{7, 140}, {131, 3}})
        for (const Triangle triangle : {Triangle::lower, Triangle::full}) {
            const bool lower = triangle == Triangle::lower;
            const Index cols = lower ? n1 : n2;
            std::vector<Layer> layers;
            const auto rows = [](Index count, Index width, std::uint32_t which, double decades) {
                const HostMatrix<TypeParam> x = uneven_rows(count, width, which, decades).cast<TypeParam>();
                return x.template cast<double>();
            };
            for (const bool output : {true, false, false}) {
                const auto which = static_cast<std::uint32_t>(layers.size());
                const Index k = 20 + 30 * which, w = 70 - 20 * which;
                layers.push_back({rows(n1, k, which, sample_decades), rows(cols, k, which + 20, sample_decades), {}, {}, 0.3 / k, 0.04});
                if (lower) layers.back().a2 = layers.back().a1;
                if (output) continue;
                layers.back().d1 = rows(n1, w, which + 10, delta_decades);
                layers.back().d2 = lower ? layers.back().d1 : rows(cols, w, which + 30, delta_decades);
            }
            const Definition definition(layers);
            const HostMatrix<TypeParam> got = this->sum(this->fused, layers, triangle, HostMatrix<double>(n1, cols));
            for (Index i = 0; i < n1; ++i) {
                const long double own = definition.entry(&Layer::a1, &Layer::d1, i, &Layer::a1, &Layer::d1, i).magnitude;
                for (Index j = 0; j < (lower ? i + 1 : cols); ++j) {
                    const Sum sum = definition.entry(&Layer::a1, &Layer::d1, i, &Layer::a2, &Layer::d2, j);
                    const long double other = definition.entry(&Layer::a2, &Layer::d2, j, &Layer::a2, &Layer::d2, j).magnitude;
                    const long double bound = sum.magnitude * tolerance<float>(90 + 70 + 3) + std::sqrt(own) * std::sqrt(other) * 0x1p-126L;
                    ASSERT_LE(std::fabs(static_cast<long double>(got(i, j)) - sum.value), bound) << i << ", " << j;
                }
            }
        }
}

/// Rows of zeros and rows that are not finite, as without the kernel.
TYPED_TEST(FusedGram, RowsWithoutASize) {
    const TypeParam infinity = std::numeric_limits<TypeParam>::infinity();
    std::vector<Layer> layers = integer_layers(9, 9);
    for (Layer& layer : layers) {
        for (Index j = 0; j < layer.a1.cols(); ++j) layer.a1(1, j) = layer.a1(2, j) = 0;
        for (Index j = 0; j < layer.d1.cols(); ++j) layer.d1(2, j) = layer.d1(3, j) = 0;
    }
    layers[0].a1(4, 3) = std::numeric_limits<double>::quiet_NaN();
    layers[1].a1(5, 3) = infinity;
    layers[2].d1(6, 3) = -infinity;
    const HostMatrix<double> before(9, 9);
    const HostMatrix<TypeParam> got = this->sum(this->fused, layers, Triangle::lower, before),
                                expected = this->sum(this->library, layers, Triangle::lower, before);
    for (Index i = 0; i < 9; ++i)
        for (Index j = 0; j <= i; ++j) {
            EXPECT_EQ(std::isnan(got(i, j)), (i >= 4 && i <= 6) || (j >= 4 && j <= 6)) << i << ", " << j;
            if (!std::isnan(expected(i, j))) {
                EXPECT_EQ(got(i, j), expected(i, j)) << i << ", " << j;
            } else {
                EXPECT_TRUE(std::isnan(got(i, j))) << i << ", " << j;
            }
        }
}

/// Several rows of deltas a sample are left to the library.
TYPED_TEST(FusedGram, SeveralOutputs) {
    const std::vector<Layer> layers{{integers(5, 3, 0), integers(5, 3, 0), integers(10, 4, 1), integers(10, 4, 1), 1, 0.5},
                                    {integers(5, 3, 2), integers(5, 3, 2), {}, {}, 1, 0.5}};
    const HostMatrix<double> before = integers(10, 10, 3);
    EXPECT_TRUE(
        same_bits(this->sum(this->fused, layers, Triangle::lower, before), this->sum(this->library, layers, Triangle::lower, before)));
}

/// A whole kernel: all its layers go through one run.
TYPED_TEST(FusedGram, TangentKernel) {
    using Real = TypeParam;
    Architecture architecture;
    architecture.inputs = 5;
    architecture.hidden = {30, 20};
    architecture.outputs = 2;
    architecture.biases = Biases::trained;
    EmpiricalOptions options;
    options.block = Block::trace;
    options.gram = GramPrecision::half;
    const auto kernel = [&](const std::shared_ptr<Backend<Real>>& backend) {
        const Matrix<Real> x = upload(backend, random_matrix(17, 5));
        return to_double(download(empirical_ntk(draw_network(backend, architecture, 3), x.view(), options)));
    };
    const HostMatrix<double> got = kernel(this->fused), expected = kernel(this->library);
    for (Index i = 0; i < 17; ++i)
        for (Index j = 0; j < 17; ++j)
            EXPECT_NEAR(got(i, j), expected(i, j), tolerance<float>(30 + 2 * 30) * std::sqrt(expected(i, i) * expected(j, j)));
}

TEST(FusedGramSetting, IsOneOrZero) {
    NTKCUDA_NEEDS_CUDA();
    expect_error(ErrorCode::invalid_argument, "NTKCUDA_FUSED_GRAM is 'yes'", [] { (void)backend_with<double>("yes"); });
}

}  // namespace
}  // namespace ntk

#include "support/devices.hpp"
#include "support/samples.hpp"

#include "host/backend/normal_blocks.hpp"

#include <ntkcuda/formulas/normals.hpp>
#include <ntkcuda/random.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

namespace ntk {
namespace {

using testing::same_bits;

TEST(Random, PhiloxGivesTheKnownAnswers) {
    // Random123's kat_vectors, philox4x32 with 10 rounds: counter, key, result.
    struct Known {
        std::uint32_t counter[4], key[2], result[4];
    };
    const Known known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (const Known& k : known) {
        const std::uint64_t block = k.counter[0] | std::uint64_t{k.counter[1]} << 32, seed = k.key[0] | std::uint64_t{k.key[1]} << 32;
        const auto words = formulas::philox_block(seed, k.counter[3], k.counter[2], block);
        for (int i = 0; i < 4; ++i) EXPECT_EQ(words.v[i], k.result[i]);
    }
}

TEST(Random, BitsNeverChange) {
    // FNV-1a over the bits. A change here changes every network that anybody has drawn.
    const HostMatrix<double> normals = host_normals({0x0123456789abcdefULL, 7, weight_stream(3)}, 1000, 1000);
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (Index e = 0; e < normals.size(); ++e) {
        const auto value = static_cast<float>(normals.data()[e]);
        std::uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        hash = (hash ^ bits) * 0x100000001b3ULL;
    }
    EXPECT_EQ(hash, 0x222f7db63606019eULL) << std::hex << hash;
}

TEST(Random, EveryInstructionSetGivesTheSameBits) {
    constexpr Index blocks = 1001;  // not a multiple of the batch
    std::vector<float> expected(4 * blocks), got(4 * blocks);
    const std::uint64_t first = (std::uint64_t{1} << 32) - 500;  // the counter carries into its second word
    for (Index b = 0; b < blocks; ++b) {
        const formulas::Normals4 normals = formulas::normals_of_block(9, 1, 2, first + static_cast<std::uint64_t>(b));
        std::copy_n(normals.value, 4, expected.begin() + 4 * b);
    }
    for (const FillNormalBlocks fill : normal_block_variants()) {
        fill({9, 1, 2}, first, blocks, got.data());
        EXPECT_EQ(got, expected);
    }
}

TEST(Random, LanesAreNetworks) {
    constexpr Index blocks = 301;
    const std::uint64_t first = (std::uint64_t{1} << 32) - 50;
    const std::uint32_t network = 0xfffffffeU;  // numbers go on at 0
    for (const int lanes : {2, 4, 8, 16}) {
        std::vector<float> expected(static_cast<std::size_t>(4 * blocks * lanes)), got(expected.size());
        for (Index b = 0; b < blocks; ++b)
            for (int lane = 0; lane < lanes; ++lane) {
                const formulas::Normals4 normals =
                    formulas::normals_of_block(9, network + static_cast<std::uint32_t>(lane), 2, first + static_cast<std::uint64_t>(b));
                for (Index k = 0; k < 4; ++k) expected[static_cast<std::size_t>((4 * b + k) * lanes + lane)] = normals.value[k];
            }
        for (const FillNormalBlocks fill : normal_block_variants(lanes)) {
            fill({9, network, 2}, first, blocks, got.data());
            EXPECT_EQ(got, expected) << lanes << " lanes";
        }
    }
}

TEST(Random, TransformIsAccurate) {
    for (std::uint64_t e = 0; e < 200000; ++e) {
        const auto words = formulas::philox_block(5, 0, 0, e);
        const long double u = (words.v[0] + 0.5L) / 4294967296.0L;
        const long double exact_log = std::log(u);
        ASSERT_NEAR(formulas::portable_log(static_cast<double>(u)), static_cast<double>(exact_log),
                    static_cast<double>(-exact_log) * 4e-16 + 1e-25);
        const long double angle = 2 * std::numbers::pi_v<long double> * (words.v[1] + 0.5L) / 4294967296.0L;
        double sine, cosine;
        formulas::portable_sincos(words.v[1], sine, cosine);
        ASSERT_NEAR(sine, static_cast<double>(std::sin(angle)), 3e-16);
        ASSERT_NEAR(cosine, static_cast<double>(std::cos(angle)), 3e-16);
    }
    // The ends: the largest and the smallest radius, and the multiples of a quarter turn.
    EXPECT_NEAR(formulas::portable_log(0x1p-33), -33 * std::numbers::ln2, 1e-14);
    EXPECT_NEAR(formulas::portable_log(1 - 0x1p-33) * 0x1p33, -1 - 0x1p-34, 1e-15);
    for (std::uint32_t quarter = 0; quarter < 4; ++quarter) {
        double sine, cosine;
        formulas::portable_sincos(quarter << 30, sine, cosine);
        EXPECT_NEAR(sine, std::sin(quarter * std::numbers::pi / 2), 1e-9);
        EXPECT_NEAR(cosine, std::cos(quarter * std::numbers::pi / 2), 1e-9);
    }
}

TEST(Random, NormalsAreStandardNormal) {
    const HostMatrix<double> x = host_normals({2024, 0, weight_stream(1)}, 2000, 1000);
    const double n = static_cast<double>(x.size());
    double sum[9] = {};
    for (Index e = 0; e < x.size(); ++e)
        for (int k = 1; k <= 4; ++k) sum[k] += std::pow(x.data()[e], k);
    // Variances of the powers of a standard normal: 1, 2, 15, 96. Four standard errors.
    EXPECT_NEAR(sum[1] / n, 0, 4 * std::sqrt(1 / n));
    EXPECT_NEAR(sum[2] / n, 1, 4 * std::sqrt(2 / n));
    EXPECT_NEAR(sum[3] / n, 0, 4 * std::sqrt(15 / n));
    EXPECT_NEAR(sum[4] / n, 3, 4 * std::sqrt(96 / n));

    std::vector<double> sorted(x.data(), x.data() + x.size());
    std::sort(sorted.begin(), sorted.end());
    double distance = 0;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        const double probability = 0.5 * std::erfc(-sorted[i] / std::numbers::sqrt2);
        distance = std::max({distance, probability - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - probability});
    }
    EXPECT_LT(distance * std::sqrt(n), 2.0);  // Kolmogorov-Smirnov: exceeded with probability 2 exp(-8) = 7e-4
}

double correlation(const HostMatrix<double>& x, const HostMatrix<double>& y, Index lag = 0) {
    double sum = 0;
    for (Index e = 0; e + lag < x.size(); ++e) sum += x.data()[e] * y.data()[e + lag];
    return sum / static_cast<double>(x.size() - lag);
}

TEST(Random, StreamsAreIndependent) {
    const auto draw = [](NormalStream s) { return host_normals(s, 500, 800); };
    const NormalStream base{1, 0, weight_stream(1)};
    const HostMatrix<double> x = draw(base);
    const double bound = 4.5 / std::sqrt(static_cast<double>(x.size()));
    for (const Index lag : {1, 2, 3, 4, 5, 8, 800}) EXPECT_LT(std::fabs(correlation(x, x, lag)), bound) << lag;
    for (const NormalStream other : {NormalStream{2, 0, weight_stream(1)},
                                     {std::uint64_t{1} << 32 | 1, 0, weight_stream(1)},
                                     {1, 1, weight_stream(1)},
                                     {1, 0, bias_stream(1)},
                                     {1, 0, weight_stream(2)},
                                     {1, 0, data_stream},
                                     {0, 1, weight_stream(1)}})
        EXPECT_LT(std::fabs(correlation(x, draw(other))), bound);
}

TEST(Random, NoTwoMatricesShareAStream) {
    std::set<std::uint32_t> streams{data_stream};
    for (Index layer = 1; layer <= 10000; ++layer) {
        EXPECT_TRUE(streams.insert(weight_stream(layer)).second);
        EXPECT_TRUE(streams.insert(bias_stream(layer)).second);
    }
}

TEST(Random, AMatrixIsItsStreamInRowMajorOrder) {
    const HostMatrix<double> long_row = host_normals({3, 2, 1}, 1, 35), matrix = host_normals({3, 2, 1}, 5, 7);
    for (Index e = 0; e < 35; ++e) EXPECT_EQ(matrix.data()[e], long_row.data()[e]);
}

class RandomOnDevice : public ::testing::TestWithParam<std::string> {};

template <class Real>
void expect_stream(const std::string& device) {
    for (const auto& [rows, cols] : {std::pair<Index, Index>{1, 1}, {3, 5}, {257, 33}, {2, 9001}}) {
        const auto backend = make_backend<Real>(device);
        Matrix<Real> x(backend, rows, cols);
        backend->draw_normals({11, 5, 4}, 0.7, x.view());
        const HostMatrix<Real> got = download(x);
        const HostMatrix<double> normals = host_normals({11, 5, 4}, rows, cols);
        for (Index e = 0; e < got.size(); ++e) ASSERT_EQ(got.data()[e], static_cast<Real>(0.7 * normals.data()[e]));
    }
}

TEST_P(RandomOnDevice, SameBitsInFloat64) { expect_stream<double>(GetParam()); }
TEST_P(RandomOnDevice, SameBitsInFloat32) { expect_stream<float>(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Devices, RandomOnDevice, ::testing::ValuesIn(testing::device_ids()));

TEST(Random, SameBitsOnAnyNumberOfThreads) {
    const auto draw = [](int threads) {
        Matrix<double> x(make_backend<double>("cpu", threads), 300, 311);
        x.backend()->draw_normals({1, 2, 3}, 1, x.view());
        return download(x);
    };
    EXPECT_TRUE(same_bits(draw(1), draw(2)));
    EXPECT_TRUE(same_bits(draw(1), draw(3)));
}

}  // namespace
}  // namespace ntk

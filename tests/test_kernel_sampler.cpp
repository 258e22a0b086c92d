#include "support/devices.hpp"
#include "support/samples.hpp"
#include "support/tolerance.hpp"

#include <ntkcuda/backend.hpp>
#include <ntkcuda/kernel_sampler.hpp>

#include <gtest/gtest.h>

namespace ntk {
namespace {

using testing::expect_error;
using testing::random_matrix;
using testing::tolerance;

/// Rows of networks first .. first + count - 1.
template <class Real>
HostMatrix<Real> sampled(const std::shared_ptr<Backend<Real>>& backend, const KernelSamplerOptions& options, const HostMatrix<double>& x,
                         std::uint32_t first, Index count) {
    const auto sampler = backend->kernel_sampler(options, upload(backend, x).view());
    Matrix<Real> out(backend, count, sampler->layout().columns());
    sampler->sample(first, out.view());
    return download(out);
}

Architecture architecture(Index inputs, std::vector<Index> hidden, Index outputs) {
    Architecture a;
    a.inputs = inputs;
    a.hidden = std::move(hidden);
    a.outputs = outputs;
    return a;
}

struct Case {
    const char* name;
    Architecture architecture;
    Index samples;
};

std::vector<Case> cases() {
    std::vector<Case> list;
    list.push_back({"narrow", architecture(2, {20, 20, 20}, 1), 2});
    list.push_back({"uneven, outputs", architecture(3, {7, 17, 5}, 3), 4});
    list.push_back({"linear", architecture(3, {}, 2), 3});
    list.push_back({"one sample, one unit", architecture(1, {1}, 1), 1});
    Case erf{"erf, trained biases, standard", architecture(4, {9, 6}, 2), 3};
    erf.architecture.activation = parse_activation("erf");
    erf.architecture.biases = Biases::trained;
    erf.architecture.bias_std = 0.3;
    erf.architecture.weight_std = 1.2;
    erf.architecture.parametrization = Parametrization::standard;
    list.push_back(erf);
    Case fixed{"leaky, fixed biases", architecture(2, {8, 9, 10, 11}, 1), 5};
    fixed.architecture.activation = parse_activation("leaky_relu:0.1");
    fixed.architecture.biases = Biases::fixed;
    fixed.architecture.bias_std = 0.5;
    list.push_back(fixed);
    Case abs{"abs, trained biases, ntk", architecture(2, {8, 33}, 2), 3};
    abs.architecture.activation = parse_activation("abs");
    abs.architecture.biases = Biases::trained;
    abs.architecture.bias_std = 0.1;
    list.push_back(abs);
    return list;
}

class KernelSamplers : public ::testing::TestWithParam<std::string> {};

/// Each row is the two kernels of draw_network, by gram.hpp.
template <class Real>
void check_weights(const std::shared_ptr<Backend<Real>>& backend) {
    for (const Case& c : cases())
        for (const Block block : {Block::full, Block::trace, Block::diag}) {
            SCOPED_TRACE(c.name + std::string(", block ") + std::to_string(static_cast<int>(block)));
            const HostMatrix<double> x = random_matrix(c.samples, c.architecture.inputs);
            const KernelSamplerOptions options{c.architecture, Sampler::weights, 5, block, true};
            const KernelLayout layout = kernel_layout(options, c.samples);
            const std::uint32_t first = 3;
            const HostMatrix<Real> rows = sampled(backend, options, x, first, 19);
            ASSERT_EQ(rows.cols(), layout.columns());
            for (Index r = 0; r < rows.rows(); r += 6) {
                const auto network = draw_network(backend, c.architecture, 5, first + static_cast<std::uint32_t>(r));
                const Matrix<Real> inputs = upload(backend, x);
                EmpiricalOptions empirical;
                empirical.block = block;
                const HostMatrix<Real> tangent = download(empirical_ntk(network, inputs.view(), empirical));
                const HostMatrix<Real> nngp = download(empirical_nngp(network, inputs.view()));
                double size = 0, nngp_size = 0;
                for (Index e = 0; e < tangent.size(); ++e) size = std::max(size, std::fabs(static_cast<double>(tangent.data()[e])));
                for (Index e = 0; e < nngp.size(); ++e) nngp_size = std::max(nngp_size, std::fabs(static_cast<double>(nngp.data()[e])));
                const double rounding = 4 * tolerance<Real>(40 * c.architecture.depth());
                Index at = 0;
                for (Index i = 0; i < tangent.rows(); ++i)
                    for (Index j = 0; j < (block == Block::diag ? tangent.cols() : i + 1); ++j, ++at) {
                        ASSERT_NEAR(rows(r, at), tangent(i, j), size * rounding) << "network " << r << " (" << i << ", " << j << ")";
                        double sum = 0;
                        for (Index l = 1; l <= layout.layers; ++l) sum += rows(r, layout.nngp + l * layout.tangent + at);
                        ASSERT_NEAR(sum, tangent(i, j), size * rounding);
                    }
                for (Index i = 0; i < nngp.rows(); ++i)
                    for (Index j = 0; j <= i; ++j, ++at) ASSERT_NEAR(rows(r, at), nngp(i, j), nngp_size * rounding);
                ASSERT_EQ(at, layout.tangent + layout.nngp);
            }
        }
}
TEST_P(KernelSamplers, WeightsGiveTheKernelsOfDrawnNetworksFloat64) { check_weights<double>(make_backend<double>(GetParam())); }
TEST_P(KernelSamplers, WeightsGiveTheKernelsOfDrawnNetworksFloat32) { check_weights<float>(make_backend<float>(GetParam())); }

/// Which networks are asked for together changes no bit.
template <class Real>
void check_splits(const std::string& device) {
    const HostMatrix<double> x = random_matrix(4, 3);
    for (const Block block : {Block::full, Block::diag}) {
        const KernelSamplerOptions options{architecture(3, {7, 17, 5}, 3), Sampler::weights, 5, block, true};
        const auto backend = make_backend<Real>(device, 1), other = make_backend<Real>(device, 2);
        const HostMatrix<Real> all = sampled(backend, options, x, 0, 50);
        for (const auto& [first, count] : {std::pair<std::uint32_t, Index>{0, 50}, {0, 1}, {13, 1}, {7, 16}, {33, 17}}) {
            const HostMatrix<Real> part = sampled(other, options, x, first, count);
            for (Index r = 0; r < count; ++r)
                for (Index e = 0; e < all.cols(); ++e) ASSERT_EQ(part(r, e), all(first + r, e)) << first << " + " << r << ", " << e;
        }
    }
}
TEST_P(KernelSamplers, RowsDependOnTheirNetworkAloneFloat64) { check_splits<double>(GetParam()); }
TEST_P(KernelSamplers, RowsDependOnTheirNetworkAloneFloat32) { check_splits<float>(GetParam()); }

TEST_P(KernelSamplers, RefuseWhatDoesNotFit) {
    const auto backend = make_backend<double>(GetParam());
    const Matrix<double> x = upload(backend, random_matrix(2, 3));
    KernelSamplerOptions options{architecture(3, {4}, 1)};
    const auto sampler = backend->kernel_sampler(options, x.view());
    Matrix<double> out(backend, 2, sampler->layout().columns());
    expect_error(ErrorCode::shape_mismatch, "6", [&] { sampler->sample(0, out.view().col_range(0, 5)); });
    expect_error(ErrorCode::invalid_argument, "at most 1", [&] { sampler->sample(0xffffffffU, out.view()); });
    sampler->sample(0xfffffffeU, out.view());
    expect_error(ErrorCode::shape_mismatch, "takes 3", [&] { (void)backend->kernel_sampler(options, x.view().col_range(0, 2)); });
    expect_error(ErrorCode::shape_mismatch, "none", [&] { (void)backend->kernel_sampler(options, x.view().row_range(0, 0)); });
    options.architecture.weight_std = 0;
    expect_error(ErrorCode::invalid_argument, "weight_std", [&] { (void)backend->kernel_sampler(options, x.view()); });
}

INSTANTIATE_TEST_SUITE_P(Devices, KernelSamplers, ::testing::ValuesIn(testing::device_ids()));

TEST(KernelLayout, CountsTheEntriesOfARow) {
    KernelSamplerOptions options{architecture(3, {4, 4}, 2)};
    KernelLayout layout = kernel_layout(options, 5);
    EXPECT_EQ(layout.tangent, 55);
    EXPECT_EQ(layout.nngp, 15);
    EXPECT_EQ(layout.columns(), 70);
    options.block = Block::trace;
    options.per_layer = true;
    layout = kernel_layout(options, 5);
    EXPECT_EQ(layout.tangent, 15);
    EXPECT_EQ(layout.columns(), 15 + 15 + 3 * 15);
    options.block = Block::diag;
    EXPECT_EQ(kernel_layout(options, 5).tangent, 10);
    expect_error(ErrorCode::out_of_memory, "row of kernels", [&] { (void)kernel_layout(options, Index{1} << 40); });
}

}  // namespace
}  // namespace ntk

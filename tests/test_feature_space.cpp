// The closed form in the space of a kernel's features is that of the kernel.

#include <ntkcuda/feature_space.hpp>

#include "support/every_device.hpp"
#include "support/samples.hpp"

#include <gtest/gtest.h>

namespace ntk {
namespace {

using namespace testing;

template <class Real>
class FeatureSpace : public EveryDevice<Real> {};
using Precisions = ::testing::Types<float, double>;
TYPED_TEST_SUITE(FeatureSpace, Precisions);

Architecture small_network() {
    Architecture architecture{.inputs = 4, .hidden = {6}, .outputs = 2, .activation = parse_activation("erf")};
    architecture.bias_std = 0.3;
    architecture.biases = Biases::trained;
    return architecture;
}

TYPED_TEST(FeatureSpace, PredictsWhatTheKernelPredicts) {
    using Real = TypeParam;
    this->on_devices([](const std::shared_ptr<Backend<Real>>& backend) {
        const Network<Real> network = draw_network(backend, small_network(), 3);
        const Index n = 120, m = 9;
        const Matrix<Real> x = upload(backend, random_matrix(n, 4)), test = upload(backend, random_matrix(m, 4, 1));
        const double ridge = 0.5, close = std::is_same_v<Real, double> ? 1e-11 : 1e-3;
        const auto check = [&](FeatureMap<Real> map, Matrix<Real> kernel, const Matrix<Real>& cross) {
            EXPECT_LT(map.features, kernel.rows());
            const Matrix<Real> phi = map.at(x.view());
            ASSERT_EQ(phi.cols(), map.features);
            ASSERT_EQ(phi.rows(), kernel.rows());
            const Matrix<Real> y = upload(backend, random_matrix(kernel.rows(), 2, 5));
            const FeatureSystem<Real> features(std::move(map), backend, x.view(), ridge, 50);
            const Matrix<Real> weights = features.weights(y.view());
            const KernelSystem<Real> system(std::move(kernel), ridge);
            EXPECT_LE(relative_distance(to_double(download(features.predict(test.view(), weights))),
                                        to_double(download(system.predict(cross.view(), y.view())))),
                      close);
            EXPECT_LE(relative_distance(to_double(download(features.coefficients(y.view(), weights))),
                                        to_double(download(system.solve(y.view())))),
                      close);
            EXPECT_NEAR(features.report().log_determinant, system.report().log_determinant,
                        close * std::abs(system.report().log_determinant) + 100 * close);
        };
        for (const Block block : {Block::trace, Block::full}) {
            SCOPED_TRACE(static_cast<int>(block));
            check(tangent_features(network, block), empirical_ntk(network, x.view(), {.block = block}),
                  empirical_ntk(network, test.view(), x.view(), {.block = block}));
        }
        check(nngp_features(network), empirical_nngp(network, x.view()), empirical_nngp(network, test.view(), x.view()));
    });
}

TEST(FeatureSpaceRefusals, ASingularKernelIsRefused) {
    const auto backend = make_backend<double>("cpu", 1);
    const Network<double> network = draw_network(backend, small_network(), 3);
    const Matrix<double> x = upload(backend, random_matrix(120, 4));
    expect_error(ErrorCode::not_positive_definite, "120 rows is singular: it has 88 features",
                 [&] { FeatureSystem<double>(tangent_features(network, Block::trace), backend, x.view(), 0, 50); });
    expect_error(ErrorCode::invalid_argument, "ridge",
                 [&] { FeatureSystem<double>(tangent_features(network, Block::trace), backend, x.view(), -1, 50); });
    expect_error(ErrorCode::invalid_argument, "diag", [&] { (void)tangent_features(network, Block::diag); });
}

}  // namespace
}  // namespace ntk

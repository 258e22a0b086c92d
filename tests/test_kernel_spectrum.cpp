#include "support/dense.hpp"
#include "support/every_device.hpp"
#include "support/samples.hpp"
#include "support/tolerance.hpp"

#include <ntkcuda/closed_form.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ntk {
namespace {

using namespace testing;

template <class Real>
class Spectrum : public EveryDevice<Real> {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Spectrum, Reals);

HostMatrix<double> identity(Index n) {
    HostMatrix<double> result(n, n);
    for (Index i = 0; i < n; ++i) result(i, i) = 1;
    return result;
}

HostMatrix<double> ones(Index n) { return {n, n, std::vector<double>(static_cast<std::size_t>(n * n), 1)}; }

/// Without row `left_out`, and without that column if `both`.
HostMatrix<double> without(const HostMatrix<double>& x, Index left_out, bool both) {
    HostMatrix<double> result(x.rows() - 1, both ? x.cols() - 1 : x.cols());
    for (Index i = 0; i < result.rows(); ++i)
        for (Index j = 0; j < result.cols(); ++j) result(i, j) = x(i + (i >= left_out), j + (both && j >= left_out));
    return result;
}

double trace(const HostMatrix<double>& x) {
    double sum = 0;
    for (Index i = 0; i < x.rows(); ++i) sum += x(i, i);
    return sum;
}

TYPED_TEST(Spectrum, RidgeCoefficientsAreThoseOfCholesky) {
    this->on_devices([](const auto& backend) {
        const HostMatrix<double> kernel = random_kernel(70, 0.3, 30), y = random_matrix(70, 3, 1);
        const auto targets = upload(backend, y);
        const KernelSpectrum<TypeParam> spectrum(upload(backend, kernel));
        for (const double ridge : {0.0, 1e-3, 0.1, 10.0, 1e4}) {
            const KernelSystem<TypeParam> system(upload(backend, kernel), ridge);
            const SystemReport report = spectrum.report(ridge);
            const double tolerance = testing::tolerance<TypeParam>(70) * report.condition;
            EXPECT_LE(relative_distance(to_double(download(spectrum.ridge_coefficients(targets.view(), ridge))),
                                        to_double(download(system.solve(targets)))),
                      tolerance)
                << ridge;
            EXPECT_NEAR(report.log_determinant, system.report().log_determinant, 70 * tolerance) << ridge;
            EXPECT_FALSE(report.condition_is_estimate);
        }
    });
}

TYPED_TEST(Spectrum, LeavingOneOutIsFittingAgainWithoutIt) {
    this->on_devices([](const auto& backend) {
        const Index n = 30;
        const HostMatrix<double> kernel = random_kernel(n, 0.5, 12), y = random_matrix(n, 2, 1);
        const KernelSpectrum<TypeParam> spectrum(upload(backend, kernel));
        for (const double ridge : {0.0, 0.2, 5.0}) {
            const auto coefficients = spectrum.ridge_coefficients(upload(backend, y).view(), ridge);
            const HostMatrix<double> residuals = spectrum.leave_one_out(coefficients, ridge);
            const double tolerance = testing::tolerance<TypeParam>(n) * spectrum.report(ridge).condition;
            for (Index j = 0; j < n; ++j) {
                const KernelSystem<TypeParam> others(upload(backend, without(kernel, j, true)), ridge);
                HostMatrix<double> cross(1, n - 1);
                for (Index i = 0; i < n - 1; ++i) cross(0, i) = kernel(j, i + (i >= j));
                const auto predicted = to_double(download(others.predict(upload(backend, cross), upload(backend, without(y, j, false)))));
                for (Index t = 0; t < 2; ++t)
                    EXPECT_NEAR(residuals(j, t), y(j, t) - predicted(0, t), tolerance * std::sqrt(static_cast<double>(n)));
            }
        }
    });
}

TYPED_TEST(Spectrum, DegreesOfFreedomAreTheTraceOfTheSmoother) {
    this->on_devices([](const auto& backend) {
        const Index n = 40;
        const HostMatrix<double> kernel = random_kernel(n, 0.5, 15);
        const KernelSpectrum<TypeParam> spectrum(upload(backend, kernel));
        const auto every_target = upload(backend, identity(n));
        const auto smoother_trace = [&](const Matrix<TypeParam>& coefficients) {
            return trace(product(kernel, to_double(download(coefficients))));
        };
        const double tolerance = static_cast<double>(n) * testing::tolerance<TypeParam>(n) * spectrum.report().condition;
        EXPECT_NEAR(spectrum.ridge_degrees_of_freedom(0), n, tolerance);
        for (const double ridge : {0.1, 3.0, 100.0})
            EXPECT_NEAR(spectrum.ridge_degrees_of_freedom(ridge), smoother_trace(spectrum.ridge_coefficients(every_target.view(), ridge)),
                        tolerance);
        for (const double time : {1e-3, 0.1, 10.0})
            EXPECT_NEAR(spectrum.flow_degrees_of_freedom(time), smoother_trace(spectrum.flow_coefficients(every_target.view(), time)),
                        tolerance);
    });
}

TYPED_TEST(Spectrum, FlowIsGradientFlowToTheBit) {
    this->on_devices([](const auto& backend) {
        const HostMatrix<double> kernel = random_kernel(50, 1, 20);
        const auto cross = upload(backend, random_matrix(9, 50, 1)), y = upload(backend, random_matrix(50, 2, 2));
        const KernelSpectrum<TypeParam> spectrum(upload(backend, kernel));
        const GradientFlow<TypeParam> flow(upload(backend, kernel));
        for (const double time : {1e-3, 1.0, std::numeric_limits<double>::infinity()}) {
            const auto coefficients = spectrum.flow_coefficients(y.view(), time);
            Matrix<TypeParam> predicted(backend, 9, 2);
            backend->gemm(Transpose::no, Transpose::no, 1, cross.view(), coefficients.view(), 0, predicted.view());
            EXPECT_TRUE(same_bits(download(predicted), download(flow.predict(cross, y, time))));
        }
    });
}

TYPED_TEST(Spectrum, ApplyWithTheIdentityIsTheKernel) {
    this->on_devices([](const auto& backend) {
        const HostMatrix<double> kernel = random_kernel(45, 0, 20), y = random_matrix(45, 4, 1);
        const KernelSpectrum<TypeParam> spectrum(upload(backend, kernel));
        const auto got = spectrum.apply([](double lambda) { return lambda; }, upload(backend, y).view());
        EXPECT_LE(relative_distance(to_double(download(got)), product(kernel, y)), 10 * testing::tolerance<TypeParam>(45));
    });
}

TYPED_TEST(Spectrum, AlignmentByItsDefinition) {
    this->on_devices([](const auto& backend) {
        const Index n = 25;
        const double tolerance = 10 * testing::tolerance<TypeParam>(n);
        const HostMatrix<double> kernel = random_kernel(n, 0.1, 10), y = random_matrix(n, 3, 1), gram = product(y, transposed(y));
        double product_sum = 0, kernel_squares = 0, gram_squares = 0;
        for (Index e = 0; e < n * n; ++e) {
            product_sum += kernel.data()[e] * gram.data()[e];
            kernel_squares += kernel.data()[e] * kernel.data()[e];
            gram_squares += gram.data()[e] * gram.data()[e];
        }
        const KernelSpectrum<TypeParam> spectrum(upload(backend, kernel));
        const TargetAlignment alignment = spectrum.alignment(upload(backend, y).view());
        EXPECT_NEAR(alignment.kernel_target, product_sum / std::sqrt(kernel_squares * gram_squares), tolerance);
        ASSERT_EQ(alignment.shares.size(), static_cast<std::size_t>(n));
        double sum = 0;
        for (const double share : alignment.shares) sum += share;
        EXPECT_NEAR(sum, 1, tolerance);

        // A kernel that is its target's, and one that knows nothing of it.
        const HostMatrix<double> one = random_matrix(n, 1, 2);
        const KernelSpectrum<TypeParam> own(upload(backend, product(one, transposed(one)))), none(upload(backend, identity(n)));
        const auto target = upload(backend, one);
        EXPECT_NEAR(own.alignment(target.view()).kernel_target, 1, tolerance);
        EXPECT_NEAR(own.alignment(target.view()).shares.front(), 1, tolerance);
        EXPECT_NEAR(none.alignment(target.view()).kernel_target, 1 / std::sqrt(static_cast<double>(n)), tolerance);
    });
}

TYPED_TEST(Spectrum, SharesFollowTheEigenvaluesDownwards) {
    this->on_devices([](const auto& backend) {
        HostMatrix<double> kernel(3, 3);
        kernel(0, 0) = 2;
        kernel(1, 1) = 5;
        kernel(2, 2) = 1;
        const KernelSpectrum<TypeParam> spectrum(upload(backend, kernel));
        const auto shares = spectrum.alignment(upload(backend, {3, 1, {1, 3, 2}}).view()).shares;
        const double tolerance = testing::tolerance<TypeParam>(3);
        EXPECT_NEAR(shares[0], 9.0 / 14, tolerance);
        EXPECT_NEAR(shares[1], 1.0 / 14, tolerance);
        EXPECT_NEAR(shares[2], 4.0 / 14, tolerance);
    });
}

// K = 11^T: eigenvalues 4, 0, 0, 0.
TYPED_TEST(Spectrum, RefusesRidgesThatHangOnRoundingAndNamesOneThatHelps) {
    this->on_devices([](const auto& backend) {
        const KernelSpectrum<TypeParam> spectrum(upload(backend, ones(4)));
        const auto y = upload(backend, {4, 1, {1, 2, 3, 4}});
        std::string message;
        try {
            (void)spectrum.ridge_coefficients(y.view(), 0);
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ErrorCode::not_positive_definite);
            message = error.what();
        }
        const std::string before = "try ridges from ";
        ASSERT_NE(message.find(before), std::string::npos) << message;
        const double ridge = std::stod(message.substr(message.find(before) + before.size()));
        EXPECT_NO_THROW((void)spectrum.ridge_coefficients(y.view(), 2 * ridge));
        EXPECT_EQ(message.find("fp64") != std::string::npos, sizeof(TypeParam) < sizeof(double)) << message;
        expect_error(ErrorCode::not_positive_definite, "not positive definite to rounding",
                     [&] { (void)spectrum.ridge_degrees_of_freedom(0); });
    });
}

// Samples that agree to 1e-3: eigenvalues 1e-3 and 2 - 1e-3, mean of the diagonal 1.
TYPED_TEST(Spectrum, RefusesWhatItsEntriesDoNotResolve) {
    this->on_devices([](const auto& backend) {
        const HostMatrix<double> kernel(2, 2, {1, 1 - 1e-3, 1 - 1e-3, 1});
        const KernelSpectrum<TypeParam> coarse(upload(backend, kernel), 1.1e-3), fine(upload(backend, kernel), 0.9e-3);
        const auto y = upload(backend, {2, 1, {1, -1}});
        expect_error(ErrorCode::not_positive_definite, "--precision fp64", [&] { (void)coarse.ridge_coefficients(y.view(), 0); });
        EXPECT_NO_THROW((void)coarse.ridge_coefficients(y.view(), 2e-4));
        EXPECT_NO_THROW((void)fine.ridge_coefficients(y.view(), 0));
    });
}

TYPED_TEST(Spectrum, ARidgeLiftsAnIndefiniteKernelAndAFlowRefusesIt) {
    this->on_devices([](const auto& backend) {
        const HostMatrix<double> kernel(2, 2, {1, 2, 2, 1});  // eigenvalues -1, 3
        const KernelSpectrum<TypeParam> spectrum(upload(backend, kernel));
        const auto y = upload(backend, {2, 1, {1, 3}});
        const auto coefficients = download(spectrum.ridge_coefficients(y.view(), 2));  // (3 2; 2 3)^-1 (1, 3)
        EXPECT_NEAR(coefficients(0, 0), -0.6, 1e-6);
        EXPECT_NEAR(coefficients(1, 0), 1.4, 1e-6);
        expect_error(ErrorCode::not_positive_definite, "not positive semidefinite", [&] { (void)spectrum.flow_coefficients(y.view(), 1); });
    });
}

TYPED_TEST(Spectrum, RefusesBadArguments) {
    this->on_devices([](const auto& backend) {
        expect_error(ErrorCode::shape_mismatch, "2 x 3", [&] { KernelSpectrum<TypeParam>(upload(backend, {2, 3})); });
        expect_error(ErrorCode::invalid_argument, "not finite", [&] {
            KernelSpectrum<TypeParam>(upload(backend, {1, 1, {std::nan("")}}));
        });
        const KernelSpectrum<TypeParam> spectrum(upload(backend, {2, 2, {2, 1, 1, 2}}));
        const auto y = upload(backend, {2, 1, {1, 1}}), longer = upload(backend, {3, 1, {1, 1, 1}}), zero = upload(backend, {2, 1, {0, 0}});
        for (const double ridge : {-1.0, std::nan(""), std::numeric_limits<double>::infinity()})
            expect_error(ErrorCode::invalid_argument, "ridge", [&] { (void)spectrum.ridge_coefficients(y.view(), ridge); });
        for (const double time : {0.0, -1.0, std::nan("")})
            expect_error(ErrorCode::invalid_argument, "time", [&] { (void)spectrum.flow_coefficients(y.view(), time); });
        expect_error(ErrorCode::shape_mismatch, "y is 3 x 1", [&] { (void)spectrum.ridge_coefficients(longer.view(), 1); });
        expect_error(ErrorCode::shape_mismatch, "coefficients is 3 x 1", [&] { (void)spectrum.leave_one_out(longer, 1); });
        expect_error(ErrorCode::invalid_argument, "are zero", [&] { (void)spectrum.alignment(zero.view()); });
    });
}

TYPED_TEST(Spectrum, AKeptFactorIsTheSystem) {
    this->on_devices([](const auto& backend) {
        const HostMatrix<double> kernel = random_kernel(33, 1, 20);
        const KernelSystem<TypeParam> system(upload(backend, kernel), 0.1);
        HostMatrix<double> lower = to_double(download(system.factor()));
        for (Index i = 0; i < 33; ++i)
            for (Index j = i + 1; j < 33; ++j) lower(i, j) = 0;
        const auto again = KernelSystem<TypeParam>::from_factor(upload(backend, lower), system.report());
        const auto y = upload(backend, random_matrix(33, 2, 1)), cross = upload(backend, random_matrix(5, 33, 2));
        const auto diagonal = upload(backend, HostMatrix<double>(5, 1, std::vector<double>(5, 1000)));
        EXPECT_TRUE(same_bits(download(system.solve(y)), download(again.solve(y))));
        EXPECT_TRUE(same_bits(download(system.posterior_variance(cross, diagonal)), download(again.posterior_variance(cross, diagonal))));
        expect_error(ErrorCode::shape_mismatch, "factor is 2 x 3", [&] {
            (void)KernelSystem<TypeParam>::from_factor(upload(backend, {2, 3}), {});
        });
    });
}

}  // namespace
}  // namespace ntk

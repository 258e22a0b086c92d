#include "support/dense.hpp"
#include "support/every_device.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
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
class ClosedForm : public EveryDevice<Real> {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ClosedForm, Reals);

HostMatrix<double> hilbert(Index n) {
    HostMatrix<double> k(n, n);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) k(i, j) = 1 / static_cast<double>(i + j + 1);
    return k;
}

HostMatrix<double> column(std::vector<double> values) {
    const auto n = static_cast<Index>(values.size());
    return {n, 1, std::move(values)};
}

/// What the refusal of a kernel says.
template <class Real>
std::string refusal(const std::shared_ptr<Backend<Real>>& backend, const HostMatrix<double>& kernel, double ridge = 0) {
    try {
        KernelSystem<Real> system(upload(backend, kernel), ridge);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::not_positive_definite) << error.what();
        return error.what();
    }
    ADD_FAILURE() << "the kernel was not refused";
    return "";
}

double suggested_ridge(const std::string& message) {
    const std::string before = "a ridge of ";
    const auto at = message.find(before);
    return at == std::string::npos ? std::nan("") : std::stod(message.substr(at + before.size()));
}

TYPED_TEST(ClosedForm, SolvesASystemDoneByHand) {
    this->on_devices([](const auto& backend) {
        const KernelSystem<TypeParam> system(upload(backend, {2, 2, {2, 1, 1, 2}}), 0);
        const auto x = download(system.solve(upload(backend, {2, 2, {3, 1, 3, -1}})));
        const double tolerance = testing::tolerance<TypeParam>(2);
        EXPECT_NEAR(x(0, 0), 1, tolerance);
        EXPECT_NEAR(x(1, 0), 1, tolerance);
        EXPECT_NEAR(x(0, 1), 1, tolerance);
        EXPECT_NEAR(x(1, 1), -1, tolerance);
        EXPECT_NEAR(system.report().log_determinant, std::log(3.0), tolerance);
        EXPECT_NEAR(system.report().condition, 3, 3 * tolerance);
        EXPECT_TRUE(system.report().condition_is_estimate);
    });
}

TYPED_TEST(ClosedForm, OneSample) {
    this->on_devices([](const auto& backend) {
        const KernelSystem<TypeParam> system(upload(backend, {1, 1, {4}}), 1);
        EXPECT_NEAR(download(system.predict(upload(backend, {2, 1, {1, 2}}), upload(backend, {1, 1, {10}})))(1, 0), 4, 1e-5);
        EXPECT_NEAR(system.report().condition, 1, 1e-6);
        EXPECT_NEAR(download(system.posterior_variance(upload(backend, {1, 1, {2}}), upload(backend, {1, 1, {3}})))(0, 0), 3 - 4.0 / 5,
                    1e-6);
    });
}

TYPED_TEST(ClosedForm, EqualsSixtyDigitReference) {
    const auto reference = golden("closed_form.json");
    const HostMatrix<double> kernel = matrix_of(reference["kernel"]), y = matrix_of(reference["y"]), cross = matrix_of(reference["cross"]),
                             diagonal = matrix_of(reference["diagonal"]);
    const Index n = kernel.rows();
    this->on_devices([&](const auto& backend) {
        for (const std::string which : {"plain", "ridged"}) {
            if (which == "plain" && sizeof(TypeParam) < sizeof(double)) continue;  // condition 2.9e7: refused, below
            const auto& expected = reference[which];
            const double condition = expected["condition"], tolerance = testing::tolerance<TypeParam>(n) * condition;
            const KernelSystem<TypeParam> system(upload(backend, kernel), which == "plain" ? 0 : reference["ridge"].get<double>());
            EXPECT_LE(system.report().condition, condition * (1 + tolerance));
            EXPECT_GE(system.report().condition, condition / 3);
            EXPECT_NEAR(system.report().log_determinant, expected["log_determinant"].get<double>(), static_cast<double>(n) * tolerance);
            EXPECT_LE(relative_distance(to_double(download(system.solve(upload(backend, y)))), matrix_of(expected["solve"])), tolerance);
            const auto predicted = to_double(download(system.predict(upload(backend, cross), upload(backend, y))));
            const HostMatrix<double> exact = matrix_of(expected["predict"]), weights = matrix_of(expected["solve"]);
            for (Index t = 0; t < exact.rows(); ++t)
                for (Index j = 0; j < exact.cols(); ++j) {
                    double size = 0;
                    for (Index i = 0; i < n; ++i) size = std::max(size, std::fabs(cross(t, i) * weights(i, j)));
                    EXPECT_NEAR(predicted(t, j), exact(t, j), tolerance * static_cast<double>(n) * size);
                }
            const auto variance = to_double(download(system.posterior_variance(upload(backend, cross), upload(backend, diagonal))));
            for (Index t = 0; t < variance.rows(); ++t)
                EXPECT_NEAR(variance(t, 0), matrix_of(expected["variance"])(t, 0), tolerance * diagonal(t, 0));
        }
        if (sizeof(TypeParam) < sizeof(double)) {
            EXPECT_NE(refusal<TypeParam>(backend, kernel).find("fp64"), std::string::npos);
        }
    });
}

TYPED_TEST(ClosedForm, FlowEqualsSixtyDigitReference) {
    const auto reference = golden("closed_form.json");
    const HostMatrix<double> kernel = matrix_of(reference["kernel"]), y = matrix_of(reference["y"]), cross = matrix_of(reference["cross"]);
    const double time = reference["time"];
    this->on_devices([&](const auto& backend) {
        const GradientFlow<TypeParam> flow(upload(backend, kernel));
        // The gain (1 - exp(-t lambda)) / lambda is at most t and moves by at most t^2 / 2 for each unit of lambda.
        const double tolerance = testing::tolerance<TypeParam>(kernel.rows()) * time * time * 10;
        const auto got = to_double(download(flow.predict(upload(backend, cross), upload(backend, y), time)));
        for (Index t = 0; t < got.rows(); ++t)
            for (Index j = 0; j < got.cols(); ++j) EXPECT_NEAR(got(t, j), matrix_of(reference["flow"])(t, j), tolerance);
        if (sizeof(TypeParam) == sizeof(double)) {
            const std::vector<double> eigenvalues = reference["eigenvalues"];
            EXPECT_NEAR(flow.report().condition / (eigenvalues.back() / eigenvalues.front()), 1, 1e-6);
            EXPECT_NEAR(flow.report().log_determinant, reference["plain"]["log_determinant"].get<double>(), 1e-6);
            EXPECT_FALSE(flow.report().condition_is_estimate);
        }
    });
}

TYPED_TEST(ClosedForm, SolutionPutBackGivesTheTargets) {
    this->on_devices([](const auto& backend) {
        for (const Index n : {1, 31, 150}) {
            for (const double ridge : {0.0, 3.0}) {
                const HostMatrix<double> kernel = random_kernel(n, 5, 8), y = random_matrix(n, 3, 1);
                const KernelSystem<TypeParam> system(upload(backend, kernel), ridge);
                HostMatrix<double> ridged = kernel;
                for (Index i = 0; i < n; ++i) ridged(i, i) += ridge;
                const auto u = to_double(download(system.solve(upload(backend, y))));
                const double tolerance = testing::tolerance<TypeParam>(n) * system.report().condition;
                EXPECT_LE(relative_distance(product(ridged, u), y), tolerance);
                // At the training points the prediction is y minus ridge times the weights.
                HostMatrix<double> expected = y;
                for (Index e = 0; e < y.size(); ++e) expected.data()[e] -= ridge * u.data()[e];
                EXPECT_LE(relative_distance(to_double(download(system.predict(upload(backend, kernel), upload(backend, y)))), expected),
                          tolerance);
            }
        }
    });
}

TYPED_TEST(ClosedForm, LogDeterminantIsTheSumOverEigenvalues) {
    this->on_devices([](const auto& backend) {
        const HostMatrix<double> kernel = random_kernel(60, 0.5, 20);
        const KernelSystem<TypeParam> system(upload(backend, kernel), 0);
        const GradientFlow<TypeParam> flow(upload(backend, kernel));
        EXPECT_NEAR(system.report().log_determinant, flow.report().log_determinant,
                    60 * testing::tolerance<TypeParam>(60) * flow.report().condition);
    });
}

TYPED_TEST(ClosedForm, ConditionEstimateIsWithinAThirdOfTheTruth) {
    this->on_devices([](const auto& backend) {
        for (std::uint32_t which = 0; which < 20; ++which) {
            const Index n = 5 + 3 * static_cast<Index>(which);
            const HostMatrix<double> kernel = random_kernel(n, 0.1, n / 2, which);
            HostMatrix<double> identity(n, n);
            for (Index i = 0; i < n; ++i) identity(i, i) = 1;
            const KernelSystem<TypeParam> system(upload(backend, kernel), 0);
            const double truth =
                backend->norms(upload(backend, kernel).view()).one * backend->norms(system.solve(upload(backend, identity)).view()).one;
            EXPECT_LE(system.report().condition, truth * (1 + testing::tolerance<TypeParam>(n) * truth)) << n;
            EXPECT_GE(system.report().condition, truth / 3) << n;
        }
    });
}

TYPED_TEST(ClosedForm, PosteriorVarianceIsZeroAtTrainingPointsAndThePriorFarAway) {
    this->on_devices([](const auto& backend) {
        const Index n = 40;
        const HostMatrix<double> kernel = random_kernel(n, 2, 10);
        HostMatrix<double> cross(n + 1, n), diagonal(n + 1, 1);
        for (Index i = 0; i < n; ++i) {
            diagonal(i, 0) = kernel(i, i);
            for (Index j = 0; j < n; ++j) cross(i, j) = kernel(i, j);
        }
        diagonal(n, 0) = 7;  // its row of the cross kernel is zero
        const KernelSystem<TypeParam> system(upload(backend, kernel), 0);
        const auto variance = download(system.posterior_variance(upload(backend, cross), upload(backend, diagonal)));
        const double rounding = testing::tolerance<TypeParam>(n) * system.report().condition;
        for (Index i = 0; i < n; ++i) EXPECT_NEAR(variance(i, 0), 0, rounding * diagonal(i, 0));
        EXPECT_EQ(variance(n, 0), 7);
    });
}

TYPED_TEST(ClosedForm, PosteriorVarianceRefusesKernelsThatDoNotBelongTogether) {
    this->on_devices([](const auto& backend) {
        const KernelSystem<TypeParam> system(upload(backend, {2, 2, {2, 1, 1, 2}}), 0);
        expect_error(ErrorCode::not_positive_definite, "at test 2 (counting from 1)", [&] {
            (void)system.posterior_variance(upload(backend, {2, 2, {1, 1, 2, 1}}), upload(backend, {2, 1, {2, 1}}));
        });
    });
}

// 11^T + diag(1, 1, -3, 1): minors 2, 3, -8; eigenvalues solve (x^2 - 2 x - 11) (1 - x)^2 = 0.
TYPED_TEST(ClosedForm, RefusalOfAnIndefiniteKernelNamesPivotEigenvalueAndARidgeThatHelps) {
    this->on_devices([](const auto& backend) {
        HostMatrix<double> kernel(4, 4, std::vector<double>(16, 1));
        for (Index i = 0; i < 4; ++i) kernel(i, i) += i == 2 ? -3 : 1;
        const std::string message = refusal<TypeParam>(backend, kernel);
        EXPECT_NE(message.find("pivot 3 (sample 3"), std::string::npos) << message;
        EXPECT_NE(message.find("smallest eigenvalue is -2.46,"), std::string::npos) << message;
        EXPECT_EQ(message.find("equal samples"), std::string::npos) << message;
        EXPECT_NO_THROW(KernelSystem<TypeParam>(upload(backend, kernel), suggested_ridge(message)));
        // An existing ridge counts: eigenvalue -1.46 is left.
        const std::string ridged = refusal<TypeParam>(backend, kernel, 1);
        EXPECT_NE(ridged.find("smallest eigenvalue is -1.46,"), std::string::npos) << ridged;
        EXPECT_NO_THROW(KernelSystem<TypeParam>(upload(backend, kernel), suggested_ridge(ridged)));
    });
}

// Leading block 1, column 1/2 above the pivot -2: Schur complement -9/4, vector (-1/2, 1), Rayleigh quotient -9/5; the eigenvalue is -2.08.
TYPED_TEST(ClosedForm, RefusalOfALargeKernelBoundsTheEigenvalueFromThePivot) {
    const Index n = 4001;
    HostMatrix<double> kernel(n, n);
    for (Index i = 0; i < n; ++i) kernel(i, i) = 1;
    kernel(2, 2) = -2;
    kernel(0, 2) = kernel(2, 0) = 0.5;
    this->on_devices([&](const auto& backend) {
        const std::string message = refusal<TypeParam>(backend, kernel);
        EXPECT_NE(message.find("pivot 3 (sample 3"), std::string::npos) << message;
        EXPECT_NE(message.find("at most (from that pivot) -1.8,"), std::string::npos) << message;
        kernel(0, 0) = -4;
        const std::string first = refusal<TypeParam>(backend, kernel);
        EXPECT_NE(first.find("pivot 1 (sample 1"), std::string::npos) << first;
        EXPECT_NE(first.find("at most (from that pivot) -4,"), std::string::npos) << first;
        kernel(0, 0) = 1;
    });
}

TYPED_TEST(ClosedForm, RefusalNamesEqualSamples) {
    this->on_devices([](const auto& backend) {
        HostMatrix<double> x = random_matrix(6, 9);
        for (Index j = 0; j < 9; ++j) x(4, j) = x(1, j);
        const HostMatrix<double> kernel = product(x, transposed(x));
        const std::string message = refusal<TypeParam>(backend, kernel);
        EXPECT_NE(message.find("equal samples 2 and 5"), std::string::npos) << message;
        EXPECT_NE(message.find("sample 5, counting from 1"), std::string::npos) << message;
        EXPECT_NO_THROW(KernelSystem<TypeParam>(upload(backend, kernel), suggested_ridge(message)));
    });
}

TYPED_TEST(ClosedForm, RefusesAKernelWithoutATrustworthyDigit) {
    this->on_devices([](const auto& backend) {
        // Exactly conditioned: the factorisation succeeds on a diagonal matrix, whatever its range.
        HostMatrix<double> kernel(3, 3);
        const double small = std::numeric_limits<TypeParam>::epsilon() / 2;
        kernel(0, 0) = kernel(2, 2) = 1;
        kernel(1, 1) = small;
        const std::string message = refusal<TypeParam>(backend, kernel);
        EXPECT_NE(message.find("too ill-conditioned"), std::string::npos) << message;
        EXPECT_NE(message.find("smallest pivot is 2 (sample 2"), std::string::npos) << message;
        EXPECT_NO_THROW(KernelSystem<TypeParam>(upload(backend, kernel), suggested_ridge(message)));
        EXPECT_NO_THROW(KernelSystem<TypeParam>(upload(backend, kernel), 4 * small));
        (void)refusal<TypeParam>(backend, hilbert(16));  // condition 1e22
    });
}

TYPED_TEST(ClosedForm, RefusesEigenvaluesThatItsEntriesDoNotResolve) {
    // Samples 3 and 7 agree to 1e-3: eigenvalues 1e-3, 1 (eight times) and 2 - 1e-3, mean of the diagonal 1.
    HostMatrix<double> k(10, 10);
    for (Index i = 0; i < 10; ++i) k(i, i) = 1;
    k(2, 6) = k(6, 2) = 1 - 1e-3;
    HostMatrix<double> small = k;
    for (Index e = 0; e < k.size(); ++e) small.data()[e] *= 1e-6;
    this->on_devices([&](const auto& backend) {
        const auto unresolved = [&](double ridge, double resolution) {
            KernelSystem<TypeParam> system(upload(backend, k), ridge, resolution);
        };
        expect_error(ErrorCode::not_positive_definite, {"not resolved", "is 0.001", "equal samples 3 and 7", "--ridge", "--precision fp64"},
                     [&] { unresolved(0, 1.01e-3); });
        // Relative to the diagonal.
        expect_error(ErrorCode::not_positive_definite, "is 1e-09",
                     [&] { KernelSystem<TypeParam> system(upload(backend, small), 0, 1.01e-3); });
        unresolved(0, 0.99e-3);
        unresolved(1e-4, 1.01e-3);  // the ridge lifts the eigenvalue
        expect_error(ErrorCode::not_positive_definite, "with the ridge", [&] { unresolved(1e-4, 1.2e-3); });
    });
}

TYPED_TEST(ClosedForm, FlowRefusesTimesThatHangOnUnresolvedEigenvalues) {
    HostMatrix<double> k(2, 2, {1, 1 - 1e-3, 1 - 1e-3, 1});
    this->on_devices([&](const auto& backend) {
        const GradientFlow<TypeParam> coarse(upload(backend, k), 1e-2), fine(upload(backend, k), 1e-4);
        const auto cross = upload(backend, HostMatrix<double>(1, 2, {0.5, 0.25})), y = upload(backend, column({1, -1}));
        EXPECT_NO_THROW((void)coarse.predict(cross, y, 90));
        expect_error(ErrorCode::not_positive_definite, "--precision fp64", [&] { (void)coarse.predict(cross, y, 110); });
        EXPECT_NO_THROW((void)fine.predict(cross, y, 1e9));
    });
}

TYPED_TEST(ClosedForm, RefusesBadArguments) {
    this->on_devices([](const auto& backend) {
        const HostMatrix<double> good(2, 2, {2, 1, 1, 2});
        const auto make = [&](const HostMatrix<double>& kernel, double ridge) { KernelSystem<TypeParam>(upload(backend, kernel), ridge); };
        expect_error(ErrorCode::shape_mismatch, "2 x 3", [&] { make({2, 3}, 0); });
        expect_error(ErrorCode::shape_mismatch, "0 x 0", [&] { make({0, 0}, 0); });
        expect_error(ErrorCode::invalid_argument, "not -1", [&] { make(good, -1); });
        expect_error(ErrorCode::invalid_argument, "ridge", [&] { make(good, std::nan("")); });
        expect_error(ErrorCode::invalid_argument, "ridge", [&] { make(good, std::numeric_limits<double>::infinity()); });
        expect_error(ErrorCode::invalid_argument, "not finite", [&] { make({2, 2, {2, std::nan(""), std::nan(""), 2}}, 0); });
        expect_error(ErrorCode::invalid_argument, "not finite", [&] {
            GradientFlow<TypeParam>(upload(backend, {1, 1, {std::numeric_limits<double>::infinity()}}));
        });
        const KernelSystem<TypeParam> system(upload(backend, good), 0);
        expect_error(ErrorCode::shape_mismatch, "y is 3 x 1", [&] { (void)system.solve(upload(backend, {3, 1})); });
        expect_error(ErrorCode::shape_mismatch, "cross kernel is 2 x 3", [&] {
            (void)system.predict(upload(backend, {2, 3}), upload(backend, {2, 1}));
        });
        expect_error(ErrorCode::shape_mismatch, "diagonal is 1 x 1", [&] {
            (void)system.posterior_variance(upload(backend, {2, 2}), upload(backend, {1, 1}));
        });
        const GradientFlow<TypeParam> flow(upload(backend, good));
        for (const double time : {0.0, -1.0, std::nan("")})
            expect_error(ErrorCode::invalid_argument, "time", [&] {
                (void)flow.predict(upload(backend, good), upload(backend, {2, 1}), time);
            });
    });
}

TYPED_TEST(ClosedForm, FlowEndsAtTheSolutionAndStartsAlongTheKernel) {
    this->on_devices([](const auto& backend) {
        const Index n = 50;
        const HostMatrix<double> kernel = random_kernel(n, 2, 10), cross = random_matrix(7, n, 3), y = random_matrix(n, 2, 4);
        const auto k = upload(backend, cross), targets = upload(backend, y);
        const KernelSystem<TypeParam> system(upload(backend, kernel), 0);
        const GradientFlow<TypeParam> flow(upload(backend, kernel));
        const auto end = to_double(download(system.predict(k, targets)));
        const double tolerance = testing::tolerance<TypeParam>(n) * flow.report().condition;
        EXPECT_LE(relative_distance(to_double(download(flow.predict(k, targets, std::numeric_limits<double>::infinity()))), end),
                  tolerance);
        EXPECT_LE(relative_distance(to_double(download(flow.predict(k, targets, 1e30))), end), tolerance);
        // f_t = t k^T y - t^2/2 k^T K y + ...: |the rest| <= t^2/2 |k| |K| |y|; t lambda_max <= 1e-4 here.
        const double time = 1e-6;
        HostMatrix<double> first = product(cross, y);
        for (Index e = 0; e < first.size(); ++e) first.data()[e] *= time;
        EXPECT_LE(relative_distance(to_double(download(flow.predict(k, targets, time))), first), 1e-3);
    });
}

// K = 11^T has eigenvalues 3, 0, 0: f_t = (1 - exp(-3 t)) mean(y) at a test with k = 1, until rounding's eigenvalues would matter.
TYPED_TEST(ClosedForm, FlowOfASingularKernel) {
    this->on_devices([](const auto& backend) {
        const HostMatrix<double> ones(3, 3, std::vector<double>(9, 1)), cross(1, 3, {1, 1, 1});
        const GradientFlow<TypeParam> flow(upload(backend, ones));
        const auto predict = [&](double time) {
            return download(flow.predict(upload(backend, cross), upload(backend, column({1, 2, 6})), time))(0, 0);
        };
        for (const double time : {0.01, 0.5, 100.0})
            EXPECT_NEAR(predict(time), 3 * (1 - std::exp(-3 * time)), testing::tolerance<TypeParam>(3) * 6 * (1 + time));
        expect_error(ErrorCode::not_positive_definite, "eigenvalues of the kernel that rounding has made up", [&] { predict(1e20); });
        expect_error(ErrorCode::not_positive_definite, "remove equal samples", [&] { predict(std::numeric_limits<double>::infinity()); });
    });
}

TYPED_TEST(ClosedForm, FlowRefusesAnIndefiniteKernel) {
    this->on_devices([](const auto& backend) {
        expect_error(ErrorCode::not_positive_definite, "smallest eigenvalue is -1", [&] {
            GradientFlow<TypeParam>(upload(backend, {2, 2, {1, 2, 2, 1}}));
        });
    });
}

}  // namespace
}  // namespace ntk

// DistributedSpectrum on any number of ranks says what KernelSpectrum says.

#include "mpi/parts.hpp"
#include "support/tolerance.hpp"

#include <ntkcuda/backend.hpp>
#include <ntkcuda/mpi.hpp>

#include <cmath>
#include <limits>

namespace ntk {
namespace {

using namespace testing;

template <class Real>
DistributedSpectrum<Real> spread(MpiRanks& ranks, const HostMatrix<double>& kernel, double resolution = 0) {
    const DistributedLayout layout = kernel_layout(ranks.size(), kernel.rows(), 0, 1);
    return {ranks, layout, part_of(kernel, layout, ranks.rank()).cast<Real>(), make_backend<Real>("cpu", 1), resolution};
}

/// Of the rounding of n terms, multiplied by a condition.
template <class Real>
void check_against_one_rank(Index n) {
    SCOPED_TRACE(n);
    MpiRanks ranks;
    const auto cpu = make_backend<Real>("cpu", 1);
    const HostMatrix<double> k = gram(n, 10);
    const Matrix<Real> y = upload(cpu, random_matrix(n, 3, 1));
    const KernelSpectrum<Real> one(upload(cpu, k));
    const DistributedSpectrum<Real> all = spread<Real>(ranks, k);
    const double largest = one.values().back(), rounding = 10 * testing::tolerance<Real>(n), size = std::sqrt(static_cast<double>(n));

    ASSERT_EQ(all.samples(), n);
    for (std::size_t i = 0; i < one.values().size(); ++i) EXPECT_NEAR(all.values()[i], one.values()[i], rounding * largest);
    expect_near(to_double(download(all.apply([](double lambda) { return lambda; }, y))),
                to_double(download(one.apply([](double lambda) { return lambda; }, y))), rounding * largest * size);
    for (const double ridge : {0.0, 0.3}) {
        const double condition = one.report(ridge).condition, tolerance = rounding * condition;
        EXPECT_NEAR(all.report(ridge).condition, condition, tolerance * condition);
        EXPECT_NEAR(all.report(ridge).log_determinant, one.report(ridge).log_determinant, static_cast<double>(n) * tolerance);
        EXPECT_NEAR(all.ridge_degrees_of_freedom(ridge), one.ridge_degrees_of_freedom(ridge), static_cast<double>(n) * tolerance);
        const Matrix<Real> found = all.ridge_coefficients(y, ridge), expected = one.ridge_coefficients(y, ridge);
        const double scale = size / (0.1 + ridge);  // |(K + ridge I)^{-1} y|
        expect_near(to_double(download(found)), to_double(download(expected)), tolerance * scale);
        expect_near(all.leave_one_out(found, ridge), one.leave_one_out(expected, ridge), tolerance * scale * condition);
    }
    for (const double time : {0.5, 100.0}) {
        expect_near(to_double(download(all.flow_coefficients(y, time))), to_double(download(one.flow_coefficients(y, time))),
                    rounding * one.report().condition * size / 0.1);
        EXPECT_NEAR(all.flow_degrees_of_freedom(time), one.flow_degrees_of_freedom(time),
                    rounding * time * largest * static_cast<double>(n));
    }
    const TargetAlignment found = all.alignment(y), expected = one.alignment(y);
    EXPECT_NEAR(found.kernel_target, expected.kernel_target, rounding);
    EXPECT_EQ(found.shares.size(), expected.shares.size());
}

TEST(DistributedSpectrum, IsThatOfOneRank) {
    for (const Index n : {1, 2, 3, 5, 37, 101}) check_against_one_rank<double>(n);
    check_against_one_rank<float>(37);
}

TEST(DistributedSpectrum, LeadingVectorsLieInTheLayoutTheySay) {
    MpiRanks ranks;
    for (const Index n : {1, 3, 37}) {
        const Index count = std::min<Index>(n, 5);  // their eigenvalues are apart
        const HostMatrix<double> k = gram(n, 10);
        const KernelSpectrum<double> one(upload(make_backend<double>("cpu", 1), k));
        HostMatrix<double> expected(count, n);
        for (Index i = 0; i < count; ++i) {
            const double* row = one.vectors().data() + (n - 1 - i) * n;
            const double largest = *std::max_element(row, row + n, [](double a, double b) { return std::fabs(a) < std::fabs(b); });
            for (Index j = 0; j < n; ++j) expected(i, j) = largest < 0 ? -row[j] : row[j];
        }
        const DistributedSpectrum<double> all = spread<double>(ranks, k);
        expect_near(all.leading_vectors(count), part_of(expected, all.leading_layout(count), ranks.rank()), 1e-12);
        expect_error(ErrorCode::invalid_argument, "eigenvectors", [&] { (void)all.leading_vectors(n + 1); });
    }
}

std::string words_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::not_positive_definite);
        return error.what();
    }
    ADD_FAILURE() << "no error";
    return {};
}

TEST(DistributedSpectrum, RefusesInTheWordsOfOneRank) {
    MpiRanks ranks;
    const auto cpu = make_backend<double>("cpu", 1);
    HostMatrix<double> k = gram(40, 10);
    const Matrix<double> y = upload(cpu, random_matrix(40, 2, 1));
    for (const double resolution : {0.0, 10.0}) {  // too coarse for its eigenvalues
        const KernelSpectrum<double> one(upload(cpu, k), resolution);
        const auto all = spread<double>(ranks, k, resolution);
        if (resolution > 0) {
            EXPECT_EQ(words_of([&] { (void)all.ridge_coefficients(y, 0.5); }), words_of([&] { (void)one.ridge_coefficients(y, 0.5); }));
        } else {
            EXPECT_NO_THROW((void)all.ridge_coefficients(y, 0.5));
        }
    }
    k(33, 33) = -1;
    const KernelSpectrum<double> one(upload(cpu, k));
    const auto all = spread<double>(ranks, k);
    EXPECT_EQ(words_of([&] { (void)all.ridge_coefficients(y, 0.5); }), words_of([&] { (void)one.ridge_coefficients(y, 0.5); }));
    EXPECT_EQ(words_of([&] { (void)all.flow_coefficients(y, 1); }), words_of([&] { (void)one.flow_coefficients(y, 1); }));
    expect_error(ErrorCode::invalid_argument, "time", [&] { (void)all.flow_coefficients(y, 0); });
    expect_error(ErrorCode::shape_mismatch, "y is 3 x 1",
                 [&] { (void)all.apply([](double) { return 1.0; }, HostMatrix<double>(3, 1).view()); });
    k(3, 3) = std::numeric_limits<double>::infinity();
    expect_error(ErrorCode::invalid_argument, "not finite", [&] { (void)spread<double>(ranks, k); });
    expect_error(ErrorCode::shape_mismatch, "part of the kernel",
                 [&] { (void)DistributedSpectrum<double>(ranks, kernel_layout(ranks.size(), 40, 0, 1), HostMatrix<double>(41, 41), cpu); });
}

TEST(DistributedSpectrum, RefusesWhatScalapackDoesNotCount) {
    // 2 (46341 / 2)^2 numbers to work in are 2^30, and those of 65536 samples 2^31.
    EXPECT_NO_THROW(DistributedSpectrum<double>::require_countable(kernel_layout(4, 46341, 0, 1)));
    expect_error(ErrorCode::out_of_memory, "2^31; use at least 6 ranks",
                 [] { DistributedSpectrum<double>::require_countable(kernel_layout(4, 65536, 0, 1)); });
}

}  // namespace
}  // namespace ntk

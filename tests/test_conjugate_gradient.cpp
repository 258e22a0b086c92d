// Conjugate gradients: the residual asked for and reached, estimates against exact spectra, what the preconditioner is worth, refusals.

#include <ntkcuda/closed_form.hpp>
#include <ntkcuda/conjugate_gradient.hpp>

#include "support/dense.hpp"
#include "support/every_device.hpp"
#include "support/thread_ranks.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace ntk {
namespace {

using namespace testing;

/// A matrix as an operator, whose "samples" are its own row numbers.
template <class Real>
class DenseOperator final : public KernelOperator<Real> {
public:
    DenseOperator(const Matrix<Real>& kernel, const Matrix<Real>& numbers, Ranks& ranks)
        : KernelOperator<Real>(kernel.backend(), numbers.view(), 1, ranks), kernel_(kernel) {}

    void apply(ConstMatrixView<Real> v, MatrixView<Real> out) override {
        Matrix<Real> all(this->backend(), this->all_rows(), v.cols());
        this->backend()->fill(all.view(), 0);
        this->backend()->copy(v, all.view().row_range(this->share().first, this->rows()));
        HostMatrix<Real> values = download(all);
        this->ranks().sum(std::span<Real>(values.data(), static_cast<std::size_t>(values.size())));
        this->backend()->upload(values.view(), all.view());
        this->backend()->gemm(Transpose::no, Transpose::no, 1, own(), all.view(), 0, out);
        this->backend()->synchronize();
        ++products;
    }
    [[nodiscard]] Matrix<Real> cross(ConstMatrixView<Real>, ConstMatrixView<Real>) override { return {}; }
    [[nodiscard]] Matrix<Real> diagonal() override {
        Matrix<Real> diagonal(this->backend(), this->rows(), 1);
        this->backend()->diagonal(own().col_range(this->share().first, this->rows()), diagonal.view());
        return diagonal;
    }
    [[nodiscard]] Matrix<Real> columns(const std::vector<Index>& samples) override {
        Matrix<Real> out(this->backend(), this->rows(), static_cast<Index>(samples.size()));
        for (std::size_t j = 0; j < samples.size(); ++j)
            this->backend()->copy(own().col_range(samples[j], 1), out.view().col_range(static_cast<Index>(j), 1));
        return out;
    }

    Index products = 0;

private:
    [[nodiscard]] ConstMatrixView<Real> own() const { return kernel_.view().row_range(this->share().first, this->rows()); }
    const Matrix<Real>& kernel_;
};

/// Everything that a system of a matrix needs.
template <class Real>
struct System {
    explicit System(const std::shared_ptr<Backend<Real>>& backend, const HostMatrix<double>& values, Ranks& ranks = one_rank())
        : kernel(upload(backend, values)), numbers(upload(backend, HostMatrix<double>(values.rows(), 1))), op(kernel, numbers, ranks) {}
    Matrix<Real> kernel, numbers;
    DenseOperator<Real> op;
};

/// Eigenvalues that fall like 1 / i^2 on random directions.
HostMatrix<double> decaying_kernel(Index n) {
    HostMatrix<double> x = random_matrix(n, n, 11);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) x(i, j) /= static_cast<double>(j + 1);
    HostMatrix<double> k = product(x, transposed(x));
    return k;
}

template <class Real>
double residual_of(const HostMatrix<double>& kernel, double ridge, const HostMatrix<double>& x, const HostMatrix<double>& y) {
    HostMatrix<double> left = product(kernel, x);
    for (Index e = 0; e < left.size(); ++e) left.data()[e] += ridge * x.data()[e];
    return relative_distance(left, y);
}

template <class Real>
class ConjugateGradients : public EveryDevice<Real> {};
using Precisions = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ConjugateGradients, Precisions);

TYPED_TEST(ConjugateGradients, ReachTheResidualAskedForInEveryColumn) {
    using Real = TypeParam;
    this->on_devices([](const std::shared_ptr<Backend<Real>>& backend) {
        const Index n = 200;
        const HostMatrix<double> k = decaying_kernel(n);
        HostMatrix<double> y = random_matrix(n, 4, 3);
        for (Index i = 0; i < n; ++i) {
            y(i, 1) = 0;                                 // nothing to solve
            y(i, 2) = 3 * k(i, 5) + (i == 5 ? 3.0 : 0);  // the column of a unit vector
        }
        System<Real> system(backend, k);
        const double tolerance = std::is_same_v<Real, double> ? 1e-10 : 1e-4;
        for (const Index rank : {0, 20}) {
            const PivotedCholesky<Real> preconditioner(system.op, 1, rank);
            EXPECT_EQ(preconditioner.rank(), rank);
            const Matrix<Real> targets = upload(backend, y);
            const auto solution = conjugate_gradient(system.op, preconditioner, targets.view(), {.ridge = 1, .tolerance = tolerance});
            const HostMatrix<double> x = download(solution.x).template cast<double>();
            EXPECT_LE(solution.report.residual, tolerance);
            for (Index j = 0; j < 4; ++j) {
                HostMatrix<double> one(n, 1), target(n, 1);
                for (Index i = 0; i < n; ++i) one(i, 0) = x(i, j), target(i, 0) = y(i, j);
                if (j == 1)
                    EXPECT_TRUE(same_bits(one, HostMatrix<double>(n, 1)));
                else
                    EXPECT_LE(residual_of<Real>(k, 1, one, target), 1.01 * tolerance + 200 * std::numeric_limits<Real>::epsilon());
            }
            EXPECT_NEAR(x(5, 2), 3, 1e4 * tolerance);
        }
    });
}

TEST(ConjugateGradient, RitzValuesBoundTheSpectrumAndTheErrorIsWithinItsEstimate) {
    const auto backend = make_backend<double>("cpu", 1);
    const Index n = 120;
    const double ridge = 0.5;
    const HostMatrix<double> k = decaying_kernel(n), y = random_matrix(n, 2, 3);
    System<double> system(backend, k);
    const KernelSpectrum<double> spectrum(upload(backend, k));
    const double smallest = spectrum.values().front() + ridge, largest = spectrum.values().back() + ridge;
    const Matrix<double> targets = upload(backend, y);
    const KernelSystem<double> exact(upload(backend, k), ridge);
    const HostMatrix<double> expected = download(exact.solve(targets.view()));
    for (const Index rank : {0, 30}) {
        const PivotedCholesky<double> preconditioner(system.op, ridge, rank);
        const auto [x, report] = conjugate_gradient(system.op, preconditioner, targets.view(), {.ridge = ridge, .tolerance = 1e-6});
        if (rank == 0) {
            // Ritz values are inside the spectrum, and the largest ones are there first.
            EXPECT_GE(report.smallest_ritz * ridge, (1 - 1e-12) * smallest);
            EXPECT_NEAR(report.smallest_ritz * ridge, smallest, 0.05 * smallest);
            EXPECT_NEAR(report.largest_ritz * ridge, largest, 1e-6 * largest);
        }
        EXPECT_GE(report.condition, 0.99 * largest / smallest);
        EXPECT_LE(report.condition, 2 * largest / smallest);
        EXPECT_LE(report.relative_error, 1e-5);
        const HostMatrix<double> got = download(x);
        for (Index j = 0; j < 2; ++j) {
            HostMatrix<double> error(n, 1);
            for (Index i = 0; i < n; ++i) error(i, 0) = got(i, j) - expected(i, j);
            HostMatrix<double> image = product(k, error);
            double energy = 0;
            for (Index i = 0; i < n; ++i) energy += error(i, 0) * (image(i, 0) + ridge * error(i, 0));
            EXPECT_LE(std::sqrt(energy), 1.05 * report.energy_error);
        }
    }
}

TEST(ConjugateGradient, APreconditionerCutsIterations) {
    const auto backend = make_backend<double>("cpu", 1);
    const HostMatrix<double> k = decaying_kernel(300);
    const Matrix<double> y = upload(backend, random_matrix(300, 1, 3));
    System<double> system(backend, k);
    std::vector<Index> iterations;
    for (const Index rank : {0, 50, 150}) {
        const PivotedCholesky<double> preconditioner(system.op, 1e-3, rank);
        iterations.push_back(conjugate_gradient(system.op, preconditioner, y.view(), {.ridge = 1e-3}).report.iterations);
    }
    EXPECT_LE(2 * iterations[1], iterations[0]);
    EXPECT_LE(2 * iterations[2], iterations[1]);
}

TEST(PivotedCholesky, OfFullRankIsTheKernelAndStopsWhereNothingIsLeft) {
    const auto backend = make_backend<double>("cpu", 1);
    const Index n = 130;
    System<double> whole(backend, random_kernel(n, 1, n));
    const PivotedCholesky<double> exact(whole.op, 0, n);  // nothing is left: the shift is what rounding needs
    EXPECT_EQ(exact.rank(), n);
    const Matrix<double> y = upload(backend, random_matrix(n, 1, 3));
    const auto solution = conjugate_gradient(whole.op, exact, y.view(), {.tolerance = 1e-9});
    EXPECT_LE(solution.report.iterations, 4);
    // Rounding of the preconditioner, epsilon lambda_max / shift, with a shift of at least n epsilon trace.
    EXPECT_NEAR(solution.report.smallest_ritz, 1, 1.0 / n);

    System<double> thin(backend, random_kernel(n, 0, 10));  // rank 10
    const PivotedCholesky<double> stopped(thin.op, 1e-6, n);
    EXPECT_EQ(stopped.rank(), 10);
    EXPECT_LE(stopped.residual_trace(), 1e-6);
    const auto thin_solution = conjugate_gradient(thin.op, stopped, y.view(), {.ridge = 1e-6, .tolerance = 1e-6});
    EXPECT_LE(thin_solution.report.iterations, 4);
}

TEST(ConjugateGradientRanks, GiveTheSolutionOfOne) {
    const HostMatrix<double> k = decaying_kernel(101), y = random_matrix(101, 3, 3);
    const auto backend = make_backend<double>("cpu", 1);
    System<double> alone(backend, k);
    const PivotedCholesky<double> preconditioner(alone.op, 0.1, 30);
    const Matrix<double> all = upload(backend, y);
    const HostMatrix<double> expected =
        download(conjugate_gradient(alone.op, preconditioner, all.view(), {.ridge = 0.1, .tolerance = 1e-12}).x);
    for (const int count : {2, 3})
        on_ranks(count, [&](Ranks& ranks) {
            const auto mine = make_backend<double>("cpu", 1);
            System<double> system(mine, k, ranks);
            const PivotedCholesky<double> spread(system.op, 0.1, 30);
            EXPECT_EQ(spread.rank(), preconditioner.rank());
            const Matrix<double> targets = upload<double>(mine, y.view().row_range(system.op.share().first, system.op.rows()));
            const auto solution = conjugate_gradient(system.op, spread, targets.view(), {.ridge = 0.1, .tolerance = 1e-12});
            HostMatrix<double> part(system.op.rows(), 3);
            for (Index i = 0; i < part.rows(); ++i)
                for (Index j = 0; j < 3; ++j) part(i, j) = expected(system.op.share().first + i, j);
            EXPECT_LE(relative_distance(download(solution.x), part), 1e-9);
        });
}

TEST(ConjugateGradientRefusals, NeverAnAnswerThatHasNotConverged) {
    const auto backend = make_backend<double>("cpu", 1);
    const Index n = 100;
    const Matrix<double> y = upload(backend, random_matrix(n, 1, 3));
    System<double> system(backend, decaying_kernel(n));
    const PivotedCholesky<double> none(system.op, 1e-6, 0);
    expect_error(ErrorCode::not_positive_definite, "after 5 iterations the largest relative residual is",
                 [&] { (void)conjugate_gradient(system.op, none, y.view(), {.ridge = 1e-6, .max_iterations = 5}); });
    expect_error(ErrorCode::not_positive_definite, "try a ridge larger than 1e-06",
                 [&] { (void)conjugate_gradient(system.op, none, y.view(), {.ridge = 1e-6, .max_iterations = 5}); });

    System<double> singular(backend, random_kernel(n, 0, 10));
    const PivotedCholesky<double> ten(singular.op, 0, 5);
    expect_error(ErrorCode::not_positive_definite, "try a ridge",
                 [&] { (void)conjugate_gradient(singular.op, ten, y.view(), {.max_iterations = 500}); });

    HostMatrix<double> indefinite = random_kernel(n, 1, n);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) indefinite(i, j) *= (i + j) % 2 ? 2 : 1;
    System<double> negative(backend, indefinite);
    const PivotedCholesky<double> identity(negative.op, 1e-3, 0);
    expect_error(ErrorCode::not_positive_definite, "curvature",
                 [&] { (void)conjugate_gradient(negative.op, identity, y.view(), {.ridge = 1e-3}); });

    for (const double tolerance : {0.0, 1.0, 1e-17, std::nan("")})
        expect_error(ErrorCode::invalid_argument, "tolerance",
                     [&] { (void)conjugate_gradient(system.op, none, y.view(), {.ridge = 1, .tolerance = tolerance}); });
    expect_error(ErrorCode::invalid_argument, "ridge", [&] { (void)conjugate_gradient(system.op, none, y.view(), {.ridge = -1}); });
    const Matrix<double> few = upload(backend, random_matrix(n - 1, 1, 3));
    expect_error(ErrorCode::shape_mismatch, "y is", [&] { (void)conjugate_gradient(system.op, none, few.view(), {.ridge = 1}); });
}

TEST(ConjugateGradient, ReportsItsProgressAndStops) {
    const auto backend = make_backend<double>("cpu", 1);
    System<double> system(backend, decaying_kernel(100));
    const PivotedCholesky<double> none(system.op, 1, 0);
    const Matrix<double> y = upload(backend, random_matrix(100, 1, 3));
    std::vector<double> residuals;
    std::stop_source stop;
    const auto report = conjugate_gradient(system.op, none, y.view(), {.ridge = 1}, [&](Index done, double residual) {
                            EXPECT_EQ(done, static_cast<Index>(residuals.size()) + 1);
                            residuals.push_back(residual);
                        }).report;
    EXPECT_EQ(report.iterations, static_cast<Index>(residuals.size()) + 1);  // and one for the true residual
    EXPECT_LE(residuals.back(), 1e-8);
    EXPECT_EQ(report.iterations, system.op.products);
    stop.request_stop();
    expect_error(ErrorCode::cancelled, "stopped",
                 [&] { (void)conjugate_gradient(system.op, none, y.view(), {.ridge = 1}, stop.get_token()); });
}

}  // namespace
}  // namespace ntk

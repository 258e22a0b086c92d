// Factorisations of matrices whose solutions, determinant and eigenvalues are known.

#include "verify.hpp"

#include <ntkcuda/closed_form.hpp>

#include <fmt/format.h>

#include <numbers>

namespace ntk {
namespace {

constexpr Index order = 300;

/// lower^(i - j) below the diagonal, upper^(j - i) above. With both 1/2 (Kac, Murdock & Szego 1953) it is positive definite with
/// eigenvalues in (1/3, 3), determinant (3/4)^(n - 1) and no zeros; entries and products with small integers are exact.
HostMatrix<double> geometric(double lower, double upper) {
    HostMatrix<double> a(order, order);
    for (Index i = 0; i < order; ++i)
        for (Index j = 0; j < order; ++j) a(i, j) = std::pow(j <= i ? lower : upper, static_cast<double>(std::abs(i - j)));
    return a;
}

/// Integers in [-4, 4].
HostMatrix<double> solution(Index rows, Index cols) {
    HostMatrix<double> x(rows, cols);
    for (Index e = 0; e < x.size(); ++e) x.data()[e] = static_cast<double>((e * e + 3 * e) % 9 - 4);
    return x;
}

HostMatrix<double> product(const HostMatrix<double>& a, const HostMatrix<double>& b) {
    HostMatrix<double> c(a.rows(), b.cols());
    for (Index i = 0; i < a.rows(); ++i)
        for (Index j = 0; j < b.cols(); ++j) {
            long double sum = 0;
            for (Index k = 0; k < a.cols(); ++k) sum += static_cast<long double>(a(i, k)) * b(k, j);
            c(i, j) = static_cast<double>(sum);
        }
    return c;
}

HostMatrix<double> transposed(const HostMatrix<double>& a) {
    HostMatrix<double> t(a.cols(), a.rows());
    for (Index i = 0; i < a.rows(); ++i)
        for (Index j = 0; j < a.cols(); ++j) t(j, i) = a(i, j);
    return t;
}

template <class Real>
void check_all(Verifier& verifier) {
    using enum VerifyCheck::Measure;
    const auto& backend = verifier.backend<Real>();
    // Condition 9, and sums of `order` products.
    const double bound = 9 * rounding<Real>(order);
    const HostMatrix<double> x = solution(order, 3);
    const auto name = [](const char* what) { return fmt::format("{}, order {}, {}", what, order, precision_name<Real>); };

    verifier.check(name("Cholesky: solution, log determinant, posterior"), difference, bound, [&](std::string&) {
        const HostMatrix<double> k = geometric(0.5, 0.5);
        const KernelSystem<Real> system(upload(backend, k), 0);
        Largest worst;
        worst.add(relative_difference(download(system.solve(upload(backend, product(k, x)))), x));
        worst.add(relative_difference(system.report().log_determinant, static_cast<double>(order - 1) * std::log(0.75L)));
        // A sample of the training set seen with twice its variance: what is left is 1.
        HostMatrix<double> cross(5, order), twice(5, 1), left(5, 1);
        for (Index i = 0; i < cross.rows(); ++i) {
            for (Index j = 0; j < order; ++j) cross(i, j) = k(60 * i, j);
            twice(i, 0) = 2;
            left(i, 0) = 1;
        }
        worst.add(relative_difference(download(system.posterior_variance(upload(backend, cross), upload(backend, twice))), left));
        return worst.value();
    });
    verifier.check(name("LU with row exchanges: solution"), difference, bound, [&](std::string&) {
        const HostMatrix<double> base = geometric(0.5, -0.25);
        HostMatrix<double> a(order, order);  // its rows in another order: without exchanges the first pivot would be tiny
        for (Index i = 0; i < order; ++i)
            for (Index j = 0; j < order; ++j) a(i, j) = base((i + order / 2) % order, j);
        Matrix<Real> factor = upload(backend, a);
        const LuFactor lu = backend->lu(factor.view());
        Matrix<Real> rows = upload(backend, transposed(product(a, x)));
        backend->lu_solve_rows(factor.view(), lu, rows.view());
        return relative_difference(download(rows), transposed(x));
    });
    verifier.check(name("eigenvalues, and K V = V diag"), difference, bound, [&](std::string&) {
        // tridiag(-1, 2, -1): 2 - 2 cos(i pi / (n + 1)).
        HostMatrix<double> k(order, order), exact(order, 1);
        for (Index i = 0; i < order; ++i) {
            k(i, i) = 2;
            if (i > 0) k(i, i - 1) = k(i - 1, i) = -1;
            const double half = std::sin(static_cast<double>(i + 1) * std::numbers::pi / static_cast<double>(2 * (order + 1)));
            exact(i, 0) = 4 * half * half;
        }
        Matrix<Real> vectors = upload(backend, k), eigenvalues(backend, order, 1);
        backend->eigen(vectors.view(), eigenvalues.view(), true);
        Matrix<Real> times(backend, order, order);
        backend->gemm(Transpose::no, Transpose::no, 1, vectors.view(), upload(backend, k).view(), 0, times.view());
        HostMatrix<Real> scaled = download(vectors);
        for (Index i = 0; i < order; ++i)
            for (Index j = 0; j < order; ++j) scaled(i, j) *= static_cast<Real>(exact(i, 0));
        Largest worst;
        worst.add(relative_difference(download(eigenvalues), exact));
        worst.add(relative_difference(download(times), scaled));
        return worst.value();
    });
}

}  // namespace

void verify_factorisations(Verifier& verifier) {
    verifier.begin("factorisations of known matrices");
    check_all<double>(verifier);
    check_all<float>(verifier);
}

}  // namespace ntk

// Conformance, as in test_backend.cpp, of the operations behind kernels as functions of the angle: LU, angles, series, summaries.

#include "support/conformance.hpp"
#include "support/padded.hpp"
#include "support/samples.hpp"

#include "host/backend/half_angle_tiles.hpp"

#include <ntkcuda/formulas/octave_series.hpp>

#include <limits>
#include <numbers>

namespace ntk {
namespace {

using namespace testing;

constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();

// --- LU ----------------------------------------------------------------------------------------------------------------------------

/// Neither symmetric nor dominated by its diagonal, which starts with 0: there is nothing to solve without row exchanges.
HostMatrix<double> general_matrix(Index n) {
    HostMatrix<double> a = random_matrix(n, n, 4);
    if (n > 1) a(0, 0) = 0;
    return a;
}

CONFORMANCE_TEST(LuAndSolves) {
    for (const Index n : sizes)
        for (const Index pad : pads)
            for (const Index m : {1, 5}) {
                Padded<Real> a(backend, general_matrix(n), pad), b(backend, random_matrix(m, n, 3), pad);
                const LuFactor lu = backend->lu(a.view());
                ASSERT_EQ(lu.zero_pivot, 0);
                backend->lu_solve_rows(std::as_const(a).view(), lu, b.view());
                (void)a.get();  // the marks
                const HostMatrix<Real> x = b.get();
                // The residual of partial pivoting: n epsilon |A| |x| times a growth that is about n^(2/3) for random matrices
                // (Trefethen and Schreiber 1990).
                double largest = 0;
                for (Index e = 0; e < a.given().size(); ++e) largest = std::max(largest, std::fabs(a.given().data()[e]));
                for (Index r = 0; r < m; ++r) {
                    long double size = 0;
                    for (Index j = 0; j < n; ++j) size += std::fabs(x(r, j));
                    const double bound = static_cast<double>(size) * largest * std::cbrt(n * n) * tolerance<Real>(n);
                    for (Index i = 0; i < n; ++i) {
                        long double product = 0;
                        for (Index j = 0; j < n; ++j) product += static_cast<long double>(a.given(i, j)) * x(r, j);
                        ASSERT_NEAR(static_cast<double>(product), b.given(r, i), bound);
                    }
                }
            }
}

CONFORMANCE_TEST(LuNamesAZeroPivot) {
    for (const Index n : sizes)
        for (const Index pad : pads) {
            HostMatrix<double> values = general_matrix(n);
            const Index pivot = (n + 1) / 2;
            for (Index i = 0; i < n; ++i) values(pivot - 1, i) = 0;  // a zero row is a zero column to a factorisation by columns
            Padded<Real> a(backend, values, pad), b(backend, random_matrix(2, n), pad);
            const LuFactor lu = backend->lu(a.view());
            EXPECT_EQ(lu.zero_pivot, pivot);
            expect_error(ErrorCode::invalid_argument, "pivot " + std::to_string(pivot),
                         [&] { backend->lu_solve_rows(std::as_const(a).view(), lu, b.view()); });
            EXPECT_TRUE(same_bits(to_double(b.get()), b.given()));
        }
}

CONFORMANCE_TEST(LuFactorsOutliveTheBackend) {
    std::shared_ptr<Backend<Real>> own = make_backend<Real>(backend->info().id());
    Matrix<Real> a = upload(own, general_matrix(5));
    LuFactor lu = own->lu(a.view());
    a = {};
    own = nullptr;
    lu = {};
}

// --- angles ------------------------------------------------------------------------------------------------------------------------

/// tan(theta / 2) = |u - v| / |u + v| of the unit vectors, without cancellation in extended precision for angles above 1e-9.
long double tangent_of(const HostMatrix<double>& x, Index i, const HostMatrix<double>& y, Index j) {
    long double xx = 0, yy = 0, minus = 0, plus = 0;
    for (Index k = 0; k < x.cols(); ++k) {
        xx += static_cast<long double>(x(i, k)) * x(i, k);
        yy += static_cast<long double>(y(j, k)) * y(j, k);
    }
    for (Index k = 0; k < x.cols(); ++k) {
        const long double u = x(i, k) / std::sqrt(xx), v = y(j, k) / std::sqrt(yy);
        minus += (u - v) * (u - v);
        plus += (u + v) * (u + v);
    }
    return std::sqrt(minus / plus);
}

/// Rows at all kinds of angles and scales to those of random_matrix(n, d): every fourth is nearly one of them, every fourth nearly its
/// opposite.
HostMatrix<double> near_and_far(Index n, Index d) {
    const HostMatrix<double> base = random_matrix(n, d);
    HostMatrix<double> x = random_matrix(n, d, 1);
    for (Index i = 0; i < n; ++i)
        for (Index k = 0; k < d; ++k) {
            if (i % 4 == 1) x(i, k) = base(i, k) + 1e-4 * x(i, k);
            if (i % 4 == 2) x(i, k) = -(base(i, k) + 1e-2 * x(i, k));
            x(i, k) = std::ldexp(x(i, k), static_cast<int>(i % 7) * 30 - 90);
        }
    return x;
}

CONFORMANCE_TEST(HalfAngleTangents) {
    for (const Index n : sizes)
        for (const Index pad : pads) {
            const Index d = 7, n2 = n / 2 + 1;
            const Padded<Real> x(backend, random_matrix(n, d), pad), y(backend, near_and_far(n2, d), pad);
            Padded<Real> cross(backend, HostMatrix<double>(n, n2), pad), lower(backend, random_matrix(n2, n2, 2), pad);
            backend->half_angle_tangents(x.view(), y.view(), Triangle::full, cross.view());
            backend->half_angle_tangents(y.view(), y.view(), Triangle::lower, lower.view());
            // 1 -+ cos is 0.1 or more where it comes from the cosine: its error is up to ten times that of the cosine.
            expect_entries(cross.get(), 10 * d, [&](Index i, Index j) { return single(tangent_of(x.given(), i, y.given(), j)); });
            expect_entries(lower.get(), 10 * d, [&](Index i, Index j) {
                if (i == j) return Sum{0, 0};
                return j > i ? Sum{lower.given(i, j), 0} : single(tangent_of(y.given(), i, y.given(), j));
            });
        }
}

CONFORMANCE_TEST(HalfAngleTangentsOnALine) {
    const Index d = 9;
    const HostMatrix<double> base = random_matrix(1, d);
    const auto row = [&](double times) {
        std::vector<double> values(static_cast<std::size_t>(d));
        for (Index k = 0; k < d; ++k) values[static_cast<std::size_t>(k)] = times * static_cast<double>(static_cast<Real>(base(0, k)));
        return values;
    };
    std::vector<double> all;
    for (const double times : {1.0, 1.0, 0x1p-30, -1.0, -0x1p40, 0.0}) {
        const auto values = row(times);
        all.insert(all.end(), values.begin(), values.end());
    }
    const Matrix<Real> x = upload(backend, HostMatrix<double>(6, d, all));
    Matrix<Real> out(backend, 6, 6);
    for (const Triangle triangle : {Triangle::full, Triangle::lower}) {
        backend->half_angle_tangents(x.view(), x.view(), triangle, out.view());
        const HostMatrix<Real> got = download(out);
        for (Index i = 0; i < 6; ++i)
            for (Index j = 0; j <= i; ++j) {
                const bool opposite = (i >= 3) != (j >= 3);
                if (i == 5) {
                    EXPECT_TRUE(std::isnan(got(i, j))) << j;
                } else {
                    EXPECT_EQ(got(i, j), opposite ? infinity : 0) << i << ", " << j;
                }
            }
    }
}

CONFORMANCE_TEST(HalfAngleTangentsOfTinyAngles) {
    // cos = 1 to the last bit from 1e-8 on; the tangent keeps its digits.
    const Index count = 20;
    HostMatrix<double> x(1, 2, {1, 0}), y(2 * count, 2), wanted(1, 2 * count);
    for (Index j = 0; j < count; ++j) {
        const double slope = static_cast<double>(static_cast<Real>(0.3 * std::pow(4, -j)));
        for (const bool opposite : {false, true}) {
            const Index at = opposite ? count + j : j;
            y(at, 0) = opposite ? -1 : 1;
            y(at, 1) = slope;
            const long double hypotenuse = std::sqrt(1 + static_cast<long double>(slope) * slope), half = slope / (1 + hypotenuse);
            wanted(0, at) = static_cast<double>(opposite ? 1 / half : half);
        }
    }
    const Matrix<Real> left = upload(backend, x), right = upload(backend, y);
    Matrix<Real> out(backend, 1, 2 * count);
    backend->half_angle_tangents(left.view(), right.view(), Triangle::full, out.view());
    expect_entries(download(out), 8, [&](Index i, Index j) { return single(wanted(i, j)); });
}

CONFORMANCE_TEST(HalfAngleTangentsOfNonFiniteRows) {
    HostMatrix<double> values = random_matrix(4, 3);
    values(1, 1) = nan;
    values(2, 0) = infinity;
    const Matrix<Real> x = upload(backend, values);
    Matrix<Real> out(backend, 4, 4);
    backend->half_angle_tangents(x.view(), x.view(), Triangle::lower, out.view());
    const HostMatrix<Real> got = download(out);
    for (Index i = 0; i < 4; ++i)
        for (Index j = 0; j <= i; ++j) EXPECT_EQ(std::isnan(got(i, j)), (i == 1 || i == 2 || j == 1 || j == 2)) << i << ", " << j;
}

TEST(HalfAngleTiles, SameBitsFromEveryInstructionSet) {
    const Index n = 150, d = 11;
    HostMatrix<double> x = random_matrix(n, d), products(n, n);
    std::vector<double> norm, square, mean;
    const std::vector<int> exponent(static_cast<std::size_t>(n));
    for (Index i = 0; i < n; ++i) {
        for (Index k = 0; k < d; ++k)
            if (i % 3 == 0) x(i, k) = x(0, k) + 0.01 * static_cast<double>(i) * x(i, k);
        const Sum sum = inner_product(x, i, x, i);
        square.push_back(static_cast<double>(sum.value));
        norm.push_back(std::sqrt(square.back()));
        mean.push_back(square.back() / d);
    }
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) products(i, j) = static_cast<double>(inner_product(x, i, x, j).value);
    const LimitSamples samples{n, d, x.data(), norm.data(), square.data(), mean.data(), exponent.data()};
    for (const bool lower : {false, true}) {
        HostMatrix<double> first = products;
        half_angle_tile_variants().front()(samples, samples, lower, first.data());
        for (const HalfAngleTile run : half_angle_tile_variants()) {
            HostMatrix<double> entries = products;
            run(samples, samples, lower, entries.data());
            for (Index e = 0; e < n * n; ++e) ASSERT_EQ(entries.data()[e], first.data()[e]);
        }
    }
}

// --- series ------------------------------------------------------------------------------------------------------------------------

/// atan on 2^-20 to 2^20, interpolated at Chebyshev points.
struct Arctangent {
    std::vector<double> coefficients;
    OctaveSeries series;

    Arctangent() {
        constexpr Index octaves = 40, terms = 26;
        constexpr int first = -20;
        for (Index o = 0; o < octaves; ++o)
            for (Index k = 0; k < terms; ++k) {
                long double sum = 0;
                for (Index p = 0; p < terms; ++p) {
                    const long double angle = std::numbers::pi_v<long double> * (static_cast<long double>(p) + 0.5L) / terms;
                    sum += std::atan(std::ldexp((std::cos(angle) + 3) / 2, first + static_cast<int>(o))) * std::cos(k * angle);
                }
                coefficients.push_back(static_cast<double>(sum * (k == 0 ? 1 : 2) / terms));
            }
        series = {first, octaves, terms, coefficients.data(), 0, std::numbers::pi / 2};
    }
};

/// Values over all octaves, their ends among them.
HostMatrix<double> octave_values(Index rows, Index cols) {
    HostMatrix<double> t = random_matrix(rows, cols, 5);
    for (Index e = 0; e < t.size(); ++e) {
        const int octave = static_cast<int>(e % 40) - 20;
        t.data()[e] = std::ldexp(e % 3 == 0 ? 1 : 1 + std::fmod(std::fabs(t.data()[e]), 0.999), octave);
    }
    return t;
}

CONFORMANCE_TEST(Series) {
    const Arctangent arctangent;
    for (const Index n : sizes)
        for (const Index pad : pads)
            for (const Triangle triangle : {Triangle::full, Triangle::lower}) {
                const Padded<Real> t(backend, octave_values(n, n + 2), pad);
                Padded<Real> out(backend, random_matrix(n, n + 2, 6), pad), in_place(backend, t.given(), pad);
                backend->evaluate_series(arctangent.series, t.view(), triangle, out.view());
                const HostMatrix<Real> values = out.get();
                const auto written = [&](Index i, Index j) { return triangle == Triangle::full || j <= i; };
                expect_entries(values, 26, [&](Index i, Index j) {
                    return written(i, j) ? single(std::atan(static_cast<long double>(t.given(i, j)))) : Sum{out.given(i, j), 0};
                });
                backend->evaluate_series(arctangent.series, std::as_const(in_place).view(), triangle, in_place.view());
                const HostMatrix<Real> again = in_place.get();
                for (Index i = 0; i < n; ++i)
                    for (Index j = 0; j < n + 2; ++j) {
                        ASSERT_EQ(static_cast<double>(again(i, j)),
                                  written(i, j) ? static_cast<double>(values(i, j)) : in_place.given(i, j));
                        if (!written(i, j)) continue;
                        ASSERT_EQ(values(i, j), static_cast<Real>(formulas::octave_series(arctangent.series, t.given(i, j))));
                    }
            }
}

CONFORMANCE_TEST(SeriesOutsideItsOctaves) {
    Arctangent arctangent;
    arctangent.series.at_zero = -7;
    arctangent.series.at_infinity = 9;
    const HostMatrix<double> values(1, 9, {0, -0.0, infinity, 0x1p-21, 0x1p20, -1, nan, -infinity, 1});
    const Matrix<Real> t = upload(backend, values);
    Matrix<Real> out(backend, 1, 9);
    backend->evaluate_series(arctangent.series, t.view(), Triangle::full, out.view());
    const HostMatrix<Real> got = download(out);
    EXPECT_EQ(got(0, 0), -7);
    EXPECT_EQ(got(0, 1), -7);
    EXPECT_EQ(got(0, 2), 9);
    for (Index j = 3; j < 8; ++j) EXPECT_TRUE(std::isnan(got(0, j))) << j;
    EXPECT_NEAR(got(0, 8), std::numbers::pi / 4, tolerance<Real>(26));

    const double constant = 5;
    backend->evaluate_series({0, 1, 1, &constant, 0, 0}, t.view(), Triangle::full, out.view());
    EXPECT_EQ(download(out)(0, 8), 5);
}

// --- entries -----------------------------------------------------------------------------------------------------------------------

CONFORMANCE_TEST(AddPower) {
    for (const Index n : sizes)
        for (const Index pad : pads)
            for (const Power power : {Power::one, Power::half}) {
                HostMatrix<double> squares = random_matrix(n, n + 2);
                for (Index e = 0; e < squares.size(); ++e) squares.data()[e] *= squares.data()[e];
                const Padded<Real> x(backend, squares, pad);
                Padded<Real> y(backend, random_matrix(n, n + 2, 2), pad);
                backend->add_power(-0.6, power, x.view(), y.view());
                expect_entries(y.get(), 2, [&](Index i, Index j) {
                    const long double value = x.given(i, j);
                    Sum sum = single(y.given(i, j));
                    sum.add(-0.6L * (power == Power::half ? std::sqrt(value) : value));
                    return sum;
                });
            }
}

/// The definition of a summary.
template <class Real>
void expect_summary(const EntrySummary& got, const HostMatrix<double>& x, Entries entries, double shift) {
    EntrySummary wanted;
    Sum sum, squares;
    for (Index i = 0; i < x.rows(); ++i) {
        Sum row, row_squares;  // row by row: one long sum has roundings of one sign
        for (Index j = 0; j < (entries == Entries::off_diagonal ? std::min(i, x.cols()) : x.cols()); ++j) {
            const double value = x(i, j) - shift;
            if (wanted.count == 0 || value < wanted.min) wanted.min = value, wanted.min_row = i, wanted.min_col = j;
            if (wanted.count == 0 || value > wanted.max) wanted.max = value, wanted.max_row = i, wanted.max_col = j;
            ++wanted.count;
            row.add(value);
            row_squares.add(static_cast<long double>(value) * value);
        }
        sum.value += row.value, sum.magnitude += row.magnitude;
        squares.value += row_squares.value;
    }
    EXPECT_EQ(got.count, wanted.count);
    EXPECT_EQ(got.min, wanted.min);
    EXPECT_EQ(got.max, wanted.max);
    EXPECT_EQ(got.max_abs, std::max(std::fabs(wanted.min), std::fabs(wanted.max)));
    EXPECT_EQ(got.min_row, wanted.min_row);
    EXPECT_EQ(got.min_col, wanted.min_col);
    EXPECT_EQ(got.max_row, wanted.max_row);
    EXPECT_EQ(got.max_col, wanted.max_col);
    // Compensated: the rounding of each term and of the result, whatever the number of terms; the rest is this sum's own.
    const double own = static_cast<double>(x.rows() + x.cols()) * static_cast<double>(std::numeric_limits<long double>::epsilon());
    const double epsilon = std::numeric_limits<double>::epsilon();
    EXPECT_NEAR(got.sum, static_cast<double>(sum.value),
                static_cast<double>(std::fabs(sum.value)) * epsilon + static_cast<double>(sum.magnitude) * own);
    EXPECT_NEAR(got.sum_of_squares, static_cast<double>(squares.value), static_cast<double>(squares.value) * (2 * epsilon + own));
}

CONFORMANCE_TEST(Summaries) {
    for (const Index n : sizes)
        for (const Index pad : pads)
            for (const auto& [rows, cols] : {std::pair{n, n}, {n + 2, n}, {Index{1}, n}})
                for (const Entries entries : {Entries::all, Entries::off_diagonal})
                    for (const double shift : {0.0, 2.5}) {
                        HostMatrix<double> values = random_matrix(rows, cols);
                        for (Index e = 0; e < values.size(); ++e) values.data()[e] = std::round(20 * values.data()[e]) / 16;  // ties
                        const Padded<Real> x(backend, values, pad);
                        expect_summary<Real>(backend->summarize(x.view(), entries, shift), x.given(), entries, shift);
                    }
    EXPECT_EQ(backend->summarize(ConstMatrixView<Real>(), Entries::all, 0).count, 0);
}

CONFORMANCE_TEST(SummariesOfUnroundedEntries) {
    const Padded<Real> x(backend, random_matrix(300, 270, 3), 0);
    for (const Entries entries : {Entries::all, Entries::off_diagonal})
        expect_summary<Real>(backend->summarize(x.view(), entries, 0.1), x.given(), entries, 0.1);
}

CONFORMANCE_TEST(SummariesSeeEveryNonFiniteEntry) {
    const Index n = 33;
    for (const Index at : {Index{0}, 7 * n + 5, n * n - 2}) {
        HostMatrix<double> values = random_matrix(n, n);
        values.data()[at] = nan;
        const EntrySummary with_nan = backend->summarize(upload(backend, values).view(), Entries::all, 0);
        EXPECT_TRUE(std::isnan(with_nan.min) && std::isnan(with_nan.max) && std::isnan(with_nan.max_abs) && std::isnan(with_nan.sum) &&
                    std::isnan(with_nan.sum_of_squares));
        EXPECT_EQ(with_nan.min_row * n + with_nan.min_col, at);
        EXPECT_EQ(with_nan.max_row * n + with_nan.max_col, at);
        values.data()[at] = -infinity;
        const EntrySummary infinite = backend->summarize(upload(backend, values).view(), Entries::all, 0);
        EXPECT_EQ(infinite.min, -infinity);
        EXPECT_EQ(infinite.min_row * n + infinite.min_col, at);
        EXPECT_LT(infinite.max, 10);
        EXPECT_EQ(infinite.max_abs, infinity);
        EXPECT_EQ(infinite.sum, -infinity);
        EXPECT_EQ(infinite.sum_of_squares, infinity);
    }
}

// --- moments of columns ------------------------------------------------------------------------------------------------------------

/// The definition; a tolerance for each: what it changes by when each entry, and each of the sums, is rounded.
void expect_moments(const HostMatrix<double>& got, const HostMatrix<double>& x) {
    ASSERT_EQ(got.rows(), 6);
    ASSERT_EQ(got.cols(), x.cols());
    for (Index j = 0; j < x.cols(); ++j) {
        Sum mean;
        double smallest = x(0, j), largest = x(0, j);
        for (Index i = 0; i < x.rows(); ++i) {
            mean.add(x(i, j));
            smallest = std::min(smallest, x(i, j)), largest = std::max(largest, x(i, j));
        }
        const auto n = static_cast<long double>(x.rows());
        mean.value /= n, mean.magnitude /= n;
        EXPECT_NEAR(got(0, j), static_cast<double>(mean.value), static_cast<double>(mean.magnitude) * tolerance<double>(x.rows()));
        for (int p = 2; p <= 4; ++p) {
            Sum sum;
            for (Index i = 0; i < x.rows(); ++i) {
                const long double d = x(i, j) - mean.value;
                sum.value += std::pow(d, p);
                sum.magnitude += p * std::pow(std::fabs(d), p - 1) * (std::fabs(d) + std::fabs(mean.value));
            }
            EXPECT_NEAR(got(p - 1, j), static_cast<double>(sum.value), static_cast<double>(sum.magnitude) * tolerance<double>(x.rows()))
                << "power " << p << " of column " << j << " of " << x.rows() << " x " << x.cols();
        }
        EXPECT_EQ(got(4, j), smallest);
        EXPECT_EQ(got(5, j), largest);
    }
}

CONFORMANCE_TEST(ColumnMoments) {
    for (const auto& [rows, cols] : {std::pair{Index{1}, Index{5}}, {2, 1}, {31, 33}, {33, 257}, {257, 3}, {1030, 3}})
        for (const Index pad : pads)
            for (const double mean : {0.0, 1000.0}) {
                HostMatrix<double> values = random_matrix(rows, cols);
                for (Index e = 0; e < values.size(); ++e) values.data()[e] += mean;
                const Padded<Real> x(backend, values, pad);
                expect_moments(backend->column_moments(x.view()), x.given());
            }
    EXPECT_EQ(backend->column_moments(ConstMatrixView<Real>(nullptr, 3, 0)).cols(), 0);
    expect_error(ErrorCode::invalid_argument, "without rows", [&] { (void)backend->column_moments(ConstMatrixView<Real>(nullptr, 0, 3)); });
}

CONFORMANCE_TEST(ColumnMomentsOfEqualNumbersAreZero) {
    HostMatrix<double> values(100, 2);
    std::fill_n(values.data(), values.size(), 0.1);
    const Matrix<Real> x = upload(backend, values);
    const HostMatrix<double> moments = backend->column_moments(x.view());
    const double value = static_cast<double>(static_cast<Real>(0.1));
    for (Index j = 0; j < 2; ++j) {
        EXPECT_NEAR(moments(0, j), value, value * std::numeric_limits<double>::epsilon());
        for (Index p = 1; p < 4; ++p) EXPECT_NEAR(moments(p, j), 0, 1e-30);
    }
}

CONFORMANCE_TEST(ColumnMomentsSeeEveryNonFiniteEntry) {
    for (const Index at : {0, 40, 69}) {
        HostMatrix<double> values = random_matrix(70, 3);
        values(at, 1) = nan;
        values(at, 2) = infinity;
        const HostMatrix<double> moments = backend->column_moments(upload(backend, values).view());
        for (Index k = 0; k < 6; ++k) {
            EXPECT_TRUE(std::isfinite(moments(k, 0)));
            EXPECT_TRUE(std::isnan(moments(k, 1)));
        }
        for (Index k = 0; k < 4; ++k) EXPECT_FALSE(std::isfinite(moments(k, 2)));
        EXPECT_TRUE(std::isfinite(moments(4, 2)));
        EXPECT_EQ(moments(5, 2), infinity);
    }
}

TEST(HostBackend, SameColumnMomentsOnAnyNumberOfThreads) {
    for (const auto& [rows, cols] : {std::pair{Index{5000}, Index{7}}, {70, 3000}}) {
        const auto moments = [rows = rows, cols = cols](int threads) {
            const auto backend = make_backend<float>("cpu", threads);
            return backend->column_moments(upload(backend, random_matrix(rows, cols)).view());
        };
        EXPECT_TRUE(same_bits(moments(1), moments(3)));
    }
}

// --- threads -----------------------------------------------------------------------------------------------------------------------

TEST(HostBackend, SameAnglesAndSummariesOnAnyNumberOfThreads) {
    const auto everything = [](int threads) {
        const auto backend = make_backend<double>("cpu", threads);
        const Index n = 800;
        const Matrix<double> x = upload(backend, random_matrix(n, 12));
        Matrix<double> tangents(backend, n, n);
        backend->fill(tangents.view(), 0);
        backend->half_angle_tangents(x.view(), x.view(), Triangle::lower, tangents.view());
        const EntrySummary summary = backend->summarize(std::as_const(tangents).view(), Entries::off_diagonal, 0.7);
        std::vector<double> all{summary.sum, summary.sum_of_squares, summary.min, summary.max};
        const HostMatrix<double> host = download(tangents);
        all.insert(all.end(), host.data(), host.data() + host.size());
        return all;
    };
    const auto one = everything(1);
    EXPECT_EQ(one, everything(2));
    EXPECT_EQ(one, everything(3));
}

}  // namespace
}  // namespace ntk

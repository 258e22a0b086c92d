// Conformance: every operation of every backend that this machine has, in both precisions, against its definition in extended
// precision. Strided views are marked all around, so that a write outside them is seen.

#include "support/conformance.hpp"
#include "support/devices.hpp"
#include "support/half.hpp"
#include "support/oracle.hpp"
#include "support/padded.hpp"
#include "support/samples.hpp"

#include <ntkcuda/backend.hpp>
#include <ntkcuda/infinite_width.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

namespace ntk {
namespace {

using namespace testing;

TEST(Conformance, CoversACudaDevice) { NTKCUDA_NEEDS_CUDA(); }

INSTANTIATE_TEST_SUITE_P(Devices, Conformance, ::testing::ValuesIn(device_ids()));

// --- memory ------------------------------------------------------------------------------------------------------------------------

CONFORMANCE_TEST(CopiesAndFills) {
    for (const Index n : sizes)
        for (const Index pad : pads) {
            const Padded<Real> x(backend, random_matrix(n, n + 2), pad);
            Padded<Real> y(backend, HostMatrix<double>(n, n + 2), 3 - pad);
            EXPECT_TRUE(same_bits(to_double(x.get()), x.given()));
            backend->copy(x.view(), y.view());
            EXPECT_TRUE(same_bits(x.get(), y.get()));
            backend->fill(y.view(), 0.1);
            const HostMatrix<Real> filled = y.get();
            for (Index e = 0; e < filled.size(); ++e) ASSERT_EQ(filled.data()[e], static_cast<Real>(0.1));
            backend->upload(x.get().view(), y.view());
            backend->synchronize();
            HostMatrix<Real> back(n, n + 2);
            backend->download(y.view(), back.view());
            EXPECT_TRUE(same_bits(back, x.get()));
        }
}

CONFORMANCE_TEST(SaysWhatItRunsOn) {
    const DeviceInfo info = backend->info();
    EXPECT_FALSE(info.name.empty());
    EXPECT_GT(info.threads, 0);
    EXPECT_GT(info.memory_free, 0u);
    EXPECT_GE(info.memory_total, info.memory_free);
}

CONFORMANCE_TEST(RefusesMoreMemoryThanThereIs) {
    const Index count = static_cast<Index>(backend->info().memory_total / sizeof(Real)) + 1;
    expect_error(ErrorCode::out_of_memory, std::to_string(count * static_cast<Index>(sizeof(Real))),
                 [&] { (void)backend->allocate(count); });
    expect_error(ErrorCode::out_of_memory, "x", [&] { (void)Matrix<Real>(backend, Index{1} << 40, Index{1} << 40); });
    const Matrix<Real> after(backend, 10, 10);  // the backend still works
    EXPECT_FALSE(after.empty());
}

CONFORMANCE_TEST(TakesEmptyMatrices) {
    Matrix<Real> nothing(backend, 0, 5), a(backend, 3, 0), c(backend, 3, 4), b(backend, 4, 0);
    backend->fill(nothing.view(), 1);
    backend->scale(2, nothing.view());
    backend->fill(c.view(), 2);
    backend->gemm(Transpose::no, Transpose::yes, 1, std::as_const(a).view(), std::as_const(b).view(), 0.5, c.view());
    const HostMatrix<Real> got = download(c);
    for (Index e = 0; e < got.size(); ++e) EXPECT_EQ(got.data()[e], 1);
    EXPECT_EQ(backend->norms(std::as_const(nothing).view()).frobenius, 0);
}

// --- dense arithmetic --------------------------------------------------------------------------------------------------------------

CONFORMANCE_TEST(Gemm) {
    for (const Index n : sizes)
        for (const Index pad : pads)
            for (const bool ta : {false, true})
                for (const bool tb : {false, true})
                    for (const double beta : {0.0, -0.75}) {
                        const Index m = n, k = std::max<Index>(1, n / 2), p = n + 5;
                        const Padded<Real> a(backend, ta ? random_matrix(k, m) : random_matrix(m, k), pad),
                            b(backend, tb ? random_matrix(p, k, 1) : random_matrix(k, p, 1), pad);
                        HostMatrix<double> start = random_matrix(m, p, 2);
                        if (beta == 0)
                            std::fill_n(start.data(), start.size(), std::numeric_limits<double>::quiet_NaN());  // must not be read
                        Padded<Real> c(backend, start, pad);
                        backend->gemm(ta ? Transpose::yes : Transpose::no, tb ? Transpose::yes : Transpose::no, 1.25, a.view(), b.view(),
                                      beta, c.view());
                        expect_entries(c.get(), k + 2, [&](Index i, Index j) {
                            Sum sum;
                            if (beta != 0) sum.add(beta * static_cast<long double>(c.given(i, j)));
                            for (Index l = 0; l < k; ++l)
                                sum.add(1.25L * (ta ? a.given(l, i) : a.given(i, l)) * (tb ? b.given(j, l) : b.given(l, j)));
                            return sum;
                        });
                    }
}

CONFORMANCE_TEST(AccumulateGram) {
    for (const Index n : sizes)
        for (const Index pad : pads)
            for (const Triangle triangle : {Triangle::full, Triangle::lower}) {
                const bool lower = triangle == Triangle::lower;
                const Index k = 65;
                const Padded<Real> j1(backend, random_matrix(n, k), pad), other(backend, random_matrix(n + 4, k, 1), pad);
                const Padded<Real>& j2 = lower ? j1 : other;
                Padded<Real> theta(backend, random_matrix(n, j2.given().rows(), 2), pad);
                backend->accumulate_gram(theta.view(), j1.view(), j2.view(), 0.3, triangle);
                expect_entries(theta.get(), k + 2, [&](Index i, Index j) {
                    Sum sum;
                    if (!lower || j <= i) {
                        const Sum gram = inner_product(j1.given(), i, j2.given(), j);
                        sum = {0.3L * gram.value, 0.3L * gram.magnitude};
                        sum.add(theta.given(i, j));
                    } else {
                        sum = {theta.given(i, j), 0};  // left as it was, to the bit
                    }
                    return sum;
                });
            }
}

CONFORMANCE_TEST(ElementwiseArithmetic) {
    for (const Index n : sizes)
        for (const Index pad : pads) {
            const Index cols = n + 2;
            const Padded<Real> x(backend, random_matrix(n, cols), pad), row(backend, random_matrix(1, cols, 1), pad);
            const auto fresh = [&] { return Padded<Real>(backend, random_matrix(n, cols, 2), pad); };
            Padded<Real> y = fresh();
            backend->axpy(-0.6, x.view(), y.view());
            expect_entries(y.get(), 1, [&](Index i, Index j) {
                Sum sum = single(y.given(i, j));
                sum.add(-0.6L * x.given(i, j));
                return sum;
            });
            y = fresh();
            backend->scale(1.7, y.view());
            expect_entries(y.get(), 1, [&](Index i, Index j) { return single(1.7L * y.given(i, j)); });
            y = fresh();
            backend->add_row(row.view(), y.view());
            expect_entries(y.get(), 1, [&](Index i, Index j) {
                Sum sum = single(y.given(i, j));
                sum.add(row.given(0, j));
                return sum;
            });
            Padded<Real> dots(backend, HostMatrix<double>(n, 1), pad);
            y = fresh();
            backend->row_dots(x.view(), y.view(), dots.view());
            expect_entries(dots.get(), cols, [&](Index i, Index) { return inner_product(x.given(), i, y.given(), i); });
        }
}

CONFORMANCE_TEST(DiagonalsAndTriangles) {
    for (const Index n : sizes)
        for (const Index pad : pads) {
            Padded<Real> x(backend, random_matrix(n, n), pad), diagonal(backend, HostMatrix<double>(n, 1), pad);
            backend->diagonal(std::as_const(x).view(), diagonal.view());
            const HostMatrix<Real> column = diagonal.get();
            for (Index i = 0; i < n; ++i) ASSERT_EQ(column(i, 0), x.given(i, i));
            backend->mirror_lower(x.view());
            const HostMatrix<Real> mirrored = x.get();
            for (Index i = 0; i < n; ++i)
                for (Index j = 0; j < n; ++j) ASSERT_EQ(mirrored(i, j), x.given(std::max(i, j), std::min(i, j)));
            backend->add_to_diagonal(0.5, x.view());
            expect_entries(x.get(), 1, [&](Index i, Index j) {
                Sum sum = {mirrored(i, j), 0};
                if (i == j) sum.add(0.5L), sum.magnitude += std::fabs(mirrored(i, j));
                return sum;
            });
        }
}

CONFORMANCE_TEST(Normalize) {
    for (const Index n : sizes)
        for (const Index pad : pads) {
            HostMatrix<double> r = random_matrix(n, 1), c = random_matrix(n + 3, 1, 1);
            for (HostMatrix<double>* d : {&r, &c})
                for (Index e = 0; e < d->size(); ++e) d->data()[e] = 0.1 + d->data()[e] * d->data()[e];
            const Padded<Real> rows(backend, r, pad), cols(backend, c, pad);
            Padded<Real> x(backend, random_matrix(n, n + 3, 2), pad);
            backend->normalize(rows.view(), cols.view(), x.view());
            expect_entries(x.get(), 4, [&](Index i, Index j) {
                return single(x.given(i, j) / std::sqrt(static_cast<long double>(rows.given(i, 0)) * cols.given(j, 0)));
            });
        }
    // The product of the diagonals is outside the range of Real; the quotient is not.
    const double big = std::sqrt(static_cast<double>(std::numeric_limits<Real>::max())) * 4;
    const HostMatrix<double> huge(1, 1, {big});
    Matrix<Real> x = upload(backend, huge);
    const Matrix<Real> diagonal = upload(backend, huge);
    backend->normalize(diagonal.view(), diagonal.view(), x.view());
    EXPECT_NEAR(static_cast<double>(download(x)(0, 0)), 1, tolerance<Real>(4));
}

CONFORMANCE_TEST(Norms) {
    for (const Index n : sizes)
        for (const Index pad : pads)
            for (const auto& [rows, cols] : {std::pair{n, n + 2}, {n + 2, Index{1}}, {Index{1}, n}}) {
                const Padded<Real> x(backend, random_matrix(rows, cols), pad), y(backend, random_matrix(rows, cols, 1), pad);
                const auto expect = [&, rows = rows, cols = cols](const Norms& got, double relative, const auto& entry) {
                    long double squares = 0, largest = 0, one = 0;
                    for (Index j = 0; j < cols; ++j) {
                        long double column = 0;
                        for (Index i = 0; i < rows; ++i) {
                            const long double value = std::fabs(entry(i, j));
                            squares += value * value;
                            column += value;
                            largest = std::max(largest, value);
                        }
                        one = std::max(one, column);
                    }
                    EXPECT_NEAR(got.frobenius, static_cast<double>(std::sqrt(squares)), static_cast<double>(std::sqrt(squares)) * relative);
                    EXPECT_NEAR(got.one, static_cast<double>(one), static_cast<double>(one) * relative);
                    EXPECT_NEAR(got.max_abs, static_cast<double>(largest), static_cast<double>(largest) * 1e-16);
                    EXPECT_TRUE(got.finite);
                };
                expect(backend->norms(x.view()), tolerance<Real>(rows * cols),
                       [&](Index i, Index j) { return static_cast<long double>(x.given(i, j)); });
                expect(backend->difference_norms(x.view(), y.view()), tolerance<double>(rows * cols),
                       [&](Index i, Index j) { return static_cast<long double>(x.given(i, j) - y.given(i, j)); });
            }
}

CONFORMANCE_TEST(NormsSeeEveryNonFiniteEntry) {
    const Index n = 33;
    const Matrix<Real> zero = upload(backend, HostMatrix<double>(n, n));
    for (const double bad :
         {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()})
        for (const Index at : {Index{0}, n + 5, n * n - 1}) {
            HostMatrix<double> host = random_matrix(n, n);
            host.data()[at] = bad;
            const Matrix<Real> x = upload(backend, host);
            EXPECT_FALSE(backend->norms(x.view()).finite);
            EXPECT_FALSE(backend->difference_norms(zero.view(), x.view()).finite);
        }
}

// --- finite network ----------------------------------------------------------------------------------------------------------------

CONFORMANCE_TEST(DrawNormals) {
    for (const Index n : sizes)
        for (const Index pad : pads) {
            Padded<Real> x(backend, HostMatrix<double>(n, n + 2), pad);
            backend->draw_normals({std::uint64_t{7} << 40 | 9, 3, 5}, 0.3, x.view());
            const HostMatrix<double> normals = host_normals({std::uint64_t{7} << 40 | 9, 3, 5}, n, n + 2);
            const HostMatrix<Real> got = x.get();
            for (Index e = 0; e < got.size(); ++e) ASSERT_EQ(got.data()[e], static_cast<Real>(0.3 * normals.data()[e]));
        }
}

long double phi(const Activation& activation, long double z) {
    if (activation.kind == Activation::Kind::erf) return std::erf(z);
    return activation.kind == Activation::Kind::abs ? std::fabs(z) : z > 0 ? z : activation.slope * z;
}
long double phi_slope(const Activation& activation, long double z) {
    if (activation.kind == Activation::Kind::erf) return 2 * std::numbers::inv_sqrtpi_v<long double> * std::exp(-z * z);
    if (activation.kind == Activation::Kind::abs) return z > 0 ? 1 : z < 0 ? -1 : 0;
    return z > 0 ? 1 : activation.slope;
}

/// Preactivations with kinks, large and tiny values among them.
HostMatrix<double> preactivations(Index rows, Index cols) {
    HostMatrix<double> z = random_matrix(rows, cols, 7);
    const double special[] = {0.0, -0.0, 1e-30, -1e-30, 6, -6, 40, -40};
    for (Index e = 0; e < z.size() && e < 8; ++e) z.data()[e * (z.size() / 8 > 0 ? z.size() / 8 : 1)] = special[e];
    return z;
}

CONFORMANCE_TEST(ActivationsAndSlopes) {
    for (const char* name : {"relu", "leaky_relu:0.1", "leaky_relu:-1", "abs", "erf"})
        for (const Index n : sizes)
            for (const Index pad : pads)
                for (const Index outputs : {1, 3}) {
                    const Activation activation = parse_activation(name);
                    const Padded<Real> z(backend, preactivations(n, n + 1), pad), w(backend, random_matrix(outputs, n + 1, 1), pad);
                    Padded<Real> a(backend, HostMatrix<double>(n, n + 1), pad), in_place(backend, z.given(), pad);
                    backend->activate(activation, z.view(), a.view());
                    expect_entries(a.get(), 0, [&](Index i, Index j) { return single(phi(activation, z.given(i, j))); });
                    backend->activate(activation, std::as_const(in_place).view(), in_place.view());
                    EXPECT_TRUE(same_bits(in_place.get(), a.get()));

                    // exp(-z^2) passes on the rounding of z^2, so its error grows with z^2; the smallest floats lose digits.
                    const auto slope = [&](Index i, Index j, long double times) {
                        const long double value = times * phi_slope(activation, z.given(i, j));
                        const long double tail = activation.kind == Activation::Kind::erf ? 1 + z.given(i, j) * z.given(i, j) : 1;
                        return Sum{value, std::fabs(value) * tail + std::numeric_limits<Real>::min()};
                    };
                    Padded<Real> delta(backend, random_matrix(n * outputs, n + 1, 3), pad);
                    backend->multiply_by_slope(activation, z.view(), delta.view());
                    expect_entries(delta.get(), 0, [&](Index i, Index j) { return slope(i / outputs, j, delta.given(i, j)); });
                    backend->output_delta(activation, w.view(), z.view(), delta.view());
                    expect_entries(delta.get(), 0, [&](Index i, Index j) { return slope(i / outputs, j, w.given(i % outputs, j)); });
                }
}

// --- kernels of a finite network ---------------------------------------------------------------------------------------------------

CONFORMANCE_TEST(LayerGram) {
    for (const Index n : sizes)
        for (const Index r : {1, 3})
            for (const Index pad : pads)
                for (const Triangle triangle : {Triangle::full, Triangle::lower})
                    for (const bool identity : {false, true}) {
                        const Index k = 37, w = 29, n2 = triangle == Triangle::lower ? n : n / 2 + 3;
                        const Padded<Real> a1(backend, random_matrix(n, k), pad), d1(backend, random_matrix(n * r, w, 1), pad);
                        const Padded<Real> a_other(backend, random_matrix(n2, k, 2), pad),
                            d_other(backend, random_matrix(n2 * r, w, 3), pad);
                        const bool lower = triangle == Triangle::lower;
                        const Padded<Real>&a2 = lower ? a1 : a_other, &d2 = lower ? d1 : d_other;
                        Padded<Real> theta(backend, random_matrix(n * r, n2 * r, 4), pad);
                        const double scale = 0.3, shift = 0.8;
                        const ConstMatrixView<Real> empty;
                        backend->accumulate_layer_gram(theta.view(), a1.view(), a2.view(), identity ? empty : d1.view(),
                                                       identity ? empty : d2.view(), scale, shift, triangle);
                        // Sample Gram entries once: the definition is then one inner product for each entry of theta.
                        std::vector<Sum> samples(static_cast<std::size_t>(n * n2));
                        for (Index i = 0; i < n; ++i)
                            for (Index j = 0; j < n2; ++j)
                                samples[static_cast<std::size_t>(i * n2 + j)] = inner_product(a1.given(), i, a2.given(), j);
                        expect_entries(theta.get(), k + w + 4, [&](Index i, Index j) {
                            if (lower && j > i) return Sum{theta.given(i, j), 0};
                            const Sum g = samples[static_cast<std::size_t>(i / r * n2 + j / r)];
                            const Sum d = identity ? single(i % r == j % r ? 1 : 0) : inner_product(d1.given(), i, d2.given(), j);
                            Sum sum{(scale * g.value + shift) * d.value, (scale * g.magnitude + shift) * d.magnitude};
                            sum.add(theta.given(i, j));
                            return sum;
                        });
                    }
}

CONFORMANCE_TEST(HalfGramSum) {
    for (const Index n : {1, 33, 130})
        for (const Index r : {1, 3})
            for (const Index pad : pads)
                for (const Triangle triangle : {Triangle::full, Triangle::lower}) {
                    const Index k = 37, w = 29, n2 = triangle == Triangle::lower ? n : n / 2 + 3;
                    const bool lower = triangle == Triangle::lower;
                    // Rows of very different sizes, entries down to the subnormal ones of FP16, a row of zeros.
                    const auto rows = [](Index count, Index cols, std::uint64_t seed) {
                        HostMatrix<double> x = random_matrix(count, cols, seed);
                        for (Index i = 0; i < count; ++i)
                            for (Index j = 0; j < cols; ++j)
                                x(i, j) = i == 5 ? 0 : std::ldexp(x(i, j), static_cast<int>(i % 7) * 4 - 12 - static_cast<int>(j % 9) * 3);
                        return x;
                    };
                    const Padded<Real> a1(backend, rows(n, k, 0), pad), d1(backend, rows(n * r, w, 1), pad);
                    const Padded<Real> a_other(backend, rows(n2, k, 2), pad), d_other(backend, rows(n2 * r, w, 3), pad);
                    const Padded<Real>&a2 = lower ? a1 : a_other, &d2 = lower ? d1 : d_other;
                    Padded<Real> theta(backend, random_matrix(n * r, n2 * r, 4), pad);
                    const double scale = 0.3, shift = 0.8;
                    const auto sum = backend->half_gram_sum(theta.view(), triangle);
                    sum->add(a1.view(), a2.view(), {}, {}, scale, shift);
                    sum->add(a1.view(), a2.view(), d1.view(), d2.view(), scale, shift);
                    sum->finish();
                    const auto left = rounded_rows(a1.given()), right = rounded_rows(a2.given());
                    const auto left_delta = rounded_rows(d1.given()), right_delta = rounded_rows(d2.given());
                    const HostMatrix<Real> got = theta.get();
                    for (Index i = 0; i < got.rows(); ++i)
                        for (Index j = 0; j < got.cols(); ++j) {
                            Sum sum_of_layers{theta.given(i, j), 0};
                            if (!lower || j <= i) {
                                const Sum g = inner_product(left, i / r, right, j / r), d = inner_product(left_delta, i, right_delta, j);
                                const long double factor = scale * g.value + shift, size = scale * g.magnitude + shift;
                                sum_of_layers.value += factor * (d.value + (i % r == j % r ? 1 : 0));
                                sum_of_layers.magnitude += size * (d.magnitude + 1) + std::fabs(theta.given(i, j));
                            }
                            ASSERT_NEAR(static_cast<double>(got(i, j)), static_cast<double>(sum_of_layers.value),
                                        static_cast<double>(sum_of_layers.magnitude) * tolerance<float>(k + w + 4))
                                << "at (" << i << ", " << j << ")";
                        }
                }
}

/// Nothing that is not finite disappears, and no row is too large or too small for its scale.
CONFORMANCE_TEST(HalfGramSumAtTheEdges) {
    const double infinity = std::numeric_limits<double>::infinity(), large = std::numeric_limits<Real>::max() / 2;
    const double size[] = {1, infinity, std::numeric_limits<double>::quiet_NaN(), large, std::numeric_limits<Real>::denorm_min(), 0};
    HostMatrix<double> x(6, 2), unit(6, 1);
    for (Index i = 0; i < 6; ++i) {
        x(i, 0) = size[i];
        unit(i, 0) = i == 3 ? std::numeric_limits<Real>::min() : i == 4 ? 1 / std::numeric_limits<Real>::min() : 1;
    }
    const Padded<Real> a(backend, x, 0), d(backend, unit, 0);
    Padded<Real> theta(backend, HostMatrix<double>(6, 6), 0);
    const auto sum = backend->half_gram_sum(theta.view(), Triangle::full);
    sum->add(a.view(), a.view(), d.view(), d.view(), 1, 0);
    sum->finish();
    const HostMatrix<Real> got = theta.get();
    for (Index i = 0; i < 6; ++i)
        for (Index j = 0; j < 6; ++j) {
            if (i == 1 || i == 2 || j == 1 || j == 2) {
                EXPECT_TRUE(std::isnan(got(i, j))) << i << ", " << j;
            } else if (i == 0 || j == 0) {
                // One row of the pair is 1: the product of the other's factors, each rounded to eleven bits.
                const double other = static_cast<double>(a.given(i + j, 0)) * static_cast<double>(d.given(i + j, 0));
                EXPECT_NEAR(static_cast<double>(got(i, j)), other, other * 0x1p-9) << i << ", " << j;
            }
        }
}

CONFORMANCE_TEST(LayerDiagonal) {
    for (const Index n : sizes)
        for (const Index outputs : {1, 3})
            for (const Index pad : pads)
                for (const bool identity : {false, true}) {
                    const Padded<Real> a(backend, random_matrix(n, n + 1), pad), d(backend, random_matrix(n * outputs, 29, 1), pad);
                    Padded<Real> theta(backend, random_matrix(n, outputs, 2), pad);
                    backend->accumulate_layer_diagonal(theta.view(), a.view(), identity ? ConstMatrixView<Real>() : d.view(), 0.3, 0.8);
                    expect_entries(theta.get(), n + 1 + 29 + 4, [&](Index i, Index o) {
                        const Sum g = inner_product(a.given(), i, a.given(), i);
                        const Sum square = identity ? single(1) : inner_product(d.given(), i * outputs + o, d.given(), i * outputs + o);
                        Sum sum = single((0.3L * g.value + 0.8L) * square.value);
                        sum.add(theta.given(i, o));
                        return sum;
                    });
                }
}

CONFORMANCE_TEST(JacobianBlock) {
    for (const Index n : sizes)
        for (const Index outputs : {1, 3})
            for (const Index pad : pads)
                for (const bool identity : {false, true}) {
                    const Index units = identity ? outputs : 9, first = identity ? outputs / 2 : 2, count = identity ? outputs - first : 5,
                                k = n % 40 + 1;
                    const Padded<Real> a(backend, random_matrix(n, k), pad), delta(backend, random_matrix(n * outputs, units, 1), pad);
                    Padded<Real> out(backend, HostMatrix<double>(n * outputs, count * k), pad);
                    backend->jacobian_block(identity ? ConstMatrixView<Real>() : delta.view(), a.view(), first, count, 0.7, out.view());
                    expect_entries(out.get(), 0, [&](Index row, Index col) {
                        const Index unit = first + col / k;
                        const long double slope =
                            identity ? (unit == row % outputs ? 1 : 0) : static_cast<long double>(delta.given(row, unit));
                        return single(0.7L * slope * a.given(row / outputs, col % k));
                    });
                }
}

// --- infinite width: values against tests/test_infinite_width.cpp's references; here the forms against one another and the CPU -----------

CONFORMANCE_TEST(InfiniteWidthKernels) {
    const auto cpu = make_backend<Real>("cpu");
    for (const char* activation : {"relu", "leaky_relu:0.2", "abs", "erf"})
        for (const InfiniteKernel kernel : {InfiniteKernel::ntk, InfiniteKernel::nngp})
            for (const Parametrization parametrization : {Parametrization::ntk, Parametrization::standard})
                for (const Index n : sizes)
                    for (const Index pad : pads) {
                        const Architecture architecture{
                            5, {7, 8, 9}, 1, parse_activation(activation), 1.3, 0.2, Biases::trained, parametrization};
                        const Padded<Real> x(backend, random_matrix(n, 5), pad), y(backend, random_matrix(n / 2 + 1, 5, 1), pad);
                        Padded<Real> cross(backend, HostMatrix<double>(n, n / 2 + 1), pad), full(backend, HostMatrix<double>(n, n), pad),
                            lower(backend, random_matrix(n, n, 2), pad), diagonal(backend, HostMatrix<double>(n, 1), pad);
                        backend->infinite_width_kernel(architecture, kernel, x.view(), y.view(), Triangle::full, cross.view());
                        backend->infinite_width_kernel(architecture, kernel, x.view(), x.view(), Triangle::full, full.view());
                        backend->infinite_width_kernel(architecture, kernel, x.view(), x.view(), Triangle::lower, lower.view());
                        backend->infinite_width_diagonal(architecture, kernel, x.view(), diagonal.view());

                        const Padded<Real> x_cpu(cpu, x.given(), 0), y_cpu(cpu, y.given(), 0);
                        Padded<Real> expected(cpu, HostMatrix<double>(n, n / 2 + 1), 0),
                            y_diagonal(cpu, HostMatrix<double>(n / 2 + 1, 1), 0);
                        cpu->infinite_width_kernel(architecture, kernel, x_cpu.view(), y_cpu.view(), Triangle::full, expected.view());
                        cpu->infinite_width_diagonal(architecture, kernel, y_cpu.view(), y_diagonal.view());
                        const HostMatrix<Real> values = expected.get(), square = full.get(), half = lower.get(), own = diagonal.get(),
                                               others = y_diagonal.get();
                        const auto scale = [](Real a, Real b) { return std::sqrt(static_cast<long double>(a) * b); };
                        expect_entries(cross.get(), 64, [&](Index i, Index j) {
                            return Sum{values(i, j), scale(own(i, 0), others(j, 0))};
                        });
                        expect_entries(half, 64, [&](Index i, Index j) {
                            return j > i ? Sum{lower.given(i, j), 0} : Sum{square(i, j), scale(own(i, 0), own(j, 0))};
                        });
                        for (Index i = 0; i < n; ++i)
                            ASSERT_NEAR(square(i, i), own(i, 0), static_cast<double>(own(i, 0)) * tolerance<Real>(64));
                    }
}

// --- closed form -------------------------------------------------------------------------------------------------------------------

/// A well-conditioned kernel with noise above the diagonal, which must not be read.
HostMatrix<double> positive_definite(Index n) {
    const HostMatrix<double> j = random_matrix(n, n + 3), noise = random_matrix(n, n, 1);
    HostMatrix<double> k = oracle_gram(j, j);
    for (Index i = 0; i < n; ++i) {
        k(i, i) += static_cast<double>(n);
        for (Index m = i + 1; m < n; ++m) k(i, m) = noise(i, m);
    }
    return k;
}

/// |G| |G|^T row i times |x|: what the rounding errors of a solve are proportional to (Higham 2002, theorem 10.4).
template <class Real>
std::vector<long double> solve_scale(const HostMatrix<Real>& factor, const std::vector<long double>& x) {
    const auto n = static_cast<std::size_t>(factor.rows());
    std::vector<long double> inner(n), outer(n);
    for (std::size_t j = 0; j < n; ++j)
        for (std::size_t i = j; i < n; ++i) inner[j] += std::fabs(factor(static_cast<Index>(i), static_cast<Index>(j))) * std::fabs(x[i]);
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j <= i; ++j) outer[i] += std::fabs(factor(static_cast<Index>(i), static_cast<Index>(j))) * inner[j];
    return outer;
}

CONFORMANCE_TEST(CholeskyAndSolves) {
    for (const Index n : sizes)
        for (const Index pad : pads)
            for (const Index m : {1, 5}) {
                Padded<Real> k(backend, positive_definite(n), pad), b(backend, random_matrix(n, m, 2), pad),
                    rows(backend, random_matrix(m, n, 3), pad);
                ASSERT_EQ(backend->cholesky(k.view()).failed_minor, 0);
                const HostMatrix<Real> factor = k.get();
                expect_entries(factor, 0, [&](Index i, Index j) {
                    return j > i ? Sum{k.given(i, j), 0} : single(factor(i, j));
                });  // the strict upper triangle
                for (Index i = 0; i < n; ++i)
                    for (Index j = 0; j <= i; ++j) {
                        Sum sum;
                        for (Index l = 0; l <= j; ++l) sum.add(static_cast<long double>(factor(i, l)) * factor(j, l));
                        ASSERT_NEAR(static_cast<double>(sum.value), k.given(i, j), static_cast<double>(sum.magnitude) * tolerance<Real>(n));
                    }

                backend->cholesky_solve(std::as_const(k).view(), b.view());
                const HostMatrix<Real> x = b.get();
                for (Index c = 0; c < m; ++c) {
                    std::vector<long double> column(static_cast<std::size_t>(n));
                    for (Index i = 0; i < n; ++i) column[static_cast<std::size_t>(i)] = x(i, c);
                    const auto scale = solve_scale(factor, column);
                    for (Index i = 0; i < n; ++i) {
                        long double product = 0;
                        for (Index j = 0; j < n; ++j)
                            product += static_cast<long double>(k.given(std::max(i, j), std::min(i, j))) * x(j, c);
                        ASSERT_NEAR(static_cast<double>(product), b.given(i, c),
                                    static_cast<double>(scale[static_cast<std::size_t>(i)]) * tolerance<Real>(3 * n));
                    }
                }

                backend->triangular_solve_rows(std::as_const(k).view(), rows.view());
                const HostMatrix<Real> y = rows.get();
                for (Index c = 0; c < m; ++c)
                    for (Index i = 0; i < n; ++i) {
                        Sum sum;
                        for (Index j = 0; j <= i; ++j) sum.add(static_cast<long double>(factor(i, j)) * y(c, j));
                        ASSERT_NEAR(static_cast<double>(sum.value), rows.given(c, i),
                                    static_cast<double>(sum.magnitude) * tolerance<Real>(n));
                    }
            }
}

CONFORMANCE_TEST(CholeskyNamesTheMinorThatFails) {
    for (const Index n : sizes)
        for (const Index pad : pads)
            for (const Index minor : {Index{1}, (n + 1) / 2, n}) {
                HostMatrix<double> values = positive_definite(n);
                values(minor - 1, minor - 1) = -1;
                Padded<Real> k(backend, values, pad);
                EXPECT_EQ(backend->cholesky(k.view()).failed_minor, minor) << n;
                (void)k.get();  // the marks
            }
}

CONFORMANCE_TEST(Eigen) {
    for (const Index n : sizes)
        for (const Index pad : pads) {
            Padded<Real> k(backend, positive_definite(n), pad), values(backend, HostMatrix<double>(n, 1), pad),
                again(backend, k.given(), pad), values_again(backend, HostMatrix<double>(n, 1), pad);
            backend->eigen(k.view(), values.view(), true);
            backend->eigen(again.view(), values_again.view(), false);
            const HostMatrix<Real> vectors = k.get(), lambda = values.get(), lambda_again = values_again.get();
            (void)again.get();  // the marks
            const double bound = static_cast<double>(lambda(n - 1, 0)) * tolerance<Real>(n);
            for (Index i = 0; i < n; ++i) {
                ASSERT_GE(lambda(i, 0), lambda(std::max<Index>(0, i - 1), 0));
                ASSERT_NEAR(lambda(i, 0), lambda_again(i, 0), bound);
                long double residual = 0;
                for (Index row = 0; row < n; ++row) {
                    long double product = 0;
                    for (Index j = 0; j < n; ++j)
                        product += static_cast<long double>(k.given(std::max(row, j), std::min(row, j))) * vectors(i, j);
                    product -= static_cast<long double>(lambda(i, 0)) * vectors(i, row);
                    residual += product * product;
                }
                ASSERT_LE(static_cast<double>(std::sqrt(residual)), bound);
                for (Index j = 0; j <= i; ++j) {
                    long double product = 0;
                    for (Index l = 0; l < n; ++l) product += static_cast<long double>(vectors(i, l)) * vectors(j, l);
                    ASSERT_NEAR(static_cast<double>(product), i == j ? 1 : 0, tolerance<Real>(n));
                }
            }
        }
}

// --- threads -----------------------------------------------------------------------------------------------------------------------

TEST(HostBackend, SameBitsOnAnyNumberOfThreads) {
    // Larger than one tile, in every operation whose sums are shared among threads.
    const auto everything = [](int threads) {
        const auto backend = make_backend<double>("cpu", threads);
        const Index n = 800, k = 120;
        const Matrix<double> a = upload(backend, random_matrix(n, k)), b = upload(backend, random_matrix(n, k, 1));
        Matrix<double> c(backend, n, n), gram(backend, n, n), dots(backend, n, 1);
        backend->gemm(Transpose::no, Transpose::yes, 1, a.view(), b.view(), 0, c.view());
        backend->fill(gram.view(), 0);
        backend->accumulate_gram(gram.view(), a.view(), a.view(), 1, Triangle::lower);
        backend->accumulate_layer_gram(gram.view(), a.view(), a.view(), b.view(), b.view(), 0.3, 0.1, Triangle::lower);
        const auto half = backend->half_gram_sum(gram.view(), Triangle::lower);
        half->add(a.view(), a.view(), b.view(), b.view(), 0.3, 0.1);
        half->finish();
        backend->row_dots(a.view(), b.view(), dots.view());
        const Norms norms = backend->norms(std::as_const(c).view()),
                    difference = backend->difference_norms(std::as_const(c).view(), std::as_const(gram).view());
        std::vector<double> all{norms.frobenius, norms.max_abs, norms.one, difference.frobenius, difference.max_abs, difference.one};
        for (const Matrix<double>* m : {&c, &gram, &dots}) {
            const HostMatrix<double> host = download(*m);
            all.insert(all.end(), host.data(), host.data() + host.size());
        }
        return all;
    };
    const auto one = everything(1);
    EXPECT_EQ(one, everything(2));
    EXPECT_EQ(one, everything(3));
}

}  // namespace
}  // namespace ntk

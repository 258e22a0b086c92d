#include "support/devices.hpp"
#include "support/samples.hpp"
#include "support/tolerance.hpp"

#include "host/backend/sampler_lanes.hpp"
#include "host/backend/sampler_units.hpp"

#include <ntkcuda/backend.hpp>
#include <ntkcuda/exact_moments.hpp>
#include <ntkcuda/formulas/activation.hpp>
#include <ntkcuda/kernel_sampler.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

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

constexpr Sampler samplers[] = {Sampler::weights, Sampler::conditional};

class KernelSamplers : public ::testing::TestWithParam<std::string> {};

/// Each row is the two kernels of draw_network, by gram.hpp.
template <class Real>
void check_weights(const std::shared_ptr<Backend<Real>>& backend, const std::vector<Case>& list) {
    for (const Case& c : list)
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
TEST_P(KernelSamplers, WeightsGiveTheKernelsOfDrawnNetworksFloat64) { check_weights<double>(make_backend<double>(GetParam()), cases()); }
TEST_P(KernelSamplers, WeightsGiveTheKernelsOfDrawnNetworksFloat32) { check_weights<float>(make_backend<float>(GetParam()), cases()); }

/// Which networks are asked for together, and the threads, change no bit.
template <class Real>
void check_splits(const std::string& device, Sampler sampler, const Architecture& a, Index networks) {
    const HostMatrix<double> x = random_matrix(4, 3);
    for (const Block block : {Block::full, Block::diag}) {
        const KernelSamplerOptions options{a, sampler, 5, block, true};
        const auto backend = make_backend<Real>(device, 1), other = make_backend<Real>(device, 2);
        const HostMatrix<Real> all = sampled(backend, options, x, 0, networks);
        for (const auto& [first, count] :
             {std::pair<std::uint32_t, Index>{0, networks}, {0, 1}, {3, 1}, {networks / 3, networks / 3}, {networks / 2, networks / 2}}) {
            const HostMatrix<Real> part = sampled(other, options, x, first, count);
            for (Index r = 0; r < count; ++r)
                for (Index e = 0; e < all.cols(); ++e) ASSERT_EQ(part(r, e), all(first + r, e)) << first << " + " << r << ", " << e;
        }
    }
}
TEST_P(KernelSamplers, RowsDependOnTheirNetworkAloneFloat64) {
    for (const Sampler sampler : samplers) check_splits<double>(GetParam(), sampler, architecture(3, {7, 17, 5}, 3), 50);
}
TEST_P(KernelSamplers, RowsDependOnTheirNetworkAloneFloat32) {
    for (const Sampler sampler : samplers) check_splits<float>(GetParam(), sampler, architecture(3, {7, 17, 5}, 3), 50);
}

// Too wide for a group of networks in the lanes of vectors on the CPU.
TEST(WideNetworks, WeightsGiveTheKernelsOfDrawnNetworks) {
    check_weights<double>(make_backend<double>("cpu"), {{"wide", architecture(3, {400, 400}, 2), 3}});
}
TEST(WideNetworks, RowsDependOnTheirNetworkAlone) {
    check_splits<double>("cpu", Sampler::weights, architecture(3, {400, 400}, 1), 6);
    check_splits<double>("cpu", Sampler::conditional, architecture(3, {6000, 6000}, 1), 6);
    check_splits<float>("cpu", Sampler::conditional, architecture(3, {6000, 6000}, 1), 6);
}

/// The conditional sampler by its definition in kernel_sampler.hpp, plain loops.
class ConditionalPath {
public:
    ConditionalPath(const KernelSamplerOptions& options, const HostMatrix<double>& x, std::uint32_t network)
        : options_(options), a_(options.architecture), network_(network), n_(x.rows()) {
        activations_.push_back(x);
        for (Index l = 1; l < a_.depth(); ++l) forward(l);
    }

    /// The full kernel (n O x n O) and, with it, the NNGP.
    HostMatrix<double> tangent() {
        const Index outputs = a_.outputs, rows = n_ * outputs;
        HostMatrix<double> theta(rows, rows), delta;
        for (Index l = a_.depth(); l >= 1; --l) {
            const HostMatrix<double> k = gram(activations_[static_cast<std::size_t>(l - 1)], 0);
            const HostMatrix<double> d = l == a_.depth() ? HostMatrix<double>() : gram(delta, 0);
            for (Index i = 0; i < rows; ++i)
                for (Index j = 0; j < rows; ++j) {
                    const double factor = a_.weight_gradient_variance(l) * k(i / outputs, j / outputs) + a_.bias_gradient_variance();
                    theta(i, j) += factor * (l == a_.depth() ? (i % outputs == j % outputs ? 1 : 0) : d(i, j));
                }
            if (l > 1) delta = backward(l, delta);
        }
        return theta;
    }
    HostMatrix<double> nngp() {
        HostMatrix<double> k = gram(activations_.back(), 0);
        for (Index e = 0; e < k.size(); ++e) k.data()[e] = scale(a_.depth()) * scale(a_.depth()) * k.data()[e] + a_.bias_std * a_.bias_std;
        return k;
    }

private:
    struct Factors {
        HostMatrix<double> c, q;
    };

    [[nodiscard]] double scale(Index l) const { return a_.weight_std / std::sqrt(static_cast<double>(a_.width(l - 1))); }
    [[nodiscard]] bool direct(Index l) const { return l == a_.depth() || a_.width(l - 1) <= n_; }
    [[nodiscard]] HostMatrix<double> normals(std::uint32_t stream, Index rows, Index cols) const {
        return host_normals({options_.seed, network_, stream}, rows, cols);
    }
    static HostMatrix<double> gram(const HostMatrix<double>& x, double shift) {
        HostMatrix<double> k(x.rows(), x.rows());
        for (Index i = 0; i < x.rows(); ++i)
            for (Index j = 0; j < x.rows(); ++j) {
                k(i, j) = shift;
                for (Index u = 0; u < x.cols(); ++u) k(i, j) += x(i, u) * x(j, u);
            }
        return k;
    }
    /// x = C Q with the columns of the bias.
    static Factors factorise(const HostMatrix<double>& x) {
        const HostMatrix<double> k = gram(x, 0);
        Factors f{HostMatrix<double>(x.rows(), x.rows()), HostMatrix<double>(x.rows(), x.cols())};
        for (Index i = 0; i < x.rows(); ++i) {
            double pivot = k(i, i);
            for (Index j = 0; j < i; ++j) {
                double rest = k(i, j);
                for (Index m = 0; m < j; ++m) rest -= f.c(i, m) * f.c(j, m);
                f.c(i, j) = f.c(j, j) == 0 ? 0 : rest / f.c(j, j);
                pivot -= f.c(i, j) * f.c(i, j);
            }
            if (pivot <= conditional_pivot_tolerance * static_cast<double>(x.rows()) * k(i, i)) continue;
            f.c(i, i) = std::sqrt(pivot);
            for (Index u = 0; u < x.cols(); ++u) {
                double rest = x(i, u);
                for (Index j = 0; j < i; ++j) rest -= f.c(i, j) * f.q(j, u);
                f.q(i, u) = rest / f.c(i, i);
            }
        }
        return f;
    }
    /// A with its column of the bias.
    [[nodiscard]] HostMatrix<double> with_bias(Index l) const {
        const HostMatrix<double>& a = activations_[static_cast<std::size_t>(l - 1)];
        HostMatrix<double> wide(n_, a.cols() + 1);
        for (Index i = 0; i < n_; ++i) {
            std::copy_n(a.data() + i * a.cols(), a.cols(), wide.data() + i * wide.cols());
            wide(i, a.cols()) = a_.bias_std / scale(l);
        }
        return wide;
    }

    void forward(Index l) {
        const HostMatrix<double>& a = activations_[static_cast<std::size_t>(l - 1)];
        const Index in = a.cols(), out = a_.width(l);
        HostMatrix<double> z(n_, out), post(n_, out);
        const HostMatrix<double> w = direct(l) ? normals(weight_stream(l), out, in) : normals(forward_stream(l), n_, out);
        const HostMatrix<double> bias = normals(bias_stream(l), 1, out);
        const HostMatrix<double> c = direct(l) ? HostMatrix<double>() : factorise(with_bias(l)).c;
        for (Index i = 0; i < n_; ++i)
            for (Index u = 0; u < out; ++u) {
                for (Index k = 0; k < (direct(l) ? in : n_); ++k) z(i, u) += scale(l) * (direct(l) ? a(i, k) * w(u, k) : c(i, k) * w(k, u));
                if (direct(l)) z(i, u) += a_.bias_std * bias(0, u);
                post(i, u) = formulas::activation(a_.activation.kind, a_.activation.slope, z(i, u));
            }
        pre_.push_back(z);
        activations_.push_back(post);
        drawn_.push_back(w);
    }

    /// delta^{l-1} from delta^l.
    HostMatrix<double> backward(Index l, const HostMatrix<double>& delta) {
        const Index outputs = a_.outputs, rows = n_ * outputs, in = a_.width(l - 1), out = a_.width(l);
        HostMatrix<double> next(rows, in);
        if (l == a_.depth()) {
            const HostMatrix<double> w = normals(weight_stream(l), outputs, in);
            for (Index r = 0; r < rows; ++r)
                for (Index u = 0; u < in; ++u) next(r, u) = scale(l) * w(r % outputs, u);
        } else if (direct(l)) {
            for (Index r = 0; r < rows; ++r)
                for (Index u = 0; u < in; ++u)
                    for (Index v = 0; v < out; ++v) next(r, u) += scale(l) * delta(r, v) * drawn_[static_cast<std::size_t>(l - 1)](v, u);
        } else {
            const Factors a = factorise(with_bias(l));
            const HostMatrix<double> d = factorise(delta).c, g = drawn_[static_cast<std::size_t>(l - 1)];
            const HostMatrix<double> m = normals(backward_stream(l), rows, in), bias = normals(backward_bias_stream(l), 1, rows);
            HostMatrix<double> noise(rows, in + 1), inside(rows, n_);  // D M; delta G^T - D M Q^T
            for (Index r = 0; r < rows; ++r) {
                for (Index u = 0; u <= in; ++u)
                    for (Index k = 0; k <= r; ++k) noise(r, u) += d(r, k) * (u < in ? m(k, u) : bias(0, k));
                for (Index i = 0; i < n_; ++i) {
                    for (Index v = 0; v < out; ++v) inside(r, i) += delta(r, v) * g(i, v);
                    for (Index u = 0; u <= in; ++u) inside(r, i) -= noise(r, u) * a.q(i, u);
                }
                for (Index u = 0; u < in; ++u) {
                    next(r, u) = scale(l) * noise(r, u);
                    for (Index i = 0; i < n_; ++i) next(r, u) += scale(l) * inside(r, i) * a.q(i, u);
                }
            }
        }
        const HostMatrix<double>& z = pre_[static_cast<std::size_t>(l - 2)];
        for (Index r = 0; r < rows; ++r)
            for (Index u = 0; u < in; ++u)
                next(r, u) *= formulas::activation_slope(a_.activation.kind, a_.activation.slope, z(r / outputs, u));
        return next;
    }

    KernelSamplerOptions options_;
    Architecture a_;
    std::uint32_t network_;
    Index n_;
    std::vector<HostMatrix<double>> activations_, pre_, drawn_;
};

/// Rows of the conditional sampler against its definition, to `rounding` of the largest entry.
template <class Real>
void expect_conditional_path(const std::string& device, const Architecture& architecture, const HostMatrix<double>& x, double rounding) {
    const KernelSamplerOptions options{architecture, Sampler::conditional, 8};
    const std::uint32_t first = 2;
    const HostMatrix<Real> rows = sampled(make_backend<Real>(device), options, x, first, 19);
    for (Index r = 0; r < rows.rows(); r += 6) {
        ConditionalPath path(options, x, first + static_cast<std::uint32_t>(r));
        const HostMatrix<double> tangent = path.tangent(), nngp = path.nngp();
        Index at = 0;
        for (const HostMatrix<double>* kernel : {&tangent, &nngp}) {
            const auto magnitude = [](double a, double b) { return std::fabs(a) < std::fabs(b); };
            const double size = std::fabs(*std::max_element(kernel->data(), kernel->data() + kernel->size(), magnitude));
            for (Index i = 0; i < kernel->rows(); ++i)
                for (Index j = 0; j <= i; ++j, ++at) ASSERT_NEAR(rows(r, at), (*kernel)(i, j), size * rounding) << i << ", " << j;
        }
    }
}

/// n samples of which one is another's double, one is a sum, one is zero and two are equal.
HostMatrix<double> dependent_samples(Index features) {
    HostMatrix<double> x = random_matrix(7, features);
    for (Index j = 0; j < features; ++j) {
        x(2, j) = 2 * x(0, j);
        x(3, j) = x(0, j) + x(1, j);
        x(4, j) = 0;
        x(6, j) = x(5, j);
    }
    return x;
}

TEST_P(KernelSamplers, ConditionalFollowsItsDefinition) {
    for (const Case& c : cases()) {
        SCOPED_TRACE(c.name);
        const HostMatrix<double> x = random_matrix(c.samples, c.architecture.inputs);
        expect_conditional_path<double>(GetParam(), c.architecture, x, 1e-9);
        expect_conditional_path<float>(GetParam(), c.architecture, x, 2e-6);
    }
    SCOPED_TRACE("dependent samples");
    expect_conditional_path<double>(GetParam(), architecture(9, {12, 11, 10}, 2), dependent_samples(9), 1e-8);
    SCOPED_TRACE("wide");
    expect_conditional_path<double>(GetParam(), architecture(9, {120, 301, 80}, 1), random_matrix(5, 9), 1e-9);
}

/// Devices differ by rounding alone: no preactivation of these networks is so near 0 that its sign does.
template <class Real>
void check_agreement(const std::string& device) {
    for (const Sampler sampler : samplers)
        for (const Case& c : cases()) {
            SCOPED_TRACE(c.name + std::string(", sampler ") + std::to_string(static_cast<int>(sampler)));
            const HostMatrix<double> x = random_matrix(c.samples, c.architecture.inputs);
            const KernelSamplerOptions options{c.architecture, sampler, 6, Block::full, true};
            const KernelLayout layout = kernel_layout(options, c.samples);
            const HostMatrix<Real> rows = sampled(make_backend<Real>(device), options, x, 1, 4);
            const HostMatrix<Real> wanted = sampled(make_backend<Real>("cpu"), options, x, 1, 4);
            // The conditional sampler works in float64, where pivots of a factorisation down to 1e-4 divide, and rounds to Real at the end.
            const Index depth = c.architecture.depth();
            const double rounding = sampler == Sampler::weights ? 4 * tolerance<Real>(40 * depth)
                                                                : 1e4 * tolerance<double>(40 * depth) + tolerance<Real>(depth);
            for (Index r = 0; r < rows.rows(); ++r) {
                const auto is_nngp = [&](Index e) { return e >= layout.tangent && e < layout.tangent + layout.nngp; };
                double sizes[] = {0, 0};
                for (Index e = 0; e < rows.cols(); ++e)
                    sizes[is_nngp(e)] = std::max(sizes[is_nngp(e)], std::fabs(static_cast<double>(wanted(r, e))));
                for (Index e = 0; e < rows.cols(); ++e) ASSERT_NEAR(rows(r, e), wanted(r, e), rounding * sizes[is_nngp(e)]) << e;
            }
        }
}
TEST_P(KernelSamplers, AgreeWithTheCpuFloat64) { check_agreement<double>(GetParam()); }
TEST_P(KernelSamplers, AgreeWithTheCpuFloat32) { check_agreement<float>(GetParam()); }

/// trace and diag are made of the entries of full, on one path; Theta is the sum of the terms of the layers.
TEST_P(KernelSamplers, BlocksAndLayersAreThoseOfTheFullKernel) {
    const auto backend = make_backend<double>(GetParam());
    for (const Sampler sampler : samplers)
        for (const Case& c : cases()) {
            SCOPED_TRACE(c.name);
            const Index n = c.samples, outputs = c.architecture.outputs, count = 3;
            const HostMatrix<double> x = random_matrix(n, c.architecture.inputs);
            const auto rows_of = [&](Block block) { return sampled(backend, {c.architecture, sampler, 5, block, true}, x, 2, count); };
            const HostMatrix<double> full = rows_of(Block::full), trace = rows_of(Block::trace), diag = rows_of(Block::diag);
            const auto layout_of = [&](Block block) { return kernel_layout({c.architecture, sampler, 5, block, true}, n); };
            for (Index r = 0; r < count; ++r)
                for (Index l = 0; l <= c.architecture.depth(); ++l) {  // 0: Theta
                    const auto start = [&](Block block) { return l == 0 ? 0 : layout_of(block).nngp + l * layout_of(block).tangent; };
                    const auto entry = [&](Index i, Index o, Index j, Index p) {
                        const Index row = i * outputs + o, col = j * outputs + p;
                        return full(r, start(Block::full) + row * (row + 1) / 2 + col);
                    };
                    double size = 0;
                    for (Index e = 0; e < layout_of(Block::full).tangent; ++e) size = std::max(size, std::fabs(full(r, e)));
                    const double rounding = size * tolerance<double>(40 * c.architecture.depth());
                    for (Index i = 0; i < n; ++i) {
                        for (Index o = 0; o < outputs; ++o)
                            ASSERT_NEAR(diag(r, start(Block::diag) + i * outputs + o), entry(i, o, i, o), rounding);
                        for (Index j = 0; j <= i; ++j) {
                            double mean = 0;
                            for (Index o = 0; o < outputs; ++o) mean += entry(i, o, j, o) / static_cast<double>(outputs);
                            ASSERT_NEAR(trace(r, start(Block::trace) + i * (i + 1) / 2 + j), mean, rounding);
                        }
                    }
                    if (l > 0) continue;
                    for (Index e = 0; e < layout_of(Block::full).tangent; ++e) {
                        double sum = 0;
                        for (Index k = 1; k <= c.architecture.depth(); ++k)
                            sum += full(r, layout_of(Block::full).nngp + k * layout_of(Block::full).tangent + e);
                        ASSERT_NEAR(full(r, e), sum, rounding);
                    }
                }
        }
}

// --- the law ---------------------------------------------------------------------------------------------------------------------------

struct Statistic {
    double mean = 0, error = 0;
};

/// Mean of f over rows and its standard error.
template <class F>
Statistic average(const HostMatrix<double>& rows, const F& f) {
    double sum = 0, squares = 0;
    for (Index r = 0; r < rows.rows(); ++r) sum += f(rows.data() + r * rows.cols());
    const auto count = static_cast<double>(rows.rows());
    const double mean = sum / count;
    for (Index r = 0; r < rows.rows(); ++r) {
        const double rest = f(rows.data() + r * rows.cols()) - mean;
        squares += rest * rest;
    }
    return {mean, std::sqrt(squares / count / (count - 1))};
}

void expect_exact(const Statistic& got, double exact, const char* what) {
    EXPECT_LT(std::fabs(got.mean - exact), 4 * got.error) << what << ": " << got.mean << " +- " << got.error << ", exactly " << exact;
}

TEST_P(KernelSamplers, DiagonalHasTheExactMoments) {
    const auto backend = make_backend<double>(GetParam());
    const std::vector<Architecture> settings{architecture(2, {20, 20, 20}, 1), architecture(3, {40, 15, 25}, 2),
                                             architecture(5, {30, 60, 30, 60, 50}, 1)};
    for (const Sampler sampler : samplers)
        for (const Architecture& a : settings) {
            SCOPED_TRACE("outputs " + std::to_string(a.outputs) + ", sampler " + std::to_string(static_cast<int>(sampler)));
            const HostMatrix<double> x = random_matrix(2, a.inputs);
            const KernelSamplerOptions options{a, sampler, 3};
            const HostMatrix<double> rows = sampled(backend, options, x, 0, GetParam() == "cpu" ? 40000 : 400);
            const DiagonalMoments exact = diagonal_moments(a);
            for (Index i = 0; i < 2; ++i) {
                double norm = 0;
                for (Index k = 0; k < a.inputs; ++k) norm += x(i, k) * x(i, k);
                const double mean = diagonal_mean(a, norm);
                const auto column = [&](Index o, Index p) {
                    const Index row = i * a.outputs + o;
                    return row * (row + 1) / 2 + i * a.outputs + p;
                };
                const Index last = a.outputs - 1;
                expect_exact(average(rows, [&](const double* row) { return row[column(0, 0)] / mean; }), 1, "mean");
                expect_exact(average(rows, [&](const double* row) { return std::pow(row[column(last, last)] / mean, 2); }),
                             1 + exact.covariance + 2 * exact.mixed, "E Theta_oo^2");
                if (last == 0) continue;
                expect_exact(average(rows, [&](const double* row) { return row[column(0, 0)] * row[column(1, 1)] / (mean * mean); }),
                             1 + exact.covariance, "E Theta_oo Theta_pp");
                expect_exact(average(rows, [&](const double* row) { return std::pow(row[column(1, 0)] / mean, 2); }), exact.mixed,
                             "E Theta_op^2");
            }
        }
}

/// Kolmogorov-Smirnov distance of two columns of as many values, times sqrt(count / 2): above 2.23 with a probability of 1e-4.
double kolmogorov_smirnov(const HostMatrix<double>& a, const HostMatrix<double>& b, Index column) {
    std::vector<double> x, y;
    for (Index r = 0; r < a.rows(); ++r) {
        x.push_back(a(r, column));
        y.push_back(b(r, column));
    }
    std::sort(x.begin(), x.end());
    std::sort(y.begin(), y.end());
    double distance = 0;
    for (std::size_t i = 0, j = 0; i < x.size() && j < y.size();) {
        const double at = std::min(x[i], y[j]);
        while (i < x.size() && x[i] <= at) ++i;
        while (j < y.size() && y[j] <= at) ++j;
        distance = std::max(distance, std::fabs(static_cast<double>(i) - static_cast<double>(j)));
    }
    return distance / std::sqrt(2 * static_cast<double>(a.rows()));
}

/// Both samplers have one law: every entry by its distribution, and the means of products of entries.
void expect_one_law(const Architecture& a, const HostMatrix<double>& x) {
    const auto backend = make_backend<double>("cpu");
    const Index count = 20000;
    const HostMatrix<double> weights = sampled(backend, {a, Sampler::weights, 11, Block::full, true}, x, 0, count);
    const HostMatrix<double> conditional = sampled(backend, {a, Sampler::conditional, 12, Block::full, true}, x, 0, count);
    for (Index e = 0; e < weights.cols(); ++e) {
        EXPECT_LT(kolmogorov_smirnov(weights, conditional, e), 2.23) << "column " << e;
        const Index other = (e * 7 + 3) % weights.cols();
        const auto product = [&](const double* row) { return row[e] * row[other]; };
        const Statistic one = average(weights, product), two = average(conditional, product);
        EXPECT_LT(std::fabs(one.mean - two.mean), 4.5 * std::hypot(one.error, two.error) + 1e-12) << "columns " << e << ", " << other;
    }
}

TEST(Law, ReluWithTwoOutputs) { expect_one_law(architecture(2, {9, 14, 8}, 2), random_matrix(3, 2)); }
TEST(Law, MoreFeaturesThanSamples) { expect_one_law(architecture(6, {12, 12}, 1), random_matrix(3, 6)); }
TEST(Law, FewerUnitsThanSamples) { expect_one_law(architecture(3, {4, 20, 3, 7}, 1), random_matrix(5, 3)); }
TEST(Law, DependentSamples) { expect_one_law(architecture(9, {8, 9, 10}, 1), dependent_samples(9)); }
TEST(Law, BiasesInTheNtkParametrization) {
    Architecture a = architecture(3, {8, 10, 9}, 2);
    a.biases = Biases::trained;
    a.bias_std = 0.7;
    expect_one_law(a, random_matrix(2, 3));
}
TEST(Law, ErfWithBiasesInTheStandardParametrization) {
    Architecture a = architecture(4, {8, 10, 9}, 1);
    a.activation = parse_activation("erf");
    a.biases = Biases::fixed;
    a.bias_std = 0.5;
    a.weight_std = 1.3;
    a.parametrization = Parametrization::standard;
    expect_one_law(a, random_matrix(3, 4));
}

/// Each instruction set, with lanes of its own, gives the same bits.
template <class Real>
void check_variants() {
    for (const Sampler sampler : {Sampler::weights, Sampler::conditional})
        for (const Case& c : cases()) {
            const KernelSamplerOptions options{c.architecture, sampler, 5, Block::full, true};
            const SamplerTask<Real> task(options, kernel_layout(options, c.samples), random_matrix(c.samples, c.architecture.inputs));
            std::vector<std::vector<Real>> numbers;
            for (const LaneSampler<Real>& variant : lane_sampler_variants<Real>()) {
                LaneWorkspace<Real> workspace(task, variant.lanes);
                std::vector<Real> first;
                for (std::uint32_t network = 0; network < 16; network += static_cast<std::uint32_t>(variant.lanes)) {
                    variant.run(task, network, workspace);
                    for (int lane = 0; lane < variant.lanes; ++lane)
                        for (Index e = 0; e < task.layout.columns(); ++e)
                            first.push_back(workspace.small.kernels[e * variant.lanes + lane]);
                }
                numbers.push_back(first);
                EXPECT_EQ(std::memcmp(numbers.front().data(), first.data(), first.size() * sizeof(Real)), 0) << c.name;
            }
        }
}
TEST(LaneSamplers, EveryInstructionSetGivesTheSameBits) {
    check_variants<double>();
    check_variants<float>();
}

TEST(UnitSamplers, GiveWhatLanesGive) {
    for (const Block block : {Block::full, Block::trace, Block::diag})
        for (const Case& c : cases()) {
            SCOPED_TRACE(c.name);
            const KernelSamplerOptions options{c.architecture, Sampler::conditional, 5, block, true};
            const SamplerTask<double> task(options, kernel_layout(options, c.samples), random_matrix(c.samples, c.architecture.inputs));
            const LaneSampler<double>& lanes = lane_sampler_variants<double>().front();
            LaneWorkspace<double> group(task, lanes.lanes);
            UnitWorkspace workspace(task);
            lanes.run(task, 3, group);
            std::vector<double> first;
            for (const UnitSampler run : unit_sampler_variants()) {
                run(task, 3, workspace);
                const std::vector<double> numbers(workspace.small.kernels, workspace.small.kernels + task.layout.columns());
                if (first.empty()) first = numbers;
                EXPECT_EQ(numbers, first) << "another instruction set";
                for (std::size_t e = 0; e < numbers.size(); ++e)
                    ASSERT_NEAR(numbers[e], group.small.kernels[e * static_cast<std::size_t>(lanes.lanes)],
                                1e-9 * (1 + std::fabs(numbers[e])))
                        << "column " << e;
            }
        }
}

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

// The path of the conditional sampler, number by number, against its definition (kernel_sampler.hpp) in extended precision. That its law
// is that of the weights sampler is tested elsewhere.

#include "support/devices.hpp"
#include "support/samples.hpp"
#include "support/tolerance.hpp"

#include <ntkcuda/backend.hpp>
#include <ntkcuda/formulas/activation.hpp>
#include <ntkcuda/kernel_sampler.hpp>

#include <gtest/gtest.h>

#include <cmath>

namespace ntk {
namespace {

using testing::random_matrix;
using testing::tolerance;

using Number = long double;
using Table = HostMatrix<Number>;

Table product(const Table& a, const Table& b, Number scale = 1) {
    Table c(a.rows(), b.cols());
    for (Index i = 0; i < a.rows(); ++i)
        for (Index k = 0; k < a.cols(); ++k)
            for (Index j = 0; j < b.cols(); ++j) c(i, j) += scale * a(i, k) * b(k, j);
    return c;
}

Table transposed(const Table& a) {
    Table t(a.cols(), a.rows());
    for (Index i = 0; i < a.rows(); ++i)
        for (Index j = 0; j < a.cols(); ++j) t(j, i) = a(i, j);
    return t;
}

Table sum(Table a, const Table& b, Number scale = 1) {
    for (Index e = 0; e < a.size(); ++e) a.data()[e] += scale * b.data()[e];
    return a;
}

/// a, with one more column.
Table beside(const Table& a, const Table& column) {
    Table both(a.rows(), a.cols() + 1);
    for (Index i = 0; i < a.rows(); ++i) {
        for (Index j = 0; j < a.cols(); ++j) both(i, j) = a(i, j);
        both(i, a.cols()) = column.data()[i];
    }
    return both;
}

Table first_columns(const Table& a, Index count) {
    Table part(a.rows(), count);
    for (Index i = 0; i < a.rows(); ++i)
        for (Index j = 0; j < count; ++j) part(i, j) = a(i, j);
    return part;
}

/// Network `index` of the conditional sampler, by the definition.
class Definition {
public:
    Definition(const KernelSamplerOptions& options, std::uint32_t index, const HostMatrix<double>& x)
        : options_(options), index_(index), outputs_(architecture().outputs), samples_(x.rows()) {
        activations_.push_back(x.cast<Number>());
        for (Index l = 1; l < architecture().depth(); ++l) forward(l);
        weights_ = normals(weight_stream(architecture().depth()), outputs_, activations_.back().cols());
    }

    /// The row of the network, in the order of KernelLayout; all terms.
    std::vector<Number> row() {
        const Index depth = architecture().depth(), n = samples_;
        std::vector<std::vector<Number>> terms(static_cast<std::size_t>(depth));
        Table delta(n * outputs_, outputs_);
        for (Index r = 0; r < delta.rows(); ++r) delta(r, r % outputs_) = 1;
        for (Index l = depth; l >= 1; --l) {
            terms[static_cast<std::size_t>(l - 1)] = term(l, delta);
            if (l > 1) delta = backward(l, delta);
        }
        std::vector<Number> row(terms[0].size());
        for (const auto& t : terms)
            for (std::size_t e = 0; e < row.size(); ++e) row[e] += t[e];
        const Table gram = product(activations_.back(), transposed(activations_.back()));
        const Number scale = factor(depth) * factor(depth), shift = architecture().bias_std * architecture().bias_std;
        for (Index i = 0; i < n; ++i)
            for (Index j = 0; j <= i; ++j) row.push_back(scale * gram(i, j) + shift);
        for (const auto& t : terms) row.insert(row.end(), t.begin(), t.end());
        return row;
    }

    /// The smallest pivot relative to its diagonal entry, of rows that were taken as independent.
    double smallest_pivot() const { return static_cast<double>(smallest_pivot_); }

private:
    const Architecture& architecture() const { return options_.architecture; }
    Number factor(Index l) const { return architecture().weight_std / std::sqrt(static_cast<Number>(architecture().width(l - 1))); }
    bool conditional(Index l) const { return architecture().width(l - 1) > samples_; }
    Table normals(std::uint32_t stream, Index rows, Index cols) const {
        return host_normals({options_.seed, index_, stream}, rows, cols).cast<Number>();
    }

    Table cholesky(const Table& gram) {
        const Index n = gram.rows();
        Table c(n, n);
        for (Index j = 0; j < n; ++j) {
            Number pivot = gram(j, j);
            for (Index m = 0; m < j; ++m) pivot -= c(j, m) * c(j, m);
            if (pivot <= conditional_pivot_tolerance * static_cast<Number>(n) * gram(j, j)) continue;
            smallest_pivot_ = std::min(smallest_pivot_, pivot / gram(j, j));
            for (Index i = j; i < n; ++i) {
                c(i, j) = gram(i, j);
                for (Index m = 0; m < j; ++m) c(i, j) -= c(i, m) * c(j, m);
                c(i, j) /= std::sqrt(pivot);
            }
        }
        return c;
    }

    /// a^{l-1} with the column of the biases.
    Table with_biases(Index l) const {
        const Table& a = activations_[static_cast<std::size_t>(l - 1)];
        if (architecture().biases == Biases::none) return a;
        Table column(a.rows(), 1);
        std::fill_n(column.data(), column.size(), architecture().bias_std / factor(l));
        return beside(a, column);
    }

    void forward(Index l) {
        const Index units = architecture().width(l);
        const Table& a = activations_.back();
        Table z;
        if (conditional(l)) {
            const Table all = with_biases(l);
            z = product(cholesky(product(all, transposed(all))), normals(forward_stream(l), samples_, units), factor(l));
        } else {
            z = product(a, transposed(normals(weight_stream(l), units, a.cols())), factor(l));
            const Table bias = normals(bias_stream(l), 1, units);
            for (Index i = 0; i < z.rows(); ++i)
                for (Index j = 0; j < units; ++j) z(i, j) += architecture().bias_std * bias(0, j);
        }
        const auto [kind, slope] = architecture().activation;
        Table phi = z;
        for (Index e = 0; e < z.size(); ++e) {
            const double at = static_cast<double>(z.data()[e]);
            phi.data()[e] = formulas::activation(kind, slope, at);
            z.data()[e] = formulas::activation_slope(kind, slope, at);
        }
        activations_.push_back(phi);
        slopes_.push_back(z);
    }

    /// delta^{l-1} from delta^l; at the output layer delta is the identity.
    Table backward(Index l, const Table& delta) {
        const Table& a = activations_[static_cast<std::size_t>(l - 1)];
        Table below;
        if (l == architecture().depth()) {
            below = product(delta, weights_, factor(l));
        } else if (conditional(l)) {
            below = conditional_step(l, delta);
        } else {
            below = product(delta, normals(weight_stream(l), delta.cols(), a.cols()), factor(l));
        }
        const Table& slope = slopes_[static_cast<std::size_t>(l - 2)];
        for (Index r = 0; r < below.rows(); ++r)
            for (Index j = 0; j < below.cols(); ++j) below(r, j) *= slope(r / outputs_, j);
        return below;
    }

    Table conditional_step(Index l, const Table& delta) {
        const Table a = with_biases(l), c = cholesky(product(a, transposed(a))), d = cholesky(product(delta, transposed(delta)));
        const Index inputs = architecture().width(l - 1);
        Table q = a;
        for (Index i = 0; i < q.rows(); ++i)
            for (Index k = 0; k < q.cols(); ++k) {
                for (Index m = 0; m < i; ++m) q(i, k) -= c(i, m) * q(m, k);
                q(i, k) = c(i, i) == 0 ? 0 : q(i, k) / c(i, i);
            }
        Table m = normals(backward_stream(l), delta.rows(), inputs);
        if (a.cols() > inputs) m = beside(m, normals(backward_bias_stream(l), 1, delta.rows()));
        const Table g = normals(forward_stream(l), samples_, architecture().width(l));
        const Table known = sum(product(delta, transposed(g)), product(d, product(m, transposed(q))), -1);
        const Table both = sum(product(known, q), product(d, m));
        Table below = first_columns(both, inputs);
        for (Index e = 0; e < below.size(); ++e) below.data()[e] *= factor(l);
        return below;
    }

    std::vector<Number> term(Index l, const Table& delta) const {
        const Table& a = activations_[static_cast<std::size_t>(l - 1)];
        const Table samples = product(a, transposed(a)), deltas = product(delta, transposed(delta));
        const Number scale = architecture().weight_gradient_variance(l), shift = architecture().bias_gradient_variance();
        const auto entry = [&](Index r, Index c) { return (scale * samples(r / outputs_, c / outputs_) + shift) * deltas(r, c); };
        std::vector<Number> entries;
        const bool trace = options_.block == Block::trace;
        const Index rows = trace ? samples_ : samples_ * outputs_;
        for (Index i = 0; i < rows; ++i)
            for (Index j = options_.block == Block::diag ? i : 0; j <= i; ++j) {
                Number value = 0;
                if (!trace) value = entry(i, j);
                for (Index o = 0; trace && o < outputs_; ++o)
                    value += entry(i * outputs_ + o, j * outputs_ + o) / static_cast<Number>(outputs_);
                entries.push_back(value);
            }
        return entries;
    }

    KernelSamplerOptions options_;
    std::uint32_t index_;
    Index outputs_, samples_;
    Table weights_;
    std::vector<Table> activations_, slopes_;
    Number smallest_pivot_ = 1;
};

struct Case {
    const char* name;
    Architecture architecture;
    Index samples;
};

Architecture network(Index inputs, std::vector<Index> hidden, Index outputs) {
    Architecture a;
    a.inputs = inputs;
    a.hidden = std::move(hidden);
    a.outputs = outputs;
    return a;
}

std::vector<Case> cases() {
    std::vector<Case> list{
        {"one sample", network(3, {5, 33, 2}, 1), 1},
        {"outputs", network(2, {9, 33, 14}, 3), 2},
        {"deep, some layers narrow", network(7, {12, 5, 4, 11, 8}, 1), 5},
        {"linear", network(4, {}, 2), 3},
    };
    Case trained{"trained biases, erf", network(3, {10, 12, 9}, 2), 4};
    trained.architecture.activation = parse_activation("erf");
    trained.architecture.biases = Biases::trained;
    trained.architecture.bias_std = 0.4;
    list.push_back(trained);
    Case standard{"standard, leaky", network(9, {8, 10, 7}, 1), 3};
    standard.architecture.activation = parse_activation("leaky_relu:0.2");
    standard.architecture.biases = Biases::fixed;
    standard.architecture.bias_std = 0.2;
    standard.architecture.parametrization = Parametrization::standard;
    list.push_back(standard);
    return list;
}

/// Every number of networks first .. first + 4 within its rounding error, relative to the largest of its kind.
template <class Real>
void expect_definition(const std::shared_ptr<Backend<Real>>& backend, const KernelSamplerOptions& options, const HostMatrix<double>& x) {
    const std::uint32_t first = 6;
    const auto sampler = backend->kernel_sampler(options, upload(backend, x).view());
    const KernelLayout layout = sampler->layout();
    Matrix<Real> out(backend, 4, layout.columns());
    sampler->sample(first, out.view());
    const HostMatrix<Real> rows = download(out);
    const HostMatrix<double> given = x.cast<Real>().template cast<double>();
    for (Index r = 0; r < rows.rows(); ++r) {
        Definition definition(options, first + static_cast<std::uint32_t>(r), given);
        const std::vector<Number> wanted = definition.row();
        Number theta = 0, nngp = 0;
        for (Index e = 0; e < layout.tangent + layout.nngp; ++e)
            (e < layout.tangent ? theta : nngp) =
                std::max(e < layout.tangent ? theta : nngp, std::fabs(wanted[static_cast<std::size_t>(e)]));
        const Index terms = 40 * options.architecture.depth();
        // Float64 inside, where a pivot p of a factorisation divides; then each term is rounded to Real.
        const double rounding = tolerance<double>(terms) / definition.smallest_pivot() + tolerance<Real>(options.architecture.depth());
        for (Index e = 0; e < rows.cols(); ++e) {
            const bool is_nngp = e >= layout.tangent && e < layout.tangent + layout.nngp;
            ASSERT_NEAR(static_cast<double>(rows(r, e)), static_cast<double>(wanted[static_cast<std::size_t>(e)]),
                        rounding * static_cast<double>(is_nngp ? nngp : theta))
                << "network " << r << ", number " << e << " of " << rows.cols();
        }
    }
}

class ConditionalSampler : public ::testing::TestWithParam<std::string> {};

template <class Real>
void check_path(const std::string& device) {
    const auto backend = make_backend<Real>(device);
    for (const Case& c : cases())
        for (const Block block : {Block::full, Block::trace, Block::diag}) {
            SCOPED_TRACE(c.name + std::string(", block ") + std::to_string(static_cast<int>(block)));
            expect_definition(backend, {c.architecture, Sampler::conditional, 5, block, true},
                              random_matrix(c.samples, c.architecture.inputs));
        }
}
TEST_P(ConditionalSampler, FollowsThePathFloat64) { check_path<double>(GetParam()); }
TEST_P(ConditionalSampler, FollowsThePathFloat32) { check_path<float>(GetParam()); }

/// Equal, opposite and zero samples: the Gram matrices have no inverse.
TEST_P(ConditionalSampler, DependentSamples) {
    HostMatrix<double> x = random_matrix(5, 8);
    for (Index j = 0; j < 8; ++j) {
        x(2, j) = x(0, j);
        x(3, j) = 0;
        x(4, j) = 2 * x(1, j);
    }
    const auto backend = make_backend<double>(GetParam());
    expect_definition(backend, {network(8, {11, 9, 10}, 2), Sampler::conditional, 5, Block::full, true}, x);
}

template <class Real>
void check_splits(const std::string& device) {
    const auto backend = make_backend<Real>(device);
    const KernelSamplerOptions options{network(3, {7, 17, 5}, 3), Sampler::conditional, 5, Block::full, true};
    const auto sampler = backend->kernel_sampler(options, upload(backend, random_matrix(4, 3)).view());
    const auto sampled = [&](std::uint32_t first, Index count) {
        Matrix<Real> out(backend, count, sampler->layout().columns());
        sampler->sample(first, out.view());
        return download(out);
    };
    const HostMatrix<Real> all = sampled(0, 20);
    for (const auto& [first, count] : {std::pair<std::uint32_t, Index>{0, 1}, {13, 1}, {5, 8}, {13, 7}}) {
        const HostMatrix<Real> part = sampled(first, count);
        for (Index r = 0; r < count; ++r)
            for (Index e = 0; e < all.cols(); ++e) ASSERT_EQ(part(r, e), all(first + r, e)) << first << " + " << r << ", " << e;
    }
}
TEST_P(ConditionalSampler, RowsDependOnTheirNetworkAloneFloat64) { check_splits<double>(GetParam()); }
TEST_P(ConditionalSampler, RowsDependOnTheirNetworkAloneFloat32) { check_splits<float>(GetParam()); }

/// The devices that have this sampler.
std::vector<std::string> with_conditional_sampler() {
    std::vector<std::string> ids = testing::device_ids();
    std::erase(ids, "cpu");
    return ids;
}
INSTANTIATE_TEST_SUITE_P(Devices, ConditionalSampler, ::testing::ValuesIn(with_conditional_sampler()));
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ConditionalSampler);

}  // namespace
}  // namespace ntk

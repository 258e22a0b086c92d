#include "oracle.hpp"

#include "samples.hpp"

#include <cmath>

namespace ntk::testing {
namespace {

double phi(const Activation& activation, double z) {
    if (activation.kind == Activation::Kind::erf) return std::erf(z);
    if (activation.kind == Activation::Kind::abs) return std::fabs(z);
    return z > 0 ? z : activation.slope * z;
}

}  // namespace

Weights random_weights(const Architecture& architecture, std::uint32_t which) {
    Weights weights;
    for (Index l = 1; l <= architecture.depth(); ++l) {
        weights.weights.push_back(
            random_matrix(architecture.width(l), architecture.width(l - 1), which + 1000 + static_cast<std::uint32_t>(l)));
        if (architecture.biases != Biases::none)
            weights.biases.push_back(random_matrix(1, architecture.width(l), which + 2000 + static_cast<std::uint32_t>(l)));
    }
    return weights;
}

std::vector<double> oracle_output(const Architecture& architecture, const Weights& weights, const double* x, double* smallest) {
    const bool scaled = architecture.parametrization == Parametrization::ntk;
    std::vector<double> a(x, x + architecture.inputs);
    for (Index l = 1; l <= architecture.depth(); ++l) {
        const auto& w = weights.weights[static_cast<std::size_t>(l - 1)];
        std::vector<double> z(static_cast<std::size_t>(w.rows()));
        for (Index i = 0; i < w.rows(); ++i) {
            double sum = 0;
            for (Index j = 0; j < w.cols(); ++j) sum += w(i, j) * a[static_cast<std::size_t>(j)];
            if (scaled) sum *= architecture.weight_std / std::sqrt(static_cast<double>(w.cols()));
            if (!weights.biases.empty())
                sum += (scaled ? architecture.bias_std : 1) * weights.biases[static_cast<std::size_t>(l - 1)](0, i);
            if (smallest && l < architecture.depth()) *smallest = std::min(*smallest, std::fabs(sum));
            z[static_cast<std::size_t>(i)] = l < architecture.depth() ? phi(architecture.activation, sum) : sum;
        }
        a = z;
    }
    return a;
}

HostMatrix<double> oracle_jacobian(const Architecture& architecture, Weights weights, const HostMatrix<double>& x) {
    constexpr double h = 2e-4;
    const Index outputs = architecture.outputs;
    HostMatrix<double> j(x.rows() * outputs, architecture.parameters());
    Index column = 0;
    const auto differentiate = [&](HostMatrix<double>& parameters) {
        for (Index e = 0; e < parameters.size(); ++e, ++column) {
            const double centre = parameters.data()[e];
            for (const auto& [step, weight] : {std::pair{-2, 1.0}, {-1, -8.0}, {1, 8.0}, {2, -1.0}}) {
                parameters.data()[e] = centre + step * h;
                for (Index i = 0; i < x.rows(); ++i) {
                    const std::vector<double> f = oracle_output(architecture, weights, x.data() + i * x.cols());
                    for (Index o = 0; o < outputs; ++o) j(i * outputs + o, column) += weight * f[static_cast<std::size_t>(o)] / (12 * h);
                }
            }
            parameters.data()[e] = centre;
        }
    };
    for (std::size_t l = 0; l < weights.weights.size(); ++l) {
        differentiate(weights.weights[l]);
        if (architecture.biases == Biases::trained) differentiate(weights.biases[l]);
    }
    return j;
}

HostMatrix<double> oracle_gram(const HostMatrix<double>& j1, const HostMatrix<double>& j2) {
    HostMatrix<double> gram(j1.rows(), j2.rows());
    for (Index i = 0; i < j1.rows(); ++i)
        for (Index k = 0; k < j2.rows(); ++k)
            for (Index p = 0; p < j1.cols(); ++p) gram(i, k) += j1(i, p) * j2(k, p);
    return gram;
}

HostMatrix<double> mean_over_outputs(const HostMatrix<double>& full, Index outputs) {
    HostMatrix<double> mean(full.rows() / outputs, full.cols() / outputs);
    for (Index i = 0; i < mean.rows(); ++i)
        for (Index j = 0; j < mean.cols(); ++j)
            for (Index o = 0; o < outputs; ++o) mean(i, j) += full(i * outputs + o, j * outputs + o) / static_cast<double>(outputs);
    return mean;
}

HostMatrix<double> diagonal_of(const HostMatrix<double>& full, Index outputs) {
    HostMatrix<double> diagonal(full.rows() / outputs, outputs);
    for (Index i = 0; i < full.rows(); ++i) diagonal(i / outputs, i % outputs) = full(i, i);
    return diagonal;
}

}  // namespace ntk::testing

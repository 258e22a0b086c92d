#include <ntkcuda/network.hpp>

#include <ntkcuda/backend.hpp>

#include <fmt/format.h>

#include <cmath>

namespace ntk {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorCode::invalid_argument, message); }
[[noreturn]] void mismatch(const std::string& message) { throw Error(ErrorCode::shape_mismatch, message); }

/// What multiplies the normals, or omega and beta, to give the effective matrices.
double weight_factor(const Architecture& architecture, Index layer) {
    return architecture.weight_std / std::sqrt(static_cast<double>(architecture.width(layer - 1)));
}

void require_shape(const HostMatrix<double>& values, const char* name, Index layer, Index rows, Index cols) {
    if (values.rows() != rows || values.cols() != cols)
        mismatch(fmt::format("{}{} is {} x {}: the network needs {} x {}", name, layer, values.rows(), values.cols(), rows, cols));
    for (Index e = 0; e < values.size(); ++e)
        if (!std::isfinite(values.data()[e]))
            refuse(fmt::format("{}{}: entry ({}, {}) is not a finite number", name, layer, e / values.cols(), e % values.cols()));
}

/// values * factor in float64, then rounded once to Real.
template <class Real>
Matrix<Real> upload_scaled(const std::shared_ptr<Backend<Real>>& backend, const HostMatrix<double>& values, double factor) {
    if (factor == 1) return upload(backend, values);
    HostMatrix<double> scaled = values;
    for (Index e = 0; e < scaled.size(); ++e) scaled.data()[e] *= factor;
    return upload(backend, scaled);
}

}  // namespace

template <class Real>
Network<Real> draw_network(const std::shared_ptr<Backend<Real>>& backend, const Architecture& architecture, std::uint64_t seed,
                           std::uint32_t index) {
    architecture.validate();
    Network<Real> network{architecture, {}, {}};
    for (Index l = 1; l <= architecture.depth(); ++l) {
        network.weight.emplace_back(backend, architecture.width(l), architecture.width(l - 1));
        backend->draw_normals({seed, index, weight_stream(l)}, weight_factor(architecture, l), network.weight.back().view());
        if (architecture.biases == Biases::none) continue;
        network.bias.emplace_back(backend, 1, architecture.width(l));
        backend->draw_normals({seed, index, bias_stream(l)}, architecture.bias_std, network.bias.back().view());
    }
    return network;
}

Weights draw_weights(const Architecture& architecture, std::uint64_t seed, std::uint32_t index) {
    architecture.validate();
    const bool scaled = architecture.parametrization == Parametrization::standard;
    const auto draw = [&](std::uint32_t stream, Index rows, Index cols, double factor) {
        HostMatrix<double> values = host_normals({seed, index, stream}, rows, cols);
        for (Index e = 0; scaled && e < values.size(); ++e) values.data()[e] *= factor;
        return values;
    };
    Weights weights;
    for (Index l = 1; l <= architecture.depth(); ++l) {
        weights.weights.push_back(draw(weight_stream(l), architecture.width(l), architecture.width(l - 1), weight_factor(architecture, l)));
        if (architecture.biases != Biases::none)
            weights.biases.push_back(draw(bias_stream(l), 1, architecture.width(l), architecture.bias_std));
    }
    return weights;
}

template <class Real>
Network<Real> make_network(const std::shared_ptr<Backend<Real>>& backend, const Architecture& architecture, const Weights& weights) {
    architecture.validate();
    const auto depth = static_cast<std::size_t>(architecture.depth());
    const std::size_t bias_count = architecture.biases == Biases::none ? 0 : depth;
    if (weights.weights.size() != depth)
        mismatch(fmt::format("{} weight matrices were given for a network of depth {}", weights.weights.size(), depth));
    if (weights.biases.size() != bias_count)
        mismatch(fmt::format("{} bias vectors were given: the network needs {}", weights.biases.size(), bias_count));
    const bool scaled = architecture.parametrization == Parametrization::ntk;
    Network<Real> network{architecture, {}, {}};
    for (Index l = 1; l <= architecture.depth(); ++l) {
        const auto& weight = weights.weights[static_cast<std::size_t>(l - 1)];
        require_shape(weight, "W", l, architecture.width(l), architecture.width(l - 1));
        network.weight.push_back(upload_scaled(backend, weight, scaled ? weight_factor(architecture, l) : 1));
        if (bias_count == 0) continue;
        const auto& bias = weights.biases[static_cast<std::size_t>(l - 1)];
        require_shape(bias, "b", l, 1, architecture.width(l));
        network.bias.push_back(upload_scaled(backend, bias, scaled ? architecture.bias_std : 1));
    }
    return network;
}

template Network<float> draw_network(const std::shared_ptr<Backend<float>>&, const Architecture&, std::uint64_t, std::uint32_t);
template Network<double> draw_network(const std::shared_ptr<Backend<double>>&, const Architecture&, std::uint64_t, std::uint32_t);
template Network<float> make_network(const std::shared_ptr<Backend<float>>&, const Architecture&, const Weights&);
template Network<double> make_network(const std::shared_ptr<Backend<double>>&, const Architecture&, const Weights&);

}  // namespace ntk

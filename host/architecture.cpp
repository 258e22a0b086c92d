#include <ntkcuda/network.hpp>

#include <fmt/format.h>

#include <cmath>

namespace ntk {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorCode::invalid_argument, message); }

}  // namespace

Index Architecture::width(Index layer) const {
    if (layer == 0) return inputs;
    return layer == depth() ? outputs : hidden.at(static_cast<std::size_t>(layer - 1));
}

Index Architecture::parameters() const {
    Index count = 0;
    for (Index l = 1; l <= depth(); ++l) count += width(l) * (width(l - 1) + (biases == Biases::trained ? 1 : 0));
    return count;
}

double Architecture::weight_gradient_variance(Index layer) const {
    return parametrization == Parametrization::standard ? 1 : weight_std * weight_std / static_cast<double>(width(layer - 1));
}

double Architecture::bias_gradient_variance() const {
    if (biases != Biases::trained) return 0;
    return parametrization == Parametrization::standard ? 1 : bias_std * bias_std;
}

void Architecture::validate() const {
    if (inputs < 1) refuse(fmt::format("inputs must be at least 1, not {}", inputs));
    if (outputs < 1) refuse(fmt::format("outputs must be at least 1, not {}", outputs));
    for (std::size_t l = 0; l < hidden.size(); ++l)
        if (hidden[l] < 1) refuse(fmt::format("the width of hidden layer {} must be at least 1, not {}", l + 1, hidden[l]));
    if (!(weight_std > 0) || !std::isfinite(weight_std)) refuse(fmt::format("weight_std must be positive and finite, not {}", weight_std));
    if (!(bias_std >= 0) || !std::isfinite(bias_std)) refuse(fmt::format("bias_std must be 0 or more and finite, not {}", bias_std));
    if (biases == Biases::none && bias_std != 0)
        refuse(fmt::format("bias_std is {} and the network has no biases: choose fixed or trained biases, or bias_std 0", bias_std));
    if (!std::isfinite(activation.slope)) refuse(fmt::format("the slope of the activation must be finite, not {}", activation.slope));
}

Architecture architecture_of(const Weights& weights, const Architecture& like) {
    if (weights.weights.empty()) throw Error(ErrorCode::shape_mismatch, "the weights hold no layer: expected W1, W2, ..");
    Architecture architecture = like;
    architecture.inputs = weights.weights.front().cols();
    architecture.outputs = weights.weights.back().rows();
    architecture.hidden.clear();
    for (std::size_t l = 0; l + 1 < weights.weights.size(); ++l) {
        const auto &from = weights.weights[l], &to = weights.weights[l + 1];
        if (from.rows() != to.cols())
            throw Error(
                ErrorCode::shape_mismatch,
                fmt::format("layers {} and {} do not chain: W{} is {} x {} and W{} is {} x {} (each W is outputs x inputs of its layer)",
                            l + 1, l + 2, l + 1, from.rows(), from.cols(), l + 2, to.rows(), to.cols()));
        architecture.hidden.push_back(from.rows());
    }
    architecture.biases = weights.biases.empty() ? Biases::none : Biases::trained;
    return architecture;
}

}  // namespace ntk

#pragma once

/// \file network.hpp
/// Finite fully connected networks: their shape, their parametrization, and weights drawn at random or given by the caller.
///
///     ntk:       z^l = sigma_w / sqrt(n_{l-1}) omega^l a^{l-1} + sigma_b beta^l,   a^l = phi(z^l),  f = z^L
///     standard:  z^l = W^l a^{l-1} + b^l,  W^l ~ N(0, sigma_w^2 / n_{l-1}),  b^l ~ N(0, sigma_b^2)
///
/// omega, beta iid N(0, 1); a^0 = x; L = depth counts affine layers. The two have the same law as functions and different
/// tangent kernels (Jacot et al. 2018, 1806.07572; Novak et al. 2022, 2206.08720).

#include <ntkcuda/activation.hpp>
#include <ntkcuda/matrix.hpp>

#include <cstdint>
#include <memory>
#include <numbers>
#include <string>
#include <vector>

namespace ntk {

/// Which parameters the Jacobian is with respect to (above).
enum class Parametrization { ntk, standard };

/// Whether biases exist, and whether they count in the Jacobian.
enum class Biases { none, fixed, trained };

/// The shape and the law of a network.
struct Architecture {
    Index inputs = 1;                         ///< d = n_0
    std::vector<Index> hidden{};              ///< n_1 .. n_{L-1}; empty: a linear model
    Index outputs = 1;                        ///< O = n_L
    Activation activation{};                  ///< default ReLU
    double weight_std = std::numbers::sqrt2;  ///< sigma_w > 0
    double bias_std = 0;                      ///< sigma_b >= 0; 0 with Biases::none
    Biases biases = Biases::none;
    Parametrization parametrization = Parametrization::ntk;

    [[nodiscard]] Index depth() const { return static_cast<Index>(hidden.size()) + 1; }
    /// n_l for l = 0 .. L.
    [[nodiscard]] Index width(Index layer) const;
    /// P: trainable parameters (the columns of the Jacobian).
    [[nodiscard]] Index parameters() const;
    /// s_l of Theta = sum_l (s_l <a, a'> + t) <delta, delta'>: sigma_w^2 / n_{l-1} (ntk) or 1 (standard). l = 1 .. L.
    [[nodiscard]] double weight_gradient_variance(Index layer) const;
    /// t of the same sum: sigma_b^2 (ntk) or 1 (standard) with trained biases, else 0.
    [[nodiscard]] double bias_gradient_variance() const;
    /// Throws Error(invalid_argument) naming the field that is out of its domain.
    void validate() const;
};

/// Parameters as the caller has them: W^1 .. W^L, each (out x in), and b^1 .. b^L (1 x out) or none.
struct Weights {
    std::vector<HostMatrix<double>> weights{};
    std::vector<HostMatrix<double>> biases{};  ///< empty, or one per layer
};

/// A network on a device. `weight[l-1]` is the effective matrix (n_l x n_{l-1}) that multiplies a^{l-1}: sigma_w/sqrt(n_{l-1})
/// omega^l with ntk, W^l with standard; `bias[l-1]` likewise (1 x n_l), and `bias` is empty without biases.
template <class Real>
struct Network {
    Architecture architecture;
    std::vector<Matrix<Real>> weight;
    std::vector<Matrix<Real>> bias;

    [[nodiscard]] const std::shared_ptr<Backend<Real>>& backend() const { return weight.front().backend(); }
};

/// Draws network number `index` of the stream of networks with this seed. Each normal is a function of (seed, index, layer,
/// element) alone (random.hpp): the same bits on every device, for every precision and in any order of work.
template <class Real>
[[nodiscard]] Network<Real> draw_network(const std::shared_ptr<Backend<Real>>& backend, const Architecture& architecture,
                                         std::uint64_t seed, std::uint32_t index = 0);

/// The parameters of that network as make_network takes them back, to the same bits: omega, beta with Parametrization::ntk, W, b with
/// standard.
[[nodiscard]] Weights draw_weights(const Architecture& architecture, std::uint64_t seed, std::uint32_t index = 0);

/// The architecture that given weights imply (inputs, hidden widths, outputs; biases are `trained` when present, else none),
/// with everything else from `like`. Throws Error(shape_mismatch) naming the layers that do not chain.
[[nodiscard]] Architecture architecture_of(const Weights& weights, const Architecture& like);

/// A network with the caller's parameters: omega, beta with Parametrization::ntk (they are multiplied by sigma_w/sqrt(n_{l-1})
/// and sigma_b), W, b with standard (taken as they are).
template <class Real>
[[nodiscard]] Network<Real> make_network(const std::shared_ptr<Backend<Real>>& backend, const Architecture& architecture,
                                         const Weights& weights);

}  // namespace ntk

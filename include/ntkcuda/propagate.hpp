#pragma once

/// \file propagate.hpp
/// Forward and backward passes of a network over a batch of samples.

#include <ntkcuda/backend.hpp>
#include <ntkcuda/network.hpp>

#include <functional>

namespace ntk {

/// What a forward pass keeps. post[l] = a^l (n x n_l) for l = 0 .. L-1, with post[0] a view of the inputs, which must outlive this;
/// pre[l-1] = z^l for the hidden layers l = 1 .. L-1; output = z^L (n x O).
template <class Real>
struct Forward {
    ConstMatrixView<Real> input;
    std::vector<Matrix<Real>> pre;     ///< z^1 .. z^{L-1}
    std::vector<Matrix<Real>> hidden;  ///< a^1 .. a^{L-1}
    Matrix<Real> output;               ///< f = z^L

    /// a^l, l = 0 .. L-1.
    [[nodiscard]] ConstMatrixView<Real> activation(Index layer) const {
        return layer == 0 ? input : hidden[static_cast<std::size_t>(layer - 1)].view();
    }
};

/// f(x) for every row of x. 2 n sum_l n_l n_{l-1} flops. Throws Error(shape_mismatch) if x.cols() differs from the inputs.
template <class Real>
[[nodiscard]] Forward<Real> forward(const Network<Real>& network, InputView<Real> x);

/// Calls visit(l, delta) for l = L, L-1, .., 1 with delta^l = d f_o / d z^l (n O x n_l, row = sample * O + output); at l = L the
/// view is empty, since delta^L is the identity. Only one delta is alive at a time (two while stepping).
/// 2 n O sum_l n_l n_{l-1} flops.
template <class Real>
void backward(const Network<Real>& network, const Forward<Real>& pass,
              const std::function<void(Index layer, ConstMatrixView<Real> delta)>& visit);

}  // namespace ntk

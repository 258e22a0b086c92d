#pragma once

// The backward pass one layer at a time, so that two passes can go side by side (cross kernels).

#include <ntkcuda/propagate.hpp>

namespace ntk {

/// delta^{l-1} from delta^l at layer l > 1, (n r) x n_{l-1} for r rows of delta^l a sample. An empty delta is the identity of the output
/// layer, with r = O.
template <class Real>
[[nodiscard]] Matrix<Real> delta_below(const Network<Real>& network, const Forward<Real>& pass, Index layer, ConstMatrixView<Real> delta);

/// Holds delta^l = d f_o / d z^l (n O x n_l, row = sample * O + output) for one l, starting at l = L, where it is the identity and
/// the view is empty. The network and the forward pass must outlive this.
template <class Real>
class BackwardPass {
public:
    BackwardPass(const Network<Real>& network, const Forward<Real>& pass)
        : network_(network), pass_(pass), layer_(network.architecture.depth()) {}

    [[nodiscard]] Index layer() const { return layer_; }
    [[nodiscard]] ConstMatrixView<Real> delta() const { return delta_.view(); }
    /// From delta^l to delta^{l-1}, l > 1.
    void step() {
        delta_ = delta_below(network_, pass_, layer_, delta());
        --layer_;
    }

private:
    const Network<Real>& network_;
    const Forward<Real>& pass_;
    Index layer_;
    Matrix<Real> delta_;
};

}  // namespace ntk

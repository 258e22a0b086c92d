#pragma once

// The backward pass one layer at a time, so that two passes can go side by side (cross kernels).

#include <ntkcuda/propagate.hpp>

namespace ntk {

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
    void step();

private:
    const Network<Real>& network_;
    const Forward<Real>& pass_;
    Index layer_;
    Matrix<Real> delta_;
};

extern template class BackwardPass<float>;
extern template class BackwardPass<double>;

}  // namespace ntk

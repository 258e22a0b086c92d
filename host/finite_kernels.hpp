#pragma once

// Both kernels of a network from one forward pass.

#include <ntkcuda/gram.hpp>

namespace ntk {

template <class Real>
struct FiniteKernels {
    Matrix<Real> tangent, nngp;
};

/// empirical_ntk(network, x, options) and empirical_nngp(network, x).
template <class Real>
[[nodiscard]] FiniteKernels<Real> finite_kernels(const Network<Real>& network, InputView<Real> x, const EmpiricalOptions& options);

}  // namespace ntk

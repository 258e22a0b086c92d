#pragma once

// Kernels of a network in two further forms: both from one forward pass, and into a matrix that is there already.

#include <ntkcuda/gram.hpp>

namespace ntk {

template <class Real>
struct FiniteKernels {
    Matrix<Real> tangent, nngp;
};

/// empirical_ntk(network, x, options) and empirical_nngp(network, x).
template <class Real>
[[nodiscard]] FiniteKernels<Real> finite_kernels(const Network<Real>& network, InputView<Real> x, const EmpiricalOptions& options);

/// theta, in the shape of the result, becomes empirical_ntk(network, x, options).
template <class Real>
void empirical_ntk_into(const Network<Real>& network, InputView<Real> x, const EmpiricalOptions& options, MatrixView<Real> theta);

}  // namespace ntk

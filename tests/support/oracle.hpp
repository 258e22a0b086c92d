#pragma once

// The definitions, by plain loops over the parameters as the caller has them: f by its formula and its Jacobian by differences of f.

#include <ntkcuda/network.hpp>

#include <vector>

namespace ntk::testing {

/// Random parameters of the right shapes; biases unless Biases::none.
Weights random_weights(const Architecture& architecture, std::uint32_t which = 0);

/// f(x) for one sample. With `smallest` set, it becomes the least |z| of the hidden layers: how far the nearest kink is.
std::vector<double> oracle_output(const Architecture& architecture, const Weights& weights, const double* x, double* smallest = nullptr);

/// (n O) x P, columns W1 (row-major), b1, W2, ..: central differences of fourth order, good to about 1e-10 where no kink is near.
HostMatrix<double> oracle_jacobian(const Architecture& architecture, Weights weights, const HostMatrix<double>& x);

/// J J^T.
HostMatrix<double> oracle_gram(const HostMatrix<double>& j1, const HostMatrix<double>& j2);

/// The trace block (n1 x n2) of a full kernel.
HostMatrix<double> mean_over_outputs(const HostMatrix<double>& full, Index outputs);

/// The diagonal of a full kernel as n x O.
HostMatrix<double> diagonal_of(const HostMatrix<double>& full, Index outputs);

}  // namespace ntk::testing

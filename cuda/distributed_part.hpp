#pragma once

// What ntkcuda::mpi asks of a device that holds a part of a matrix of several. Everything is in the order of the context's stream.

#include "context.hpp"

#include <array>
#include <vector>

namespace ntk::cuda {

/// to = from^T.
template <class Real>
void transpose(Context& context, ConstMatrixView<Real> from, MatrixView<Real> to);

/// The sum of the absolute values of each column. Waits.
template <class Real>
[[nodiscard]] std::vector<double> absolute_column_sums(Context& context, ConstMatrixView<Real> x);

/// What no other GPU has.
using DeviceIdentity = std::array<char, 16>;
[[nodiscard]] DeviceIdentity identity_of(int device);

}  // namespace ntk::cuda

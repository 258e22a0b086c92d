#pragma once

// Rows of a Jacobian, for ranks that share it.

#include <ntkcuda/gram.hpp>

namespace ntk {

/// The rows of jacobian() that samples [first, first + count) have, with the same bits, from passes over all of x. Throws
/// Error(shape_mismatch) where x has not so many samples.
template <class Real>
[[nodiscard]] Matrix<Real> jacobian_rows(const Network<Real>& network, InputView<Real> x, Index first, Index count);

}  // namespace ntk

#pragma once

#include <ntkcuda/matrix.hpp>

#include <string>

namespace ntk {

/// Rescales every row to Euclidean norm `norm`, also where |x|^2 would overflow or underflow.
/// Throws Error(invalid_argument) naming `source` and the row when one is zero or has no finite norm.
void rescale_rows(HostMatrix<double>& x, double norm, const std::string& source);

}  // namespace ntk

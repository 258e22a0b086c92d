#pragma once

#include <ntkcuda/matrix.hpp>

#include <string>
#include <utility>

namespace ntk {

/// Whether the source is sphere or gaussian, with or without its parameters.
[[nodiscard]] bool is_synthetic(const std::string& source);

/// The rows and columns of synthetic_samples(). Throws as that, but for memory.
[[nodiscard]] std::pair<Index, Index> synthetic_shape(const std::string& source);

/// "sphere:n=200,d=10,seed=1": n independent points, uniform on |x|^2 = d. "gaussian:..": n x d independent standard normals.
/// Throws Error(invalid_argument) for an unknown, missing or repeated key, or a value that is not one; Error(out_of_memory) naming the
/// bytes.
[[nodiscard]] HostMatrix<double> synthetic_samples(const std::string& source);

}  // namespace ntk

#pragma once

// IDX, the format of MNIST: two zero bytes, a type, the number of axes, their sizes, the values; big-endian. Gzipped or not.
// http://yann.lecun.com/exdb/mnist

#include <ntkcuda/array_file.hpp>

#include <string>

namespace ntk {

/// Whether the file begins like an IDX file: itself, or what is in it when it is gzipped.
[[nodiscard]] bool is_idx(const std::string& path);

/// Throws Error(io) for a file that is truncated or goes on after its values, and for unknown types.
[[nodiscard]] Array read_idx(const std::string& path);

}  // namespace ntk

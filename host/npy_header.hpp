#pragma once

// How a .npy file begins.

#include <ntkcuda/matrix.hpp>

#include <string>
#include <vector>

namespace ntk {

/// "<f8": this machine's float of so many bytes.
[[nodiscard]] std::string native_float(Index bytes);

/// Magic, version 1.0, length and dictionary, padded to a multiple of 64 bytes: the bytes that numpy.save writes before the values, which
/// are row-major.
[[nodiscard]] std::string npy_header(const std::string& descr, const std::vector<Index>& shape);

}  // namespace ntk

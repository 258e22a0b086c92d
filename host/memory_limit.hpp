#pragma once

// Host memory is asked for by name before it is allocated: a size read from a file or an option is never trusted.

#include <ntkcuda/matrix.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace ntk {

/// The product of the sizes (1 for none). Throws Error(out_of_memory) naming `what` when it, or `bytes_each` times it, passes 2^63 - 1
/// (sizes of zero aside, so that a zero hides no absurd size).
[[nodiscard]] Index checked_product(const std::vector<Index>& sizes, Index bytes_each, const std::string& what);

/// Throws Error(out_of_memory) naming `what`, the bytes it needs and the bytes there are, when `bytes` is more than the machine (or control group) has.
void require_memory(std::uint64_t bytes, const std::string& what);

/// rows x cols zeros. Throws Error(out_of_memory) as above, also when the allocation itself fails.
[[nodiscard]] HostMatrix<double> make_host_matrix(Index rows, Index cols, const std::string& what);

}  // namespace ntk

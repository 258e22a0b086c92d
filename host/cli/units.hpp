#pragma once

// Numbers with units, for people.

#include <string>

namespace ntk::cli {

/// "1.5 GiB".
[[nodiscard]] std::string readable_bytes(double bytes);
/// "40 s", "12 min", "3.5 h".
[[nodiscard]] std::string readable_time(double seconds);
/// "3.1/s", or "2.5 s each" where that is below one.
[[nodiscard]] std::string readable_rate(double per_second);

}  // namespace ntk::cli

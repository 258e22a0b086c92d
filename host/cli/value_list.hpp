#pragma once

// Lists of numbers as the command line writes them.

#include <string>
#include <vector>

namespace ntk::cli {

/// The parts between delimiters.
[[nodiscard]] std::vector<std::string> fields(const std::string& text, char delimiter);

/// "0,1e-6,1e-3" | "1e-8:1:log" (five a decade) | "1e-8:1:log:N" (N a decade) | any of these joined by commas: numbers >= 0, infinity
/// included, ascending and each once. Throws Error(invalid_argument) naming `option`.
[[nodiscard]] std::vector<double> parse_values(const std::string& option, const std::string& text);

}  // namespace ntk::cli

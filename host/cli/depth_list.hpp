#pragma once

// Lists of depths as the command line writes them.

#include <ntkcuda/matrix.hpp>

#include <string>
#include <vector>

namespace ntk::cli {

/// "1,2,5,10" | "1,2,5,..,1e6" (".." goes on in steps 1, 2, 5, 10, ..) | "1:1e6:log" (five a decade) | "1:1e6:log:N" (N a decade) | any of
/// these joined by commas. Ascending, each depth once. Throws Error(invalid_argument).
[[nodiscard]] std::vector<Index> parse_depths(const std::string& text);

}  // namespace ntk::cli

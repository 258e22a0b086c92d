#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ntk {

/// Writes the pieces, one after another, to a new file in the directory of `path`, then renames it to `path`: the final name holds the old
/// content or all of the new. A symbolic link is followed. Throws Error(io) with the path and the system's reason, after removing the new
/// file.
void write_aside(const std::string& path, const std::vector<std::string_view>& pieces);

}  // namespace ntk

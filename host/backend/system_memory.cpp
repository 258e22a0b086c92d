#include "system_memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace ntk {
namespace {

constexpr std::uint64_t kib = 1024;

/// The number that follows `key` in a file of "key value" lines; with an empty key the first number of the file.
std::optional<std::uint64_t> number_in(const std::string& path, const std::string& key) {
    std::ifstream file(path);
    std::uint64_t value = 0;
    if (key.empty()) return file >> value ? std::optional(value) : std::nullopt;
    for (std::string word; file >> word;)
        if (word == key) return file >> value ? std::optional(value) : std::nullopt;
    return std::nullopt;
}

struct ControlGroupFiles {
    const char *limit, *usage, *reclaimable;
};
constexpr ControlGroupFiles version_2{"memory.max", "memory.current", "inactive_file"};
constexpr ControlGroupFiles version_1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};

/// Narrows `memory` to one group. A missing file or the word "max" is no limit. Page cache that nobody uses is given back on demand.
void limit_by(const std::string& directory, const ControlGroupFiles& files, SystemMemory& memory) {
    const auto limit = number_in(directory + "/" + files.limit, "");
    if (!limit) return;
    const std::uint64_t usage = number_in(directory + "/" + files.usage, "").value_or(0);
    const std::uint64_t held = usage - std::min(usage, number_in(directory + "/memory.stat", files.reclaimable).value_or(0));
    memory.total = std::min(memory.total, *limit);
    memory.available = std::min(memory.available, *limit - std::min(*limit, held));
}

/// Narrows `memory` to a group and all that contain it.
void limit_by_ancestors(const std::string& root, std::filesystem::path group, const ControlGroupFiles& files, SystemMemory& memory) {
    for (; group.has_relative_path(); group = group.parent_path()) limit_by(root + group.string(), files, memory);
    limit_by(root, files, memory);
}

}  // namespace

std::uint64_t peak_memory() { return number_in("/proc/self/status", "VmHWM:").value_or(0) * kib; }

SystemMemory system_memory() {
    constexpr std::uint64_t unknown = std::numeric_limits<std::uint64_t>::max() / kib;
    SystemMemory memory{number_in("/proc/meminfo", "MemTotal:").value_or(unknown) * kib,
                        number_in("/proc/meminfo", "MemAvailable:").value_or(unknown) * kib};
    // Lines of /proc/self/cgroup are "number:controllers:path"; version 2 has number 0 and no controllers.
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
        const auto first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1)), path = line.substr(second + 1);
        if (controllers == ",,") limit_by_ancestors("/sys/fs/cgroup", path, version_2, memory);
        if (controllers.find(",memory,") != std::string::npos) limit_by_ancestors("/sys/fs/cgroup/memory", path, version_1, memory);
    }
    return memory;
}

}  // namespace ntk

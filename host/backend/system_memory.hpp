#pragma once

#include <cstdint>

namespace ntk {

/// Bytes of main memory that this process can have.
struct SystemMemory {
    std::uint64_t total = 0;      ///< of the machine, or of the control group where that is less
    std::uint64_t available = 0;  ///< now, without swapping
};

/// The lesser of what Linux says of the machine (/proc/meminfo) and of the control groups of this process (versions 1 and 2).
[[nodiscard]] SystemMemory system_memory();

/// The most bytes that this process has had in main memory (VmHWM of /proc/self/status); 0 where that is not known.
[[nodiscard]] std::uint64_t peak_memory();

}  // namespace ntk

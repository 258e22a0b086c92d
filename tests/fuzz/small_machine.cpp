// A machine of 4 MiB: what the readers check before they allocate stays small, and an allocation that was not checked stands out
// (run: -malloc_limit_mb).

#include "host/backend/system_memory.hpp"

namespace ntk {

SystemMemory system_memory() { return {4 << 20, 4 << 20}; }

}  // namespace ntk

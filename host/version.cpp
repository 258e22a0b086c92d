#include <ntkcuda/version.hpp>

namespace ntk {

const char* version() { return NTKCUDA_VERSION; }

}  // namespace ntk

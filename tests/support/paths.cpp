#include "paths.hpp"

namespace ntk::paths {

const char* const golden = NTKCUDA_GOLDEN_DIR;
const char* const data = NTKCUDA_DATA_DIR;
const char* const program = NTKCUDA_PROGRAM;
const char* const failing_allocation = NTKCUDA_FAILING_ALLOCATION_LIBRARY;

}  // namespace ntk::paths

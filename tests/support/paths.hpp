#pragma once

// Where the tests find what they read and run. Only paths.cpp is compiled with these paths, so that compiler caches serve any checkout.

namespace ntk::paths {

extern const char* const golden;   ///< tests/golden
extern const char* const data;     ///< the bundled data
extern const char* const program;  ///< ntkcuda
extern const char* const failing_allocation;

}  // namespace ntk::paths

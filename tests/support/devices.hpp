#pragma once

// The devices that tests run on: the CPU, and every CUDA device (real or emulated) that this build and machine has.

#include <ntkcuda/backend.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace ntk::testing {

inline std::vector<std::string> device_ids() {
    std::vector<std::string> ids;
    for (const auto& d : devices()) ids.push_back(d.id());
    return ids;
}

inline bool gpu_required() { return std::getenv("NTKCUDA_REQUIRE_GPU") != nullptr; }

/// For tests of a CUDA device against the CPU: skips visibly where there is none; a failure with NTKCUDA_REQUIRE_GPU=1.
#define NTKCUDA_NEEDS_CUDA()                                                                                        \
    do {                                                                                                            \
        if (::ntk::testing::device_ids().size() < 2) {                                                              \
            if (::ntk::testing::gpu_required()) FAIL() << "NTKCUDA_REQUIRE_GPU is set and there is no CUDA device"; \
            GTEST_SKIP() << "no CUDA device";                                                                       \
        }                                                                                                           \
    } while (0)

}  // namespace ntk::testing

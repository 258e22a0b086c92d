#pragma once

// A made-up device for plans, so that none is measured.

#include <ntkcuda/rates.hpp>

#include <nlohmann/json.hpp>

#include <string>

namespace ntk::testing {

/// A file of rates: a CPU of so many bytes that does 10^9 of everything a second.
inline std::string rates_of(double bytes) {
    nlohmann::json table;
    for (const Operation operation : all_operations()) table[to_string(operation)] = {{"per_second", 1e9}, {"half_at", 0}};
    return nlohmann::json{{"device", "a device"}, {"kind", "cpu"}, {"source", "made up"},
                          {"memory", bytes},      {"fp64", table}, {"fp32", table}}
        .dump();
}

}  // namespace ntk::testing

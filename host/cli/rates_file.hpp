#pragma once

// Rates of a machine as a file, and as a part of the record of a plan.

#include <ntkcuda/error.hpp>
#include <ntkcuda/rates.hpp>

#include <nlohmann/json.hpp>

#include <string>

namespace ntk::cli {

/// {"device": .., "kind": "cpu" or "cuda", "source": .., "memory": bytes, "fp64": {"gemm": {"per_second": .., "half_at": ..}, ..}, "fp32":
/// {..}}
[[nodiscard]] nlohmann::ordered_json rates_json(const Rates& rates);
/// Of rates that this program has measured just now: on so many threads of each of so many ranks.
[[nodiscard]] std::string measured_source(int threads, int ranks);
/// Throws Error(io) naming the file and what is missing, unknown, or not a positive number.
[[nodiscard]] Rates read_rates(const std::string& path);

}  // namespace ntk::cli

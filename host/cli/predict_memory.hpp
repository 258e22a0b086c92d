#pragma once

// What prediction takes of the memory that --memory allows.

#include "kernel_memory.hpp"
#include "predict.hpp"

#include <ntkcuda/plan.hpp>

namespace ntk::cli {

/// Bytes at once: the symmetric kernel is made, then the cross kernel beside it, then the system is solved in place. Of several ranks those
/// of the one with the largest part (distributed_layout.hpp).
[[nodiscard]] double predict_bytes(const PredictArguments& arguments, const KernelMemory& memory, const SampleCounts& size, int ranks = 1);

}  // namespace ntk::cli

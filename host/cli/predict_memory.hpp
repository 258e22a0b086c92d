#pragma once

// What prediction takes of the memory that --memory allows.

#include "kernel_memory.hpp"
#include "predict.hpp"

#include <ntkcuda/plan.hpp>

namespace ntk::cli {

/// Bytes at once: the symmetric kernel is made, then the cross kernel beside it, then the system is solved in place.
[[nodiscard]] double predict_bytes(const PredictArguments& arguments, const KernelMemory& memory, const SampleCounts& size);
/// The same of a rank that has `rows` x `cols` samples of the kernel and `tests` rows of the cross kernel.
[[nodiscard]] double predict_rank_bytes(const PredictArguments& arguments, const KernelMemory& memory, const SampleCounts& size, Index rows,
                                        Index cols, Index tests);

}  // namespace ntk::cli

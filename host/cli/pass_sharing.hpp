#pragma once

// Whether ranks compute or exchange the passes over samples that several of them need: the same for a run and for its plan.

#include "kernel_memory.hpp"

#include <ntkcuda/plan.hpp>

namespace ntk::cli {

struct PassSharing {
    Passes passes = Passes::compute;
    std::string why;   ///< both times; empty where nothing is chosen: one rank, or a kernel without passes
    double bytes = 0;  ///< that making a part takes more than with all passes computed

    /// A line and a result of the run, of these samples.
    void report(Run& run, const std::string& of = {}) const;
};

/// As --passes says, or by the rates of the dry run, or by nominal_rates. The samples are those of a kernel on a grid.
[[nodiscard]] PassSharing share_passes(const Run& run, const KernelArguments& kernel, const Architecture& architecture,
                                       const KernelMemory& memory, const DistributedLayout& samples);

}  // namespace ntk::cli

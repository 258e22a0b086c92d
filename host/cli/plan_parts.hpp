#pragma once

// What plans of kernels and of predictions have in common.

#include "plan_outline.hpp"

namespace ntk::cli {

/// The kernel of the command line as the formulas take it.
[[nodiscard]] KernelWork kernel_work(const Run& run, const KernelArguments& kernel, const Architecture& architecture);

void append(std::vector<Phase>& phases, std::vector<Phase> more, const std::string& prefix = {});

/// What has been loaded, or would be: numbers drawn, or bytes read as float64.
[[nodiscard]] Phase data_phase(const Run& run);

}  // namespace ntk::cli

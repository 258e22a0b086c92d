#pragma once

// What plans of kernels and of predictions have in common.

#include "plan_outline.hpp"

namespace ntk::cli {

/// The kernel of the command line as the formulas take it.
[[nodiscard]] KernelWork kernel_work(const Run& run, const KernelArguments& kernel, const Architecture& architecture);

void append(std::vector<Phase>& phases, std::vector<Phase> more, const std::string& prefix = {});

/// What has been loaded, or would be: numbers drawn, or bytes read as float64.
[[nodiscard]] Phase data_phase(const Run& run);

/// The part of a kernel that a rank has: rows of `n1` samples and columns of `n2`, or of n1 again.
struct Part {
    RankShare share;
    BlockWork work;
    double stored = 0;  ///< pairs, both triangles
};
[[nodiscard]] Part part_of(int ranks, Index n1, Index n2, double rows_per_sample, std::size_t real_bytes);

/// Blocks below the diagonal go to where their mirror images are.
[[nodiscard]] Phase mirror_phase(const KernelWork& kernel, const Part& part, const char* timing);

}  // namespace ntk::cli

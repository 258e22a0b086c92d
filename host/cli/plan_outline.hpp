#pragma once

// The plan of a run (--dry-run, ntkcuda plan): what it does in which phases, what it takes, and why so. Made from the same numbers as the
// run itself, and shown instead of running.

#include "predict_memory.hpp"

#include <ntkcuda/ensemble.hpp>
#include <ntkcuda/plan.hpp>

namespace ntk::cli {

/// What one of so many ranks does and takes.
struct RankOutline {
    int ranks = 1;
    std::vector<Phase> phases;
    double memory = 0;           ///< bytes on its device
    std::string solver, reason;  ///< of a prediction: what it would choose, and why
    std::string passes{};        ///< of several ranks and a finite network: how they have them, and why
};

struct PlanOutline {
    std::string what;
    std::vector<std::pair<std::string, std::string>> choices;  ///< what was chosen, and why: ("solver", "cholesky: ..")
    double host_memory = 0;                                    ///< bytes, beside a device that is not the host
    double file_bytes = 0;                                     ///< of all files
    std::vector<RankOutline> ranks;
};

/// The plan of one kernel into a file; `spectrum`: with its eigenvectors.
[[nodiscard]] PlanOutline kernel_outline(const Run& run, const KernelArguments& kernel, const Architecture& architecture,
                                         const KernelMemory& memory, const KernelPlan& plan, bool spectrum);
/// Of each number of ranks the share of its first one.
[[nodiscard]] PlanOutline jacobian_outline(const Run& run, const Architecture& architecture, const KernelMemory& memory, Index samples);
/// Each number of ranks with the solver that it would choose (choose_solver).
template <class Real>
[[nodiscard]] PlanOutline predict_outline(const Run& run, const std::shared_ptr<Backend<Real>>& backend, const PredictArguments& arguments,
                                          const Architecture& architecture, const KernelMemory& memory, const SampleCounts& size);

/// `bytes`: compare_peak_bytes().
[[nodiscard]] PlanOutline compare_outline(const Run& run, const CompareOptions& options, const SampleCounts& size, double bytes);
/// Samples have equal norms after `normalization`, or are taken to have different ones.
[[nodiscard]] PlanOutline depth_outline(const Run& run, const std::shared_ptr<Backend<double>>& backend, const DepthOptions& options,
                                        const SampleCounts& size, Normalization normalization);
/// All ensembles of a sweep over widths. Unless rates are given each is timed by a short ensemble of the same sampler.
template <class Real>
[[nodiscard]] PlanOutline ensemble_outline(const Run& run, const std::shared_ptr<Backend<Real>>& backend,
                                           const std::vector<EnsembleOptions>& sweep, Index samples);

/// Prints the plan with times by the rates of the run, measured now unless they are given; with --json the record, whose results it is.
/// Throws Error(out_of_memory) with the number needed when it fits no number of ranks that was asked for.
template <class Real>
void show_plan(Run& run, const std::shared_ptr<Backend<Real>>& backend, const PlanOutline& outline);

}  // namespace ntk::cli

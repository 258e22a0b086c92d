#pragma once

// The three ways of `ntkcuda predict`: from samples, from kernels given as files, from a fit that an earlier run has saved.

#include "kernel_source.hpp"

#include <ntkcuda/conjugate_gradient.hpp>

namespace ntk::cli {

struct KernelFileArguments {
    std::string train, test, diagonal;
};

struct PredictArguments {
    RunArguments run;
    DataArguments data;
    NetworkArguments network;
    KernelArguments kernel;
    std::vector<double> ridges{0};  ///< several: a path
    std::vector<double> times;      ///< none: the limit of the flow
    bool posterior = false, initial_function = false;
    std::string solver = "auto";
    std::optional<double> tolerance;  ///< none: 1e-8, and 1e-4 with --precision fp32
    Index max_iterations = ConjugateGradientOptions{}.max_iterations;
    std::string save_fit, fit;
    KernelFileArguments kernel_files;

    [[nodiscard]] bool path() const { return ridges.size() > 1 || times.size() > 1; }
    /// By an eigendecomposition, not by Cholesky.
    [[nodiscard]] bool spectral() const { return path() || !times.empty(); }
    /// The times, or the ridges where there are none.
    [[nodiscard]] const std::vector<double>& values() const { return times.empty() ? ridges : times; }
};

/// Throws Error(invalid_argument) for ridges beside times, and what a path or a time has no meaning for.
void check_solver(const PredictArguments& arguments);
/// "ridge" and "time", a number or a list.
[[nodiscard]] Json solver_parameters(const PredictArguments& arguments);

/// --train-kernel. Of `arguments.data` only the targets are read; `with_data`: from --data itself, else from its labels alone.
void predict_from_kernel_files(const PredictArguments& arguments, bool with_data);
/// --fit.
void predict_from_fit(PredictArguments arguments, bool precision_given);

}  // namespace ntk::cli

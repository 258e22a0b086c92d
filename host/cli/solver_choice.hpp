#pragma once

// Which solver `predict` takes, and how it goes into memory.

#include "kernel_memory.hpp"
#include "predict.hpp"

#include <ntkcuda/plan.hpp>

namespace ntk::cli {

enum class Solver { cholesky, cg, features };

struct SolverChoice {
    Solver solver = Solver::cholesky;
    std::string name, why;       ///< for people
    double bytes = 0;            ///< all that it takes, on each rank
    double operator_memory = 0;  ///< cg: what products may take
    OperatorPlan products{};     ///< cg
    Index rank = 0;              ///< cg: of the preconditioner, at most
    Index features = 0;          ///< features
    Index batch = 0;             ///< features: samples at a time
};

/// What is solved: sizes, and what each solver would take.
template <class Real>
struct SolverQuestion {
    const std::shared_ptr<Backend<Real>>& backend;
    const Architecture& architecture;
    const KernelMemory& memory;
    const SampleCounts& size;
    int ranks = 1;
    double available = 0;  ///< bytes that each rank may use, the same number on every one
};

/// By --solver; with auto Cholesky where it fits, the space of the features where that is smaller and fits (on one rank), else conjugate
/// gradients. What it takes may be more than there is.
/// Throws Error(invalid_argument) for what the solver asked for cannot do.
template <class Real>
[[nodiscard]] SolverChoice choose_solver(const PredictArguments& arguments, const SolverQuestion<Real>& question);

}  // namespace ntk::cli

#pragma once

// The closed form of `predict` where no kernel matrix is formed.

#include "closed_form_solver.hpp"
#include "solver_choice.hpp"

namespace ntk::cli {

/// By conjugate gradients, or in the space of the features, as `choice` says; predictions are rows x columns of the system.
template <class Real>
[[nodiscard]] Solution solve_matrix_free(const PredictArguments& arguments, Run& run, const SolverChoice& choice,
                                         const KernelSource<Real>& source, const Matrix<Real>& train, const Matrix<Real>& test,
                                         const Problem<Real>& problem);

}  // namespace ntk::cli

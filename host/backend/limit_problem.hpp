#pragma once

#include <ntkcuda/formulas/limit_recursion.hpp>
#include <ntkcuda/infinite_width.hpp>

#include <vector>

namespace ntk {

/// The recursion to run, on any device.
struct LimitProblem {
    Activation activation;
    formulas::LimitConstants constants;
    std::vector<formulas::DoubleDouble> gains;  ///< of layer 1 .. L
    bool tangent = false;                       ///< NTK, else NNGP
};

[[nodiscard]] LimitProblem limit_problem(const Architecture& architecture, InfiniteKernel kernel);

}  // namespace ntk

#include "limit_problem.hpp"

namespace ntk {

LimitProblem limit_problem(const Architecture& architecture, InfiniteKernel kernel) {
    LimitProblem problem;
    problem.activation = architecture.activation;
    problem.tangent = kernel == InfiniteKernel::ntk;
    problem.constants.weight_variance = formulas::exact_product(architecture.weight_std, architecture.weight_std);
    if (architecture.biases != Biases::none)
        problem.constants.bias_variance = formulas::exact_product(architecture.bias_std, architecture.bias_std);
    const bool standard = architecture.parametrization == Parametrization::standard;
    if (architecture.biases == Biases::trained)
        problem.constants.bias_gradient = standard ? formulas::DoubleDouble{1, 0} : problem.constants.bias_variance;
    for (Index l = 1; l <= architecture.depth(); ++l)
        problem.gains.push_back(standard ? formulas::DoubleDouble{static_cast<double>(architecture.width(l - 1)), 0}
                                         : problem.constants.weight_variance);
    return problem;
}

}  // namespace ntk

#pragma once

// Factors of semi-definite Gram matrices of a batch of networks, for the conditional sampler (kernel_sampler.hpp).

#include "context.hpp"
#include "stack.hpp"

namespace ntk::cuda {

/// factor (zeros above the diagonal) of gram + shift, in the order of the rows: the column of a row that depends on those before it is
/// zero. gram may be factor.  n^3 / 3 flops a network, by one block of threads.
void semidefinite_cholesky(Context& context, Stack<const double> gram, double shift, Stack<double> factor);

/// q with factor q = [a, last], zero in the rows whose column of the factor is zero; `last` is the value of one more column, if q has one.
void orthonormal_rows(Context& context, Stack<const double> factor, Stack<const double> a, double last, Stack<double> q);

}  // namespace ntk::cuda

// Semi-definite Cholesky factors: a block a network, column by column, a thread a row. Forward substitution: a thread a column.

#include "semidefinite.hpp"

#include <ntkcuda/kernel_sampler.hpp>

namespace ntk::cuda {
namespace {

constexpr int factor_threads = 64;

/// 0 for a row that depends on those before it.
__device__ double pivot_root(double pivot, double diagonal, Index rows) {
    return pivot <= conditional_pivot_tolerance * static_cast<double>(rows) * diagonal ? 0 : sqrt(pivot);
}

__global__ void semidefinite_cholesky_kernel(Stack<const double> gram, double shift, Stack<double> factor) {
    __shared__ double root;
    const Index n = factor.rows;
    for (Index b = blockIdx.x; b < factor.count; b += gridDim.x)
        for (Index j = 0; j < n; ++j) {
            for (Index i = threadIdx.x; i < n; i += blockDim.x) {
                if (i < j) {
                    factor(b, i, j) = 0;
                    continue;
                }
                const double entry = gram(b, i, j) + shift;
                double rest = entry;
                for (Index m = 0; m < j; ++m) rest -= factor(b, i, m) * factor(b, j, m);
                if (i == j) root = pivot_root(rest, entry, n);
                factor(b, i, j) = rest;
            }
            __syncthreads();
            const double pivot = root;
            for (Index i = threadIdx.x; i < n; i += blockDim.x)
                if (i >= j) factor(b, i, j) = i == j ? pivot : pivot == 0 ? 0 : factor(b, i, j) / pivot;
            __syncthreads();
        }
}

__global__ void orthonormal_rows_kernel(Stack<const double> factor, Stack<const double> a, double last, Stack<double> q) {
    for_each_entry(q.count, q.cols, [&](Index b, Index k) {
        for (Index i = 0; i < q.rows; ++i) {
            const double pivot = factor(b, i, i);
            double rest = k < a.cols ? a(b, i, k) : last;
            for (Index m = 0; m < i; ++m) rest -= factor(b, i, m) * q(b, m, k);
            q(b, i, k) = pivot == 0 ? 0 : rest / pivot;
        }
    });
}

}  // namespace

void semidefinite_cholesky(Context& context, Stack<const double> gram, double shift, Stack<double> factor) {
    const LaunchShape shape{dim3(static_cast<unsigned>(std::min<Index>(factor.count, 1 << 16))), dim3(factor_threads)};
    context.launch("semidefinite_cholesky", shape, semidefinite_cholesky_kernel, gram, shift, factor);
}

void orthonormal_rows(Context& context, Stack<const double> factor, Stack<const double> a, double last, Stack<double> q) {
    context.launch("orthonormal_rows", entries_shape(q.count, q.cols), orthonormal_rows_kernel, factor, a, last, q);
}

}  // namespace ntk::cuda

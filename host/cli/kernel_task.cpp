#include "kernel_task.hpp"

#include "output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ntk::cli {
namespace {

/// Whether the inputs, not all zero, are so small that no square of them is a normal number.
template <class Real>
bool square_underflows(const HostMatrix<double>& x) {
    double largest = 0;
    for (Index i = 0; i < x.size(); ++i) largest = std::max(largest, std::abs(x.data()[i]));
    return largest > 0 && largest * largest < std::numeric_limits<Real>::min();
}

template <class Real>
void require_positive(const Matrix<Real>& diagonal, Index samples, const std::function<Index(Index)>& sample) {
    const auto values = download(diagonal);
    const Index each = samples > 0 ? values.rows() / samples : 0;
    for (Index i = 0; i < values.rows(); ++i)
        if (!(values(i, 0) > 0))
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("--normalized: the diagonal entry of row {} is {}; it cannot be divided by",
                                    sample(i / each) * each + i % each + 1, values(i, 0)));
}

}  // namespace

void KernelFacts::add(const Norms& norms) {
    if (!norms.finite)
        throw Error(ErrorCode::device_failure,
                    "the kernel has entries that are not finite: depth, weight std or inputs are too large for this precision");
    frobenius = std::hypot(frobenius, norms.frobenius);
    max_abs = std::max(max_abs, norms.max_abs);
}

template <class Real>
void require_in_range(const KernelFacts& facts, const HostMatrix<double>& x, const std::string& source) {
    if (facts.max_abs < std::numeric_limits<Real>::min() && square_underflows<Real>(x))
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("the kernel of {} lies below the range of {}, where digits are lost: scale the inputs, or --normalize them",
                                source, sizeof(Real) == sizeof(double) ? "float64" : "float32"));
}

template <class Real>
void normalize_kernel(const KernelSource<Real>& source, const Matrix<Real>& x1, const Matrix<Real>& x2,
                      const std::function<Index(Index)>& row_sample, const std::function<Index(Index)>& col_sample,
                      MatrixView<Real> kernel) {
    const Matrix<Real> row_diagonal = source.diagonal(x1), col_diagonal = source.diagonal(x2);
    require_positive(row_diagonal, x1.rows(), row_sample);
    require_positive(col_diagonal, x2.rows(), col_sample);
    x1.backend()->normalize(row_diagonal.view(), col_diagonal.view(), kernel);
}

template <class Real>
KernelMemory kernel_memory(const KernelTask<Real>& task) {
    KernelMemory memory(*task.backend, task.kernel, task.architecture, task.weights.has_value(), task.samples.train.y.cols());
    if (task.per_layer) memory.count_layer_terms();
    memory.fit_to(task.run);
    return memory;
}

template <class Real>
std::string layers_file(const KernelTask<Real>& task) {
    return beside(task.run.arguments().out, ".layers.npy");
}

#define NTKCUDA_INSTANTIATE(Real)                                                                                             \
    template void require_in_range<Real>(const KernelFacts&, const HostMatrix<double>&, const std::string&);                  \
    template void normalize_kernel(const KernelSource<Real>&, const Matrix<Real>&, const Matrix<Real>&,                       \
                                   const std::function<Index(Index)>&, const std::function<Index(Index)>&, MatrixView<Real>); \
    template KernelMemory kernel_memory(const KernelTask<Real>&);                                                             \
    template std::string layers_file(const KernelTask<Real>&)
NTKCUDA_INSTANTIATE(float);
NTKCUDA_INSTANTIATE(double);
#undef NTKCUDA_INSTANTIATE

}  // namespace ntk::cli

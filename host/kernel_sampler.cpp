#include "kernel_sampler.hpp"

#include "finite_kernels.hpp"
#include "memory_limit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace ntk {
namespace {

constexpr const char* row_of_kernels = "one row of kernels";

Index lower_triangle(Index n) { return checked_product({n, n + 1}, sizeof(double), row_of_kernels) / 2; }

/// Appends the entries that a row keeps of a kernel.
template <class Real, class From>
Real* pack(const HostMatrix<From>& kernel, bool all, Real* to) {
    for (Index i = 0; i < kernel.rows(); ++i) {
        const From* row = kernel.data() + i * kernel.cols();
        to = std::transform(row, row + (all ? kernel.cols() : i + 1), to, [](From value) { return static_cast<Real>(value); });
    }
    return to;
}

}  // namespace

KernelLayout kernel_layout(const KernelSamplerOptions& options, Index samples) {
    const Index outputs = options.architecture.outputs;
    KernelLayout layout;
    switch (options.block) {
        case Block::full:
            layout.tangent = lower_triangle(checked_product({samples, outputs}, sizeof(double), row_of_kernels));
            break;
        case Block::trace:
            layout.tangent = lower_triangle(samples);
            break;
        case Block::diag:
            layout.tangent = checked_product({samples, outputs}, sizeof(double), row_of_kernels);
            break;
    }
    layout.nngp = lower_triangle(samples);
    layout.layers = options.per_layer ? options.architecture.depth() : 0;
    // An upper bound of columns(), which must not overflow.
    (void)checked_product({layout.tangent + layout.nngp, layout.layers + 1}, sizeof(double), row_of_kernels);
    return layout;
}

KernelLayout checked_layout(const KernelSamplerOptions& options, Index samples, Index features) {
    options.architecture.validate();
    if (samples < 1) throw Error(ErrorCode::shape_mismatch, "a kernel sampler needs at least one sample, and there are none");
    if (features != options.architecture.inputs)
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("the samples have {} features: the network takes {}", features, options.architecture.inputs));
    return kernel_layout(options, samples);
}

template <class Real>
CheckedSampler<Real>::CheckedSampler(std::shared_ptr<Backend<Real>> backend, const KernelSamplerOptions& options, ConstMatrixView<Real> x)
    : options_(options), layout_(checked_layout(options, x.rows(), x.cols())), inputs_(std::move(backend), x.rows(), x.cols()) {
    inputs_.backend()->copy(x, inputs_.view());
}

template <class Real>
void CheckedSampler<Real>::sample(std::uint32_t first, MatrixView<Real> out) {
    if (out.rows() == 0) return;
    if (out.cols() != layout_.columns())
        throw Error(ErrorCode::shape_mismatch, fmt::format("the result has {} columns: the numbers of a network are {} (KernelLayout)",
                                                           out.cols(), layout_.columns()));
    if (const Index left = Index{std::numeric_limits<std::uint32_t>::max()} - first + 1; out.rows() > left)
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("{} networks from number {} on pass the last number, 4294967295: take at most {}, "
                                "and another seed for more",
                                out.rows(), first, left));
    sample_checked(first, out);
}

template <class Real>
HostMatrix<Real> drawn_kernels(const std::shared_ptr<Backend<Real>>& backend, const KernelSamplerOptions& options,
                               const KernelLayout& layout, ConstMatrixView<Real> x, std::uint32_t index) {
    HostMatrix<Real> row(1, layout.columns());
    const bool all = options.block == Block::diag;
    EmpiricalOptions empirical;
    empirical.block = options.block;
    if (options.per_layer)
        empirical.per_layer = [&](Index layer, const HostMatrix<double>& term) {
            pack(term, all, row.data() + layout.nngp + layer * layout.tangent);
        };
    const FiniteKernels<Real> kernels = finite_kernels(draw_network(backend, options.architecture, options.seed, index), x, empirical);
    pack(download(kernels.nngp), false, pack(download(kernels.tangent), all, row.data()));
    return row;
}

template class CheckedSampler<float>;
template class CheckedSampler<double>;
template HostMatrix<float> drawn_kernels(const std::shared_ptr<Backend<float>>&, const KernelSamplerOptions&, const KernelLayout&,
                                         ConstMatrixView<float>, std::uint32_t);
template HostMatrix<double> drawn_kernels(const std::shared_ptr<Backend<double>>&, const KernelSamplerOptions&, const KernelLayout&,
                                          ConstMatrixView<double>, std::uint32_t);

}  // namespace ntk

#pragma once

// What every kernel sampler has in common, and the kernels of one network by the operations of any backend.

#include <ntkcuda/backend.hpp>
#include <ntkcuda/kernel_sampler.hpp>

namespace ntk {

/// kernel_layout() of options and inputs that fit. Throws as Backend::kernel_sampler.
[[nodiscard]] KernelLayout checked_layout(const KernelSamplerOptions& options, Index samples, Index features);

/// Keeps the backend, the options and a copy of the inputs; checks what is the same for every sampler.
template <class Real>
class CheckedSampler : public KernelSampler<Real> {
public:
    /// Throws as Backend::kernel_sampler.
    CheckedSampler(std::shared_ptr<Backend<Real>> backend, const KernelSamplerOptions& options, ConstMatrixView<Real> x);
    [[nodiscard]] KernelLayout layout() const final { return layout_; }
    void sample(std::uint32_t first, MatrixView<Real> out) final;

protected:
    [[nodiscard]] const std::shared_ptr<Backend<Real>>& backend() const { return inputs_.backend(); }
    [[nodiscard]] const KernelSamplerOptions& options() const { return options_; }
    [[nodiscard]] ConstMatrixView<Real> inputs() const { return inputs_.view(); }

private:
    /// sample() with arguments that are right and at least one row.
    virtual void sample_checked(std::uint32_t first, MatrixView<Real> out) = 0;

    KernelSamplerOptions options_;
    KernelLayout layout_;
    Matrix<Real> inputs_;
};

extern template class CheckedSampler<float>;
extern template class CheckedSampler<double>;

/// The numbers of one network: draw_network(seed, index) and its kernels by gram.hpp, in the order of `layout`.
template <class Real>
[[nodiscard]] HostMatrix<Real> drawn_kernels(const std::shared_ptr<Backend<Real>>& backend, const KernelSamplerOptions& options,
                                             const KernelLayout& layout, ConstMatrixView<Real> x, std::uint32_t index);

}  // namespace ntk

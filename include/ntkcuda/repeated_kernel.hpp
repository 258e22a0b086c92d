#pragma once

/// \file repeated_kernel.hpp
/// The empirical NTK of one network and one batch, again and again while their values change: in training, or over many small batches.
///
///     RepeatedKernel<float> kernel(network, x.view());
///     while (...) {
///         ... // new values in the matrices of network, or in x
///         use(kernel.run());
///     }

#include <ntkcuda/backend.hpp>
#include <ntkcuda/gram.hpp>

#include <memory>

namespace ntk {

/// empirical_ntk(network, x, options) as one recorded piece of work. On a GPU a small kernel is some 40 launches, allocations and library
/// calls, which cost more than their arithmetic: here all of them are one launch, and their memory is theirs for as long as this lives.
/// On the CPU there is nothing of that to save, and this costs what empirical_ntk costs.
template <class Real>
class RepeatedKernel {
public:
    /// Computes the kernel once and records it. The network and the matrices of its weights and biases, and the memory of x, must stay
    /// where they are while this is used; their values may change. Throws as empirical_ntk does, and Error(invalid_argument) for
    /// options.per_layer, which is called by the host.
    RepeatedKernel(const Network<Real>& network, InputView<Real> x, const EmpiricalOptions& options = {});

    /// The kernel of the present values: the bits that empirical_ntk would give. It may be computed when something waits for it, as
    /// download does, and it is overwritten by the next run.
    const Matrix<Real>& run();

private:
    Matrix<Real> theta_;
    std::unique_ptr<Recording> recording_;
};

extern template class RepeatedKernel<float>;
extern template class RepeatedKernel<double>;

}  // namespace ntk

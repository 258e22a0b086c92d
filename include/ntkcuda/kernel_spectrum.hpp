#pragma once

/// \file kernel_spectrum.hpp
/// The eigendecomposition of a kernel on one device.

#include <ntkcuda/backend.hpp>
#include <ntkcuda/spectrum.hpp>

namespace ntk {

template <class Real>
class KernelSpectrum final : public Spectrum<Real> {
public:
    /// Takes the kernel (n x n, symmetric, lower triangle read): about 9 n^3 flops once. `resolution`: as in KernelSystem.
    /// Throws Error(shape_mismatch) for a kernel that is not square or has no samples, Error(invalid_argument) for one that is not finite.
    explicit KernelSpectrum(Matrix<Real> kernel, double resolution = 0);

    /// Row i: the unit eigenvector of values()[i].
    [[nodiscard]] ConstMatrixView<Real> vectors() const { return vectors_.view(); }

private:
    [[nodiscard]] HostMatrix<Real> project(InputView<Real> y) const override;
    [[nodiscard]] Matrix<Real> combine(const HostMatrix<Real>& modes) const override;
    [[nodiscard]] std::vector<double> diagonal(const std::vector<double>& weights) const override;

    Matrix<Real> vectors_;
};

}  // namespace ntk

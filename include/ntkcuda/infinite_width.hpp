#pragma once

/// \file infinite_width.hpp
/// The infinite-width limit of the kernels (theory: Jacot et al. 2018; Lee et al. 2019; Arora et al. 2019): NNGP q_L and NTK Theta_L
/// of a fully connected network, by recursions on differences that keep full relative precision at angles near 0 and pi.

#include <ntkcuda/backend.hpp>
#include <ntkcuda/network.hpp>
#include <ntkcuda/progress.hpp>

namespace ntk {

/// ntk: the tangent kernel Theta_L. nngp: the covariance q_L of the outputs.
enum class InfiniteKernel { ntk, nngp };

/// The kernel between the rows of x1 (n1 x d) and x2 (n2 x d): n1 x n2. O(n1 n2 (d + L)) work. Of `architecture`, the hidden widths
/// themselves matter only for the NTK with Parametrization::standard, whose terms grow with them; else they only count the layers.
/// Throws Error(invalid_argument) for an invalid architecture, Error(shape_mismatch) if the column counts differ from
/// architecture.inputs, and Error(device_failure) naming row, depth and weight std when the kernel of a row with itself leaves the
/// normal numbers of `Real` (overflow, or underflow that would cost digits). A row that is exactly zero is valid.
/// `progress` is told of parts with about equally many pairs, (done, all); one part is done before it is asked to stop.
template <class Real>
[[nodiscard]] Matrix<Real> infinite_width_kernel(const Architecture& architecture, InfiniteKernel kernel, const Matrix<Real>& x1,
                                                 const Matrix<Real>& x2, const Progress<Index, Index>& progress = {});

/// The symmetric kernel of x with itself (each pair computed once).
template <class Real>
[[nodiscard]] Matrix<Real> infinite_width_kernel(const Architecture& architecture, InfiniteKernel kernel, const Matrix<Real>& x,
                                                 const Progress<Index, Index>& progress = {});

/// The same kernels written to `out` (n1 x n2, or n x n), memory of the backend, from rows in memory of the backend: on the CPU any memory
/// of the caller, without a copy. Throws Error(shape_mismatch) for another shape too. `out` is undefined after an Error.
template <class Real>
void infinite_width_kernel_into(MatrixView<Real> out, const std::shared_ptr<Backend<Real>>& backend, const Architecture& architecture,
                                InfiniteKernel kernel, InputView<Real> x1, InputView<Real> x2, const Progress<Index, Index>& progress = {});
template <class Real>
void infinite_width_kernel_into(MatrixView<Real> out, const std::shared_ptr<Backend<Real>>& backend, const Architecture& architecture,
                                InfiniteKernel kernel, InputView<Real> x, const Progress<Index, Index>& progress = {});

/// Its diagonal alone: n x 1, O(n (d + L)).
template <class Real>
[[nodiscard]] Matrix<Real> infinite_width_diagonal(const Architecture& architecture, InfiniteKernel kernel, const Matrix<Real>& x);

}  // namespace ntk

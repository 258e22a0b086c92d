#pragma once

/// \file pair_recursion.hpp
/// The infinite-width recursion of every pair of samples, normalised, from depth to depth: any norms, any depth (ntk parametrization).
///
///     rho_L = q_L(x, y) / sqrt(q_L(x, x) q_L(y, y))                  NNGP
///     K_L = Theta_L(x, y) / sqrt(Theta_L(x, x) Theta_L(y, y))        NTK
///
/// with 1 - rho_L and 1 - K_L to full relative precision: 1e-13 and better to depth 1e5, where they stay in the range of normal
/// numbers. Nothing overflows, underflows before its time, or drifts, whatever the variances do. Exactly 0 for parallel rows of one
/// norm. (An entry that crosses zero has no relative precision there, and where rho tends to a value strictly between 0 and 1 a K that
/// decays for L layers has L units of rounding.)

#include <ntkcuda/activation.hpp>
#include <ntkcuda/matrix.hpp>

namespace ntk {

enum class Triangle;

/// The family of networks, without their depth.
struct PairRecursionOptions {
    Activation activation{};
    double weight_std = 1;       ///< sigma_w > 0
    double bias_std = 0;         ///< sigma_b >= 0; 0: no biases
    bool trained_biases = true;  ///< whether biases count in Theta
};

/// Made by Backend::pair_recursion, in memory of that backend, which it keeps alive; float64 inside whatever Real is. One caller at a time.
template <class Real>
class PairRecursion {
public:
    PairRecursion() = default;
    PairRecursion(const PairRecursion&) = delete;
    PairRecursion& operator=(const PairRecursion&) = delete;
    virtual ~PairRecursion() = default;

    /// Layers so far; 1 at first.
    [[nodiscard]] virtual Index depth() const = 0;
    /// To `depth`; the same bits in one call or in many. About 100 flops (erf: 400) for each pair and layer.
    /// Throws Error(invalid_argument) for a depth below the present one.
    virtual void advance(Index depth) = 0;

    /// rho, 1 - rho, K, 1 - K into `out` (n1 x n2); with Triangle::lower j <= i only, and the diagonal is exactly 1 or 0. A row without a
    /// tangent kernel (zero, with fixed biases, at depth 1) has K = 0 with every other row.
    virtual void correlation(MatrixView<Real> out) = 0;
    virtual void correlation_below_one(MatrixView<Real> out) = 0;
    virtual void tangent(MatrixView<Real> out) = 0;
    virtual void tangent_below_one(MatrixView<Real> out) = 0;
};

/// Bytes that a recursion between n1 and n2 rows of `inputs` features holds at most: the pairs (64 bytes each; half of them with
/// Triangle::lower) and the samples at some layers.
[[nodiscard]] double pair_recursion_bytes(Index n1, Index n2, Index inputs, Triangle triangle);

}  // namespace ntk

#pragma once

/// \file how_deep.hpp
/// How deep is deep: the smallest depth at which the normalised kernel is near the matrix of ones, its predicted limit or the identity,
/// for one family or for many (a grid of weight and bias std), layer by layer on samples of one norm.
///
/// On the sphere K is a function of the angle of a pair alone, so a few angles stand for all pairs. Every layer is looked at: the depths
/// are exact for the angles followed. Where K is monotone in the angle (as for ReLU beyond the first layers), the largest |K - c| over
/// all pairs is that of the smallest or the largest angle, and the depths are exact for the data; otherwise the largest value lies
/// between two of the angles followed and is missed by what K changes between them.

#include <ntkcuda/depth_regime.hpp>
#include <ntkcuda/matrix.hpp>
#include <ntkcuda/progress.hpp>
#include <ntkcuda/ranks.hpp>

#include <array>
#include <optional>
#include <span>
#include <vector>

namespace ntk {

/// Distances are followed down to 10^-1, 10^-2, .., 10^-how_deep_decades.
constexpr int how_deep_decades = 12;

/// The first depth at which a distance is below 10^-(k + 1); empty where that is not so up to the last depth looked at. Transients count:
/// a distance may have risen again since.
using FirstDepths = std::array<std::optional<Index>, how_deep_decades>;

/// How deep is deep for one family.
struct HowDeep {
    RegimeReport regime;
    std::optional<double> limit;           ///< c as predicted, for the kernel of the family
    FirstDepths ones, to_limit, identity;  ///< of the largest |K - 1|, |K - c| and |K| over the angles
    /// The last depth looked at: the deepest allowed, or the one at which the predicted limit is reached to 10^-how_deep_decades.
    Index depth = 0;
    double offdiag_min = 0, offdiag_mean = 0, offdiag_max = 0;  ///< of K over the angles, there; the mean is over angles, not over pairs
};

/// Half-angle tangents tan(theta/2) of `count` >= 2 angles at equal steps from the smallest to the largest angle between rows of x.
/// O(n^2 d). Throws Error(invalid_argument) with fewer than two rows, a zero row, or two rows in the same direction.
[[nodiscard]] std::vector<long double> spread_angles(const HostMatrix<double>& x, Index count);

/// Analyses and follows each family for samples of this mean square |x|^2 / d and the angles given by half-angle tangents in
/// (0, infinity], in parallel over the families. At most `deepest` layers each, about 0.2 us a layer and angle.
/// Several ranks make the same call, follow every size-th family each, and all have the result: the same bits on any number of them.
/// `progress(done, total)` counts the families of this rank; it must not throw. Throws Error(invalid_argument) for no angle, one out of
/// range, deepest < 1, and as SphereSample, and Error(cancelled).
[[nodiscard]] std::vector<HowDeep> how_deep(std::span<const KernelFamily> families, double mean_square,
                                            std::span<const long double> half_angle_tangents, Index deepest,
                                            const Progress<Index, Index>& progress = {}, Ranks& ranks = one_rank());

}  // namespace ntk

#pragma once

/// \file depth_regime.hpp
/// What depth will do to a kernel on the sphere, from its family alone, before any kernel is computed (theory: Poole et al. 2016,
/// 1606.05340; Schoenholz et al. 2017, 1611.01232; Hayou et al. 2019, 1905.13654; Xiao et al. 2020, 1912.13053).
///
/// The variance follows q' = sigma_w^2 E[phi^2](q) + sigma_b^2. Once it is where it goes, correlations follow one map rho' = R(rho) with
/// R(1) = 1, and its slope there decides: chi = R'(1) < 1 draws all pairs together, chi > 1 drives them apart, and at chi = 1 the way
/// in which the dual leaves 1 decides (DualAtOne). With
///     1 - kappa = e - b e^(p+1)/(p+1) + ..., e = 1 - rho,
/// and no biases left, e ~ 9/(b^2 L^2) for a kink (p = 1/2) and 2/(b L) for a smooth dual (p = 1); so slope^L falls like L^-3 and L^-2,
/// and Theta, a mean over the L layers where a part enters, has K -> 1/4 and 1/3 for every such dual.

#include <ntkcuda/depth_rate.hpp>
#include <ntkcuda/sphere_recursion.hpp>

#include <optional>
#include <string>
#include <vector>

namespace ntk {

/// What chi and the variance decide.
enum class Regime {
    ordered,             ///< chi < 1: K tends to ones
    critical,            ///< chi = 1 for a homogeneous dual without biases
    growing,             ///< chi = 1 for a homogeneous dual whose variance grows exponentially, so that the biases die out
    critical_with_bias,  ///< chi = 1 for a homogeneous dual whose variance grows by sigma_b^2 a layer
    critical_finite,     ///< chi = 1 at a finite, positive variance (smooth duals)
    linear,              ///< the dual is linear, or becomes so because the variance tends to 0: angles are kept
    chaotic,             ///< chi > 1: pairs that differ are driven apart
};

/// "ordered", "critical", "growing", "critical-with-bias", "critical-finite", "linear", "chaotic".
[[nodiscard]] std::string to_string(Regime regime);

/// A fixed point of the variance map; stable where slope < 1.
struct VarianceFixedPoint {
    double variance, slope;
};

/// What one kernel tends to, as far as theory says.
struct LimitPrediction {
    std::optional<double> limit;    ///< c: every off-diagonal entry of K; empty where it depends on the data
    std::optional<DepthRate> rate;  ///< of |K - c|
    /// Whether |K - c| is, to leading order, the same for all pairs, so that the closed form has the limit of a constant kernel. Where it
    /// is not (K tends to ones exponentially), weights have a limit that depends on the data.
    bool uniform = false;

    /// The limit c/(1 - c + c n) of each closed-form weight u(x) = k(x) K^{-1} of n samples, for an x that is none of them.
    [[nodiscard]] std::optional<double> weight(Index samples) const;
    /// The limit (1 - c + c n)/(1 - c) of the condition number of K: infinite for c = 1.
    [[nodiscard]] std::optional<double> condition(Index samples) const;
};

/// One condition of the family, with what was measured.
struct FamilyCheck {
    std::string statement;
    bool holds = false;
    std::string measured;
};

/// The regime and what follows from it.
struct RegimeReport {
    Regime regime = Regime::ordered;
    double variance_limit = 0;                     ///< of q: 0, positive or infinite
    std::vector<VarianceFixedPoint> fixed_points;  ///< of the variance map
    double chi = 0;  ///< slope of rho -> rho' at 1 in the limit of depth (sigma_w^2 E[phi'^2](q) for finite q > 0)
    /// chi, or the growth of a homogeneous dual's variance, is not 1 but as near as the doubles given can tell (see analyze_regime).
    bool treated_as_critical = false;
    DualAtOne at_one{};  ///< of the dual at the limiting variance
    /// Layers in which 1 - rho changes by a factor e near 1: 1/|ln chi|; infinite where chi = 1.
    double depth_scale = 0;
    LimitPrediction ntk, nngp;
    std::string statement;  ///< one sentence for people

    [[nodiscard]] const LimitPrediction& prediction(InfiniteKernel kernel) const { return kernel == InfiniteKernel::ntk ? ntk : nngp; }
};

/// Analyses a family for samples of mean square |x|^2 / d. chi (or the growth) counts as exactly 1 if it is 1 for some weight and bias
/// std within two units in the last place of those given: sqrt(2) squared is not 2 in doubles. O(1).
/// Throws Error(invalid_argument) as SphereSample does.
[[nodiscard]] RegimeReport analyze_regime(const KernelFamily& family, double mean_square);

/// The conditions on a dual from which the behaviour at depth follows, measured on a grid at the limiting variance, so that results carry
/// over to any kernel family that meets them: kappa(1) = 1, the slope at 1, how 1 - kappa(1 - s) leaves linear as s -> 0, increasing on
/// [0, 1] and on [-1, 1], convex on [0, 1].
[[nodiscard]] std::vector<FamilyCheck> check_family(const KernelFamily& family, const RegimeReport& report);

}  // namespace ntk

#pragma once

/// \file angle_table.hpp
/// Kernels on the sphere at great depth, for all pairs at once: on equal norms K is a function of the angle alone, so it is tabulated.
///
/// The angle enters as t = tan(theta/2). The octaves [2^k, 2^(k+1)) that the data need each get `terms` Chebyshev nodes, the nodes run
/// through the layers by sphere_recursion.hpp, and at a checkpoint the values at the nodes become Chebyshev series in t of K and of
/// 1 - K. All singularities of K in t lie on the negative axis or far off the real one, so the terms fall by a factor of about 6.
///
/// Where K tends to the matrix of ones exponentially, the recursion becomes linear once 1 - rho < 1e-42 everywhere: from there on
///     1 - K = alpha (1 - K*) + beta (1 - rho*)^power
/// with two scalars for all angles, carried with a binary exponent of their own: no depth is too deep.

#include <ntkcuda/sphere_recursion.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace ntk {

/// K and 1 - K of every angle at one depth.
struct AngleLevel {
    Index depth = 0;
    int first_octave = 0;
    Index octaves = 0, terms = 0;
    std::vector<double> value;      ///< octaves x terms: Chebyshev coefficients of K
    std::vector<double> below_one;  ///< of (1 - K) / 2^exponent, of order one at its largest
    std::int64_t exponent = 0;
    double value_opposite = 0, below_one_opposite = 0;  ///< the same at theta = pi
    double error = 0;    ///< what the series drop, relative: to K's largest value and to the smallest 1 - K of an octave
    bool still = false;  ///< deeper levels have the same K, or (exponent aside) the same 1 - K, to all digits
};

class AngleTable {
public:
    /// For half-angle tangents in [smallest, largest], 0 < smallest <= largest < infinity, and opposite points. Keeps a reference to
    /// `family`. Throws Error(invalid_argument) for another range and as SphereSample does.
    AngleTable(const KernelFamily& family, double mean_square, double smallest, double largest);

    /// Takes the nodes to `depth` >= depth(), at about 0.2 us a node and layer and core. `progress(depth)` is called now and then.
    void advance(Index depth, const std::function<void(Index)>& progress = {});
    [[nodiscard]] Index depth() const { return sample_.depth(); }
    [[nodiscard]] Index nodes() const { return static_cast<Index>(pairs_.size()); }
    /// The series at the present depth (>= 1). O(nodes * terms).
    [[nodiscard]] AngleLevel level() const;

private:
    /// A positive number of any size: mantissa * 2^exponent.
    struct Scaled {
        long double mantissa = 0;
        std::int64_t exponent = 0;
    };
    /// The linear regime, from the layer where it began: the pairs stay as they were there.
    struct LinearRegime {
        Scaled alpha{1, 0}, beta{0, 0};
        Scaled correlation{1, 0};  ///< (1 - rho) / (1 - rho*)
    };
    static Scaled scaled(long double mantissa, std::int64_t exponent = 0);
    static Scaled sum(const Scaled& a, const Scaled& b);
    void advance_nodes(Index layers);
    void advance_linear();
    [[nodiscard]] std::vector<Scaled> below_one_at_nodes() const;
    [[nodiscard]] bool still() const;

    const KernelFamily& family_;
    SphereSample sample_;
    int first_octave_ = 0;
    Index octaves_ = 0;
    std::vector<SpherePair> pairs_;  // octaves x terms, and opposite points last
    std::optional<LinearRegime> linear_;
    double power_ = 1;
    bool frozen_ = false;
};

}  // namespace ntk

#pragma once

/// \file angle_table.hpp
/// Kernels on the sphere at great depth, for all pairs at once: on equal norms K is a function of the angle alone, so it is tabulated.
///
/// The angle enters as t = tan(theta/2). The octaves [2^k, 2^(k+1)) that the data need each get `terms` Chebyshev nodes, the nodes run
/// through the layers by sphere_recursion.hpp, and at a checkpoint the values at the nodes become Chebyshev series in t of K and of
/// 1 - K. All singularities of K in t lie on the negative axis or far off the real one, so the terms fall by a factor of about 6.
///
/// Where K tends to the matrix of ones exponentially, linear_regime.hpp takes over: no depth is too deep.

#include <ntkcuda/linear_regime.hpp>
#include <ntkcuda/ranks.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
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

/// The nodes, advanced from depth to depth.
class AngleTable {
public:
    /// For half-angle tangents in [smallest, largest], 0 < smallest <= largest < infinity, and opposite points. Keeps a reference to
    /// `family`. Every rank makes the table, which has the same bits on any number of them, and takes it to the same depths.
    /// Throws Error(invalid_argument) for another range and as SphereSample does.
    AngleTable(const KernelFamily& family, double mean_square, double smallest, double largest, Ranks& ranks = one_rank());

    /// Takes the nodes to `depth` >= depth(), at about 0.2 us a node and layer and core, each rank its share of them; the same bits in one
    /// call or in many. `progress(depth)` is called now and then.
    void advance(Index depth, const std::function<void(Index)>& progress = {});
    [[nodiscard]] Index depth() const { return sample_->depth(); }
    [[nodiscard]] Index nodes() const { return static_cast<Index>(pairs_.size()); }
    /// The series at the present depth (>= 1). O(nodes * terms).
    [[nodiscard]] AngleLevel level() const;
    /// Whether the linear regime has begun.
    [[nodiscard]] bool linear() const { return linear_.has_value(); }
    /// In the linear regime: the shape that (1 - K) over its largest value tends to as `below_one`, and K = 1.
    [[nodiscard]] AngleLevel limit() const;

private:
    /// What all nodes do where their state is looked at.
    struct Look {
        Index depth = 0;
        bool moved = false, linear = true;
    };
    void look_and_advance(Index depth);
    void advance_nodes(Index depth, std::vector<Look>& looks);
    /// Every rank has all nodes then.
    void exchange_nodes();
    [[nodiscard]] std::span<SpherePair> nodes_of(int rank);
    [[nodiscard]] AngleLevel to_level(const std::vector<ScaledNumber>& below_one) const;

    const KernelFamily& family_;
    Ranks& ranks_;
    std::optional<SphereSample> sample_;
    int first_octave_ = 0;
    Index octaves_ = 0;
    std::vector<SpherePair> pairs_;  // octaves x terms, and opposite points last
    std::optional<SphereLayer> last_layer_;
    std::optional<LinearRegime> linear_;
    bool frozen_ = false;
    Index stride_;  ///< layers from one exchange of looks to the next
};

}  // namespace ntk

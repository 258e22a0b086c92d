#pragma once

// Where the normalised kernel at a depth comes from: a table over the angle, or the recursion of every pair. Ranks work together on either,
// and call all functions that are not const alike; each level goes to the one rank that solves it.

#include <ntkcuda/backend.hpp>
#include <ntkcuda/depth_limit.hpp>

#include <memory>

namespace ntk {

/// 1 - K below 2^this leaves no trace in the bordered system but through E.
constexpr std::int64_t invisible_exponent = -60;

/// The kernel between training samples (n x n, both triangles) and between test and training samples (tests x n; may be empty).
struct KernelPair {
    Matrix<double> train, cross;
};

/// The kernel at one depth: K, and E with 1 - K = 2^exponent E, its largest entry of order one.
struct DepthLevel {
    KernelPair value, below_one;
    std::int64_t exponent = 0;
};

class DepthSource {
public:
    virtual ~DepthSource() = default;
    /// To `depth` >= the present one; `progress(depth)` now and then.
    virtual void advance(Index depth, const std::function<void(Index)>& progress) = 0;
    /// The present level, on rank `owner`; nothing on the others.
    [[nodiscard]] virtual DepthLevel level(int owner) = 0;
    /// What 1 - K is proportional to in the limit of depth, likewise; in the linear regime alone.
    [[nodiscard]] virtual KernelPair limiting_shape(int owner) = 0;
    /// DepthPoint::still of the present level.
    [[nodiscard]] virtual bool still() const = 0;
    /// Whether the linear regime has begun, so that limiting_shape() is known.
    [[nodiscard]] virtual bool linear() const = 0;
    /// AngleLevel::error.
    [[nodiscard]] virtual double error() const = 0;
    [[nodiscard]] virtual Index nodes() const { return 0; }
};

/// Every rank has the angles of all pairs; the nodes of the table are shared.
[[nodiscard]] std::unique_ptr<DepthSource> make_angle_source(const std::shared_ptr<Backend<double>>& backend, Ranks& ranks,
                                                             const KernelFamily& family, const HostMatrix<double>& train,
                                                             const HostMatrix<double>& test);
/// Every rank has its share of the pairs (pair_share.hpp).
[[nodiscard]] std::unique_ptr<DepthSource> make_pair_source(const std::shared_ptr<Backend<double>>& backend, Ranks& ranks,
                                                            const KernelFamily& family, const HostMatrix<double>& train,
                                                            const HostMatrix<double>& test);
/// How fast the recursion of every pair runs here, measured.
[[nodiscard]] double pair_layers_per_second(const std::shared_ptr<Backend<double>>& backend, const KernelFamily& family,
                                            const HostMatrix<double>& train);

}  // namespace ntk

#pragma once

// Where the normalised kernel at a depth comes from: a table over the angle, or the recursion of every pair.

#include <ntkcuda/backend.hpp>
#include <ntkcuda/depth_limit.hpp>

#include <memory>

namespace ntk {

/// The kernel between training samples (n x n, both triangles) and between test and training samples (tests x n; may be empty).
struct KernelPair {
    Matrix<double> train, cross;
};

class DepthSource {
public:
    virtual ~DepthSource() = default;
    /// To `depth` >= the present one; `progress(depth)` now and then.
    virtual void advance(Index depth, const std::function<void(Index)>& progress) = 0;
    /// K.
    virtual void value(KernelPair& out) = 0;
    /// E with 1 - K = 2^exponent E, its largest entry of order one. Returns the exponent.
    [[nodiscard]] virtual std::int64_t below_one(KernelPair& out) = 0;
    /// AngleLevel::still.
    [[nodiscard]] virtual bool still() = 0;
    /// Whether the linear regime has begun, so that limiting_shape() is known.
    [[nodiscard]] virtual bool linear() const = 0;
    /// What 1 - K is proportional to in the limit of depth.
    virtual void limiting_shape(KernelPair& out) = 0;
    /// AngleLevel::error.
    [[nodiscard]] virtual double error() = 0;
    [[nodiscard]] virtual Index nodes() const { return 0; }
};

[[nodiscard]] std::unique_ptr<DepthSource> make_angle_source(const std::shared_ptr<Backend<double>>& backend, const KernelFamily& family,
                                                             const HostMatrix<double>& train, const HostMatrix<double>& test);
[[nodiscard]] std::unique_ptr<DepthSource> make_pair_source(const std::shared_ptr<Backend<double>>& backend, const KernelFamily& family,
                                                            const HostMatrix<double>& train, const HostMatrix<double>& test);
/// How fast the recursion of every pair runs here, measured.
[[nodiscard]] double pair_layers_per_second(const std::shared_ptr<Backend<double>>& backend, const KernelFamily& family,
                                            const HostMatrix<double>& train);

}  // namespace ntk

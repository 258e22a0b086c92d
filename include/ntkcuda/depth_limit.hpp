#pragma once

/// \file depth_limit.hpp
/// What happens to the limiting kernel and to the closed-form solution as depth grows.
///
/// At each of a list of depths, of the kernel K normalised by its diagonal, between training samples, and k, between test and training
/// samples: entries, distances to the matrix of ones, to the identity and to the predicted limit, spectrum, and the closed-form weights
/// u(x) = K^{-1} k(x) with their distance to the limit. One pass over the layers: on equal norms by an angle_table.hpp, otherwise by the
/// recursion of every pair; u by normalized_system.hpp, right where 1 - K is 1e-75 or has underflowed.

#include <ntkcuda/data.hpp>
#include <ntkcuda/progress.hpp>
#include <ntkcuda/ranks.hpp>
#include <ntkcuda/sphere_recursion.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ntk {

/// What the weights u are measured against.
enum class WeightLimit {
    kriging,   ///< the ordinary-kriging system of the limiting shape of 1 - K, for kernels that tend to ones exponentially
    constant,  ///< u_i = c / (1 - c + c n) with c = DepthOptions::off_diagonal_limit
    deepest    ///< the deepest depth at which u is resolved
};

/// The family, and what is measured at which depths.
struct DepthOptions {
    KernelFamily family{};
    std::vector<Index> depths{};                 ///< ascending, each >= 1, at most once
    std::optional<double> off_diagonal_limit{};  ///< c, where the entries are predicted to go (depth_regime.hpp), if anywhere
    WeightLimit weight_limit = WeightLimit::deepest;
    bool spectrum = false;  ///< all eigenvalues at every depth, not only the extreme ones
};

/// The kernel and the closed form at one depth.
struct DepthPoint {
    Index depth = 0;
    double offdiag_min = 0, offdiag_mean = 0, offdiag_max = 0;  ///< of K
    double max_one_minus_k = 0;                                 ///< largest 1 - K; 0 where it underflows
    double log10_max_one_minus_k = 0;
    double dist_ones = 0, dist_ones_max = 0;          ///< ||K - 1 1^T||_F / ||1 1^T||_F, and the largest entry of K - 1 1^T
    double dist_limit = 0, dist_limit_max = 0;        ///< the same to the predicted limit; NaN where there is none
    double dist_identity = 0, dist_identity_max = 0;  ///< the same to the identity

    /// NaN from here on where the system is singular to rounding (closed_form_note says why).
    double log10_lambda_min = 0, log10_lambda_max = 0, log_determinant = 0;
    double u_sum = 0;                               ///< mean over the tests of sum_i u_i(x)
    double u_dist_limit = 0, u_dist_limit_max = 0;  ///< ||u - u_limit||_F / ||u_limit||_F (undivided if u_limit = 0), and max |u - u_limit|
    double u_error = 0;                             ///< estimate of the relative error of u (NormalizedReport::error)
    std::optional<double> score;                    ///< test accuracy (classification) or RMSE of u y
    std::string closed_form_note;

    double table_error = 0;  ///< what the angle table drops, relative (0 for pairs by recursion)
    /// Nothing moves any more, from the level before on: the same K, or the same 1 - K but for one factor. Closed form and shape of the
    /// spectrum are those of the level where this began.
    bool still = false;

    std::vector<double> traced_kernel, traced_cross, traced_weight;  ///< at DepthResult::traced_*
    std::vector<double> log10_spectrum;                              ///< ascending, with DepthOptions::spectrum
};

/// The whole study.
struct DepthResult {
    std::vector<DepthPoint> points;           ///< one a depth
    std::vector<HostMatrix<double>> weights;  ///< u (tests x samples) at each depth; empty where it is not resolved, or without tests
    /// What u_dist_limit is measured against: as asked for, or `deepest` where the linear regime begins too deep for the kriging limit.
    WeightLimit weight_limit = WeightLimit::deepest;
    std::optional<double> limit_score;  ///< DepthPoint::score of the limit
    Index found = 0;                    ///< points that were in the store
    bool equal_norms = false;           ///< whether the angle table served
    Index table_nodes = 0;
    /// Columns of entries followed for figures: of the first training sample (traced_kernel) and of the first test sample (the others),
    /// from the nearest to the farthest.
    std::vector<Index> traced_train, traced_test;
    std::vector<double> traced_limit;  ///< the limit of DepthPoint::traced_weight
};

/// What one depth gives: the state of a study is one of these for each depth, so it may stop and go on anywhere with the same bits in the
/// end, and depths may be added (they may change the last digits of u at deeper levels where nothing moves any more, since these repeat a
/// level before them). Of `point`, the distances of u are not kept: they need the limit.
struct DepthRecord {
    DepthPoint point;
    HostMatrix<double> weights;
};

/// Where depth_limit() leaves what it has done and finds what it did before.
class DepthStore {
public:
    virtual ~DepthStore() = default;
    /// Empty if the depth was not saved.
    [[nodiscard]] virtual std::optional<DepthRecord> load(Index depth) = 0;
    /// Whole or not at all.
    virtual void save(const DepthRecord& record) = 0;
};

/// A store in a folder: two files a depth. `parameters` (depth_parameters()) is kept beside them; a folder that holds other parameters
/// throws Error(invalid_argument) naming the first that differs, a damaged one Error(io).
[[nodiscard]] std::unique_ptr<DepthStore> open_depth_store(const std::string& folder, const std::string& parameters);

/// Everything that a record depends on except its depth, one "name = value" a line.
[[nodiscard]] std::string depth_parameters(const Backend<double>& backend, const Dataset& train, const Dataset* test,
                                           const DepthOptions& options);

/// How far a study is: layers of the recursion, and depths whose kernel has been measured and solved.
struct DepthProgress {
    Index layer = 0, layers = 0;
    Index solved = 0, depths = 0;
};

/// Bytes on the device that depth_limit() holds at once, and on the host for u at all depths.
struct DepthMemory {
    double device = 0, host = 0;
};
/// An upper bound for each of `ranks` ranks (on the host: for the root), before the study starts.
[[nodiscard]] DepthMemory depth_memory(const DepthOptions& options, const HostMatrix<double>& train, const HostMatrix<double>& test,
                                       int ranks = 1);
/// The same from sizes; `by_angle` is angle_alone().
[[nodiscard]] DepthMemory depth_memory(const DepthOptions& options, Index train, Index tests, Index features, bool by_angle, int ranks = 1);

/// What the recursion of every pair takes where the angle is not all: pairs times layers, and an estimate of the time, an upper bound
/// where nothing moves any more before the deepest depth. Zero where the angle table serves.
struct DepthEstimate {
    double pair_layers = 0, seconds = 0;
};
/// From a short run over some of the samples, a fraction of a second; `seconds` on so many ranks like this one. Throws as depth_limit().
[[nodiscard]] DepthEstimate depth_estimate(const std::shared_ptr<Backend<double>>& backend, const DepthOptions& options,
                                           const HostMatrix<double>& train, const HostMatrix<double>& test, int ranks = 1);
/// Whether all pairs are functions of the angle alone: equal norms (to 1e-13), or a homogeneous dual without biases.
[[nodiscard]] bool angle_alone(const KernelFamily& family, const HostMatrix<double>& train, const HostMatrix<double>& test);

/// Runs the study on data that are normalised already. Without a test set (null) there are no weights, without targets no scores.
/// With a store, depths found there are not computed again, and every new one is saved at once.
/// Several ranks share the nodes of the angle table or the pairs of samples, and solve a depth each; all make the same call, and the root
/// alone has the store, and points and weights in the end: the same bits on any number of ranks of one kind of device. A failure in solving
/// a depth is thrown on all ranks when the other depths of its round are saved.
/// Throws Error(not_positive_definite) naming two training samples that are equal (K is singular at every depth), Error(invalid_argument)
/// for depths out of order, a zero sample where sigma_b = 0, and a dual given by Hermite coefficients on samples of unequal norms, and
/// Error(cancelled).
[[nodiscard]] DepthResult depth_limit(const std::shared_ptr<Backend<double>>& backend, const Dataset& train, const Dataset* test,
                                      const DepthOptions& options, const Progress<const DepthProgress&>& progress = {},
                                      DepthStore* store = nullptr, Ranks& ranks = one_rank());

}  // namespace ntk

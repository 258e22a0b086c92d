#pragma once

/// \file compare.hpp
/// Finite width against the limit over depths x widths x networks.
///
/// With E_s = Theta_s - Theta_inf for the independent networks s = 1 .. S of one depth and width, and b = E Theta - Theta_inf, the error
/// splits into E ||E_s||^2 = ||b||^2 + fluctuation^2. Both are estimated without bias from the inner products of the E_s:
///
///     bias^2        = 1/(S (S - 1)) sum_{s != t} <E_s, E_t>                (a U-statistic; it can come out negative)
///     fluctuation^2 = 1/S sum_s ||E_s||^2 - bias^2                         (the sample variance, with S - 1)
///
/// and their standard errors by the jackknife over networks, which on average errs to the large side (Efron & Stein 1981).
/// The inner products need every E_s at the end, so of each only evenly spaced rows are kept (all of them up to `sampled_entries`
/// entries), in float32: bias and fluctuation are those of the kernel's block of these rows, relative to the norm of the limit's.
///
/// On the diagonal, with r_si = Theta_s(x_i, x_i) / Theta_inf(x_i, x_i) over the m training samples (block trace over outputs), the
/// relative variance
///
///     1/m sum_i E (r_si - 1)^2                where the mean of r_si is known to be 1 at every width (exact_moments.hpp)
///     1/m sum_i Var r_si                      otherwise, by the sample variance over networks
///
/// stands beside its exact value where there is one. It shows where the infinite-width picture stops being true: at depth ~ width the
/// fluctuation is as large as the mean. Samples of one network are correlated, so all standard errors are over networks.
/// Samples with Theta_inf(x_i, x_i) = 0 (x_i = 0, no bias) say nothing about it and are left out of the diagonal's numbers.
///
/// The state of a sweep is one independent record for each network: it may stop and go on anywhere, and grow in any direction,
/// with the same bits in the end.

#include <ntkcuda/closed_form.hpp>
#include <ntkcuda/data.hpp>
#include <ntkcuda/exact_moments.hpp>
#include <ntkcuda/infinite_width.hpp>
#include <ntkcuda/network.hpp>
#include <ntkcuda/progress.hpp>
#include <ntkcuda/workers.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ntk {

/// The sweep: a network for each depth, width and seed.
struct CompareOptions {
    Architecture base{};                    ///< activation, stds, biases, parametrization, outputs; inputs and hidden widths are replaced
    std::vector<Index> depths{2, 3, 5, 9};  ///< each >= 2 (a linear model has no width), all different
    std::vector<Index> widths{64, 256, 1024};  ///< of every hidden layer, all different
    Index seeds = 20;                          ///< networks for each depth and width, >= 3
    std::uint64_t seed = 1;                    ///< network s of a cell is network number s of this seed
    double ridge = 0;                          ///< of both closed-form predictors
};

/// Entries of a kernel that are kept of each network for bias and fluctuation; larger kernels give evenly spaced rows.
inline constexpr Index sampled_entries = Index{1} << 16;

/// What one network gives, relative to the limit.
struct NetworkErrors {
    Index depth = 0, width = 0, network = 0;
    double train_relative = 0, test_relative = 0;   ///< ||Theta - Theta_inf||_F / ||Theta_inf||_F of train x train and test x train
    double train_largest = 0, test_largest = 0;     ///< max |entry of Theta - Theta_inf| / max |entry of Theta_inf|
    double diagonal_mean = 0, diagonal_square = 0;  ///< mean over the training samples of r = Theta(x,x) / Theta_inf(x,x), and of (r - 1)^2
    std::optional<double> predictor_distance;  ///< ||f - f_inf||_F / ||f_inf||_F on the test points; unset without targets or on failure
    std::optional<double> score;               ///< test accuracy or RMSE of this network's predictor; unset likewise
    std::optional<double> limit_score;         ///< the same of the limit's predictor; unset without targets
    std::string failure;                       ///< why its kernel has no predictor (not positive definite); empty if it has one
};

/// One network's share of the state of a sweep.
struct NetworkRecord {
    NetworkErrors errors;
    std::vector<float> train_sample, test_sample;  ///< the kept rows of Theta - Theta_inf over the norm of these rows of Theta_inf
    std::vector<float> diagonal;                   ///< r - 1 of evenly spaced training samples (all up to `sampled_entries`)
};

/// Where compare() leaves what it has done and finds what it did before. Each record is a function of (depth, width, network) alone.
class CompareStore {
public:
    virtual ~CompareStore() = default;
    /// Empty if the network was not saved.
    [[nodiscard]] virtual std::optional<NetworkRecord> load(Index depth, Index width, Index network) = 0;
    /// Whole or not at all.
    virtual void save(const NetworkRecord& record) = 0;
};

/// A store in a folder: two files a network, each written aside and then renamed, so that an end at any time leaves a usable state.
/// `parameters` (compare_parameters()) is kept beside them; a folder that holds other parameters throws Error(invalid_argument) naming the
/// first that differs, a damaged one Error(io).
[[nodiscard]] std::unique_ptr<CompareStore> open_compare_store(const std::string& folder, const std::string& parameters);

/// Everything that a record depends on except depth, width and network: options, precision, kind of device and a checksum of the
/// data, one "name = value" a line.
template <class Real>
[[nodiscard]] std::string compare_parameters(const std::shared_ptr<Backend<Real>>& backend, const Dataset& train, const Dataset& test,
                                             const CompareOptions& options);

/// Mean, sample standard deviation, and standard error of the mean, over `count` >= 2 networks.
struct Spread {
    double mean = 0, deviation = 0, standard_error = 0;
    Index count = 0;
};

/// One kernel block (train x train, or test x train) of one depth and width.
struct KernelError {
    Spread relative;          ///< NetworkErrors::*_relative over the networks
    Spread largest;           ///< NetworkErrors::*_largest over the networks
    double bias_squared = 0;  ///< unbiased, so it may be negative
    double bias_squared_error = 0;
    double bias = 0;  ///< its root; 0 where bias_squared is negative
    double bias_error =
        0;  ///< bias_squared_error / (2 bias) where resolved, else sqrt(2 bias_squared_error): how large an unseen bias may be
    bool bias_resolved = false;  ///< bias_squared > 2 bias_squared_error
    double fluctuation = 0;      ///< root mean square of Theta_s - E Theta
    double fluctuation_error = 0;
};

/// What the networks of one depth and width say.
struct CompareCell {
    Index depth = 0, width = 0;
    KernelError train, test;             ///< train x train and test x train kernels
    double diagonal_variance = 0;        ///< relative variance of the diagonal of train x train
    double diagonal_variance_error = 0;  ///< its standard error, itself an estimate
    std::optional<double>
        diagonal_variance_exact;               ///< at this depth, width and number of outputs; unset where has_exact_moments() is false
    std::optional<Spread> predictor_distance;  ///< unset where fewer than two networks have a predictor
    std::optional<Spread> score;               ///< accuracy (CompareResult::classification) or RMSE of the finite networks' predictors
    std::optional<double> limit_score;         ///< the same of the limit's predictor
    Index failures = 0;                        ///< networks whose kernel has no predictor; the spreads above are over the others
    std::string failure;                       ///< the first failure's message

    /// (depth - 1) / width, what the relative variance depends on.
    [[nodiscard]] double lambda() const { return static_cast<double>(depth - 1) / static_cast<double>(width); }
    /// (measured - exact) / standard error of the diagonal's variance; unset without an exact value, without fluctuation, and where the
    /// tails are too heavy for it to mean anything (lambda() > heavy_tail_lambda). The standard error is an estimate that is small where
    /// the variance came out small, so with few networks (below about 200) z has a long tail of negative values.
    [[nodiscard]] std::optional<double> diagonal_z() const;
};

/// Least-squares slope of log error against log width, weighted by the standard errors.
struct Slope {
    double value = 0, standard_error = 0;
    Index widths = 0;  ///< how many entered, >= 2
};

/// The slopes of one depth. Theory: fluctuation -1/2, bias -1. Bias: over the widths that resolve it; unset with fewer than two.
struct DepthSlopes {
    Index depth = 0;
    std::optional<Slope> train_fluctuation, train_bias, test_fluctuation, test_bias;
};

/// The whole sweep.
struct CompareResult {
    bool classification = false;          ///< whether scores are accuracies; otherwise they are RMSEs
    std::vector<CompareCell> cells;       ///< depth-major, in the order of the options
    std::vector<DepthSlopes> slopes;      ///< in the order of the options
    std::vector<NetworkErrors> networks;  ///< every network, in the order of the cells
};

/// Runs the sweep on data that are normalised already. Without targets there are no predictors, only kernels. `progress(done, total)`
/// counts networks. With a store, networks found there are not computed again, and every new one is saved at once. Throws
/// Error(invalid_argument) for the domains above and for data that do not fit each other, Error(not_positive_definite) if the limit itself
/// has no predictor, Error(device_failure) for a network whose kernel overflows, and Error(cancelled).
template <class Real>
[[nodiscard]] CompareResult compare(const std::shared_ptr<Backend<Real>>& backend, const Dataset& train, const Dataset& test,
                                    const CompareOptions& options, const Progress<Index, Index>& progress = {},
                                    CompareStore* store = nullptr);

/// The same sweep, with the same bits, by several workers (workers.hpp), which share out the networks. Each holds the data and the limit of
/// its own: compare_peak_bytes() is for each device. Every rank ends with the whole result or with the same Error. Of the root's `store`
/// records are found and in it they are saved, those of several workers some at a time; other ranks' are left alone.
template <class Real>
[[nodiscard]] CompareResult compare(const Workers<Real>& workers, const Dataset& train, const Dataset& test, const CompareOptions& options,
                                    const Progress<Index, Index>& progress = {}, CompareStore* store = nullptr);

/// The network of a cell.
[[nodiscard]] Architecture architecture_of_cell(const CompareOptions& options, Index inputs, Index depth, Index width);

/// Throws what compare() throws for options and data out of their domains, before any work.
void require_compare_domains(const Dataset& train, const Dataset& test, const CompareOptions& options);

/// The most memory of a device that the sweep holds at once, in bytes, for values of `real_bytes` each: two n x n and two t x n matrices,
/// the widest network and its passes. Workspace of the vendor's solver comes on top.
[[nodiscard]] std::uint64_t compare_peak_bytes(const CompareOptions& options, Index train_samples, Index test_samples, Index features,
                                               Index targets, std::size_t real_bytes);

}  // namespace ntk

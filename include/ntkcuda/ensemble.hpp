#pragma once

/// \file ensemble.hpp
/// The law of the finite-width kernels: moments of every entry of Theta and of the NNGP over many random networks, covariances of chosen
/// pairs of entries, histograms of chosen ones, and exact theory beside them (exact_moments.hpp).
///
/// Networks are numbers 0, 1, 2, .. of a seed, taken in chunks that depend on the number of entries alone; each chunk gives its moments
/// (Backend::column_moments) and these are merged in order. So neither threads nor interruptions change a bit.

#include <ntkcuda/exact_moments.hpp>
#include <ntkcuda/kernel_sampler.hpp>
#include <ntkcuda/moments.hpp>
#include <ntkcuda/progress.hpp>
#include <ntkcuda/workers.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ntk {

/// One number of a network: an entry of Theta, of the term of one of its layers, or of the NNGP, as (row, column) of that kernel with
/// column <= row (diag: sample, output).
struct KernelEntry {
    enum class Kernel { tangent, nngp } kernel = Kernel::tangent;
    Index row = 0, column = 0;
    Index layer = 0;  ///< 0: Theta itself; l = 1 .. L: the term of layer l

    friend bool operator==(const KernelEntry&, const KernelEntry&) = default;
};

/// "theta[4,0]", "theta[4,0].layer2" or "nngp[1,0]", rows and columns from 0 as in the arrays.
[[nodiscard]] std::string to_string(const KernelEntry& entry);
/// The reverse; either order of row and column. Throws Error(invalid_argument).
[[nodiscard]] KernelEntry parse_kernel_entry(const std::string& name);

/// Which networks are drawn, how many, and what is gathered beside the moments.
struct EnsembleOptions {
    KernelSamplerOptions sampler{};
    Index networks = 100000;                                         ///< in [2, 2^32)
    std::vector<KernelEntry> histograms{};                           ///< entries whose values are binned
    std::vector<std::pair<KernelEntry, KernelEntry>> covariances{};  ///< pairs of entries
};

/// Everything that has been learnt from `moments.count()` networks.
struct EnsembleState {
    Moments moments;  ///< of every column of KernelLayout
    /// Of (a - c_a)(b - c_b) and of a b, for each pair of EnsembleOptions::covariances; c_a, c_b are the means of the first chunk, fixed
    /// from then on.
    Moments products;
    std::vector<double> centres;
    std::vector<ValueHistogram> histograms;
};

/// Where ensemble() leaves what it has done and finds what it did before.
class EnsembleStore {
public:
    virtual ~EnsembleStore() = default;
    /// Empty if nothing was saved.
    [[nodiscard]] virtual std::optional<EnsembleState> load() = 0;
    /// Whole or not at all.
    virtual void save(const EnsembleState& state) = 0;
};

/// A store in a folder, one file written aside and then renamed. `parameters` (ensemble_parameters()) is kept beside it; a folder that
/// holds other parameters throws Error(invalid_argument) naming the first that differs, a damaged one Error(io).
[[nodiscard]] std::unique_ptr<EnsembleStore> open_ensemble_store(const std::string& folder, const std::string& parameters);

/// Everything that a state depends on except the number of networks, one "name = value" a line.
template <class Real>
[[nodiscard]] std::string ensemble_parameters(const Backend<Real>& backend, const HostMatrix<double>& x, const EnsembleOptions& options);

/// Cov(a, b) and its standard error.
struct Covariance {
    double value = 0, error = 0;
    double product = 0, product_error = 0;  ///< E[a b]
};

/// What ensemble() has gathered, by entry.
class Ensemble {
public:
    /// Of a state gathered with these options on so many samples.
    Ensemble(KernelSamplerOptions options, Index samples, EnsembleState state);

    [[nodiscard]] const KernelSamplerOptions& options() const { return options_; }
    [[nodiscard]] Index samples() const { return samples_; }
    [[nodiscard]] Index networks() const { return state_.moments.count(); }
    [[nodiscard]] const KernelLayout& layout() const { return layout_; }
    [[nodiscard]] const EnsembleState& state() const { return state_; }
    /// The column of an entry. Throws Error(invalid_argument) naming an entry that the kernel does not have.
    [[nodiscard]] Index column(const KernelEntry& entry) const;
    /// What is known about an entry.
    [[nodiscard]] Statistics at(const KernelEntry& entry) const { return state_.moments.at(column(entry)); }
    /// Of pair `index` of EnsembleOptions::covariances.
    [[nodiscard]] Covariance covariance(std::size_t index, const std::pair<KernelEntry, KernelEntry>& pair) const;
    /// One number of every entry, in the shape of the kernel (full: nO x nO, trace: n x n, diag: n x O; nngp: n x n).
    [[nodiscard]] HostMatrix<double> matrix(KernelEntry::Kernel kernel, double Statistics::*number, Index layer = 0) const;
    /// Every entry of Theta, then of the NNGP (lower triangles).
    [[nodiscard]] std::vector<KernelEntry> entries() const;

private:
    KernelSamplerOptions options_;
    Index samples_;
    KernelLayout layout_;
    EnsembleState state_;
};

/// Networks of one chunk for rows of `columns` numbers: a power of two, at most 4096, and about 2^20 numbers.
[[nodiscard]] Index ensemble_chunk(Index columns);

/// Bytes on the device that a run holds at once beside the sampler's own workspace.
[[nodiscard]] double ensemble_bytes(const EnsembleOptions& options, Index samples, std::size_t real_bytes);

/// Throws Error(invalid_argument) as ensemble() does for options that kernels of so many samples do not have, before any work.
void require_ensemble_domains(const EnsembleOptions& options, Index samples);

/// Draws networks 0 .. networks - 1 and gathers. With a store, chunks found there are not drawn again and the state is saved as the work
/// goes on and at the end (whole chunks only). `progress(done, total)` counts networks.
/// Throws Error(invalid_argument) for the domains above, for networks outside [2, 2^32), for a store that holds more networks than asked
/// for, Error(device_failure) for values that are not finite, naming the chunk, and Error(cancelled).
template <class Real>
[[nodiscard]] Ensemble ensemble(const std::shared_ptr<Backend<Real>>& backend, const HostMatrix<double>& x, const EnsembleOptions& options,
                                const Progress<Index, Index>& progress = {}, EnsembleStore* store = nullptr);

/// The same, with the same bits, by several workers (workers.hpp), which share out the chunks; ensemble_bytes() is for each device. Every
/// rank ends with the whole ensemble or with the same Error. The root's `store` is read and written, other ranks' are left alone.
template <class Real>
[[nodiscard]] Ensemble ensemble(const Workers<Real>& workers, const HostMatrix<double>& x, const EnsembleOptions& options,
                                const Progress<Index, Index>& progress = {}, EnsembleStore* store = nullptr);

/// A measured number, what exact theory says, and how many standard errors lie between.
struct Comparison {
    std::string what;
    double measured = 0, error = 0, exact = 0;
    double effective = 0;    ///< how many networks the standard error rests on (Statistics::effective2, effective4)
    bool conclusive = true;  ///< false: the tails are too heavy for the standard error to mean anything

    [[nodiscard]] double z() const { return (measured - exact) / error; }
};

/// The infinite-width limits of Theta and of the NNGP, each n x n.
struct EnsembleLimit {
    HostMatrix<double> tangent, nngp;

    /// 0 between different outputs. Unset for the term of a layer.
    [[nodiscard]] std::optional<double> at(const Ensemble& ensemble, const KernelEntry& entry) const;
};

/// All that exact theory says about the ensemble at these very widths. Where has_exact_moments(): for each sample x and outputs o != o'
///     E Theta_oo(x,x) and of each layer's term, E Theta_oo(x,x)^2, E Theta_oo'(x,x)^2, E[Theta_oo Theta_o'o'] of the pairs asked for,
///     E NNGP(x,x), E NNGP(x,x)^2 = prod_l (1 + 5/n_l) (E NNGP)^2,
/// with block trace E and E^2 of (1/O) sum_o Theta_oo(x,x). E Theta_oo'(x,x') = 0 for all x, x' always. With one hidden layer the mean of
/// every entry is the limit's, for every activation. Numbers that do not fluctuate are left out. Second moments are not conclusive where
/// sum_l 1/n_l > heavy_tail_lambda, nor is anything that rests on fewer than heavy_tail_values networks. `second_moments` is the theory of
/// the second moments of Theta.
[[nodiscard]] std::vector<Comparison> compare_with_theory(
    const Ensemble& ensemble, const HostMatrix<double>& x, const EnsembleLimit& limit,
    const std::vector<std::pair<KernelEntry, KernelEntry>>& covariances,
    const std::function<DiagonalMoments(const Architecture&)>& second_moments = diagonal_moments);

/// One verdict on many comparisons: the largest |z| of the conclusive ones, and the probability that the largest of as many independent
/// standard normals is at least that, 1 - (1 - erfc(z / sqrt 2))^m (for dependent ones an upper bound, Sidak 1967).
struct Verdict {
    Index comparisons = 0, inconclusive = 0;
    double largest_z = 0, probability = 1;
    std::string worst;  ///< Comparison::what of the largest
    [[nodiscard]] bool consistent() const { return probability >= significance; }
    static constexpr double significance = 1e-3;
};
/// The verdict on these comparisons. O(m).
[[nodiscard]] Verdict judge(const std::vector<Comparison>& comparisons);

/// E entry = limit (1 + c_1/w + c_2/w^2 ..): the leading coefficients, by least squares weighted with the standard errors.
struct WidthFit {
    double coefficient = 0, error = 0;  ///< c_1 and its standard error
    double chi_squared = 0;             ///< of the fit, with `freedom` degrees of freedom
    Index terms = 0, freedom = 0;
};
/// Two terms from three widths on, else one. Unset for fewer than two widths or limit = 0. `widths` distinct.
[[nodiscard]] std::optional<WidthFit> fit_width(const std::vector<Index>& widths, const std::vector<Statistics>& entry, double limit);

}  // namespace ntk

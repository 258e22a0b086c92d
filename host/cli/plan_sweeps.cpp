// Plans of the commands that repeat the same work: compare, depth, ensemble.

#include "plan_outline.hpp"

#include <ntkcuda/random.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace ntk::cli {
namespace {

/// Networks that are timed: doubled until they take as long as this, or are all.
constexpr double timed_seconds = 0.3;
constexpr Index timed_networks = 16;

/// Seconds a network, of networks like these on samples like these.
template <class Real>
double seconds_a_network(const std::shared_ptr<Backend<Real>>& backend, EnsembleOptions options, Index samples) {
    const HostMatrix<double> x = host_normals({1, 0, 0}, samples, options.sampler.architecture.inputs);
    const Index all = options.networks;
    for (Index networks = std::min(timed_networks, all);; networks = std::min(2 * networks, all)) {
        options.networks = networks;
        const auto start = std::chrono::steady_clock::now();
        (void)ensemble<Real>(backend, x, options);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        if (seconds >= timed_seconds || networks == all) return seconds / static_cast<double>(networks);
    }
}

/// The work of one network where it is not timed; the conditional sampler draws (1 + O) n numbers for n_{l-1} of a layer.
Phase network_phase(const EnsembleOptions& options, double samples, std::size_t real) {
    KernelWork kernel;
    kernel.architecture = options.sampler.architecture;
    kernel.block = options.sampler.block;
    kernel.real_bytes = real;
    kernel.layer_terms = options.sampler.per_layer;
    std::vector<Phase> phases = network_phases(kernel);
    add_phases(phases, kernel_phases(kernel, {samples, samples * (samples + 1) / 2}, samples * samples));
    if (options.sampler.sampler == Sampler::conditional) {
        double units = 0;
        for (const Index width : kernel.architecture.hidden) units += static_cast<double>(width);
        phases.front().work.front().amount = (1 + static_cast<double>(kernel.architecture.outputs)) * samples * units;
    }
    Phase whole{"networks", "ensemble", {}};
    for (const Phase& phase : phases) whole.work.insert(whole.work.end(), phase.work.begin(), phase.work.end());
    return whole;
}

}  // namespace

PlanOutline compare_outline(const Run& run, const CompareOptions& options, const SampleCounts& size, double bytes) {
    PlanOutline outline;
    outline.what = fmt::format("comparison of {} networks on {} + {} samples, depths {}, widths {}",
                               static_cast<Index>(options.depths.size() * options.widths.size()) * options.seeds, size.samples, size.tests,
                               fmt::join(options.depths, ","), fmt::join(options.widths, ","));
    outline.choices = {
        {"solver", size.targets > 0 ? "cholesky: one for each network, one for each limit" : "none: the data have no targets"}};
    for (const int ranks : run.planned_ranks())
        outline.ranks.push_back({ranks, compare_phases(options, size, run.arguments().real_bytes(), ranks), bytes});
    return outline;
}

PlanOutline depth_outline(const Run& run, const std::shared_ptr<Backend<double>>& backend, const DepthOptions& options,
                          const SampleCounts& size, Normalization normalization) {
    const bool equal_norms = normalization == Normalization::sphere || normalization == Normalization::unit;
    const bool by_angle = equal_norms || (options.family.dual.homogeneous() && options.family.bias_std == 0);
    const auto memory = [&](int ranks) { return depth_memory(options, size.samples, size.tests, size.features, by_angle, ranks); };
    PlanOutline outline;
    outline.what =
        fmt::format("depth on {} + {} samples, {} depths up to {}", size.samples, size.tests, options.depths.size(), options.depths.back());
    outline.choices = {{"kernels", by_angle ? "a table over the angle: the kernel is a function of it alone"
                                            : "the recursion of every pair: norms may differ"},
                       {"spectrum", options.spectrum ? "all eigenvalues at every depth" : "the extreme eigenvalues"}};
    outline.host_memory = memory(1).host;
    outline.file_bytes =
        outline.host_memory + (options.spectrum ? static_cast<double>(options.depths.size() * size.samples) * sizeof(double) : 0);
    Phase pairs{"pairs", "depth", {}};
    if (!by_angle) {
        const double layers = depth_pair_layers(options, size);
        if (run.given_rates()) {
            const auto deepest = static_cast<double>(options.depths.back());
            const bool ntk = options.family.kernel == InfiniteKernel::ntk;
            pairs.work = {{ntk ? Operation::erf_ntk : Operation::erf_nngp, layers, deepest}};
        } else {
            const HostMatrix<double> some = host_normals({1, 0, 0}, std::min<Index>(size.samples, 1024), size.features);
            const DepthEstimate estimate = depth_estimate(backend, options, some, HostMatrix<double>(0, size.features));
            if (estimate.pair_layers > 0) pairs.measured = layers * estimate.seconds / estimate.pair_layers;
        }
    }
    for (const int ranks : run.planned_ranks()) {
        RankOutline one{ranks, {}, memory(ranks).device};
        if (!by_angle) add_phases(one.phases, {pairs}, 1.0 / ranks);
        add_phases(one.phases, depth_phases(options, size, ranks));
        one.phases.push_back(write_phase(outline.file_bytes));  // by the root
        outline.ranks.push_back(std::move(one));
    }
    return outline;
}

template <class Real>
PlanOutline ensemble_outline(const Run& run, const std::shared_ptr<Backend<Real>>& backend, const std::vector<EnsembleOptions>& sweep,
                             Index samples) {
    PlanOutline outline;
    outline.what = fmt::format("{} ensemble{} of {} networks on {} samples", sweep.size(), sweep.size() == 1 ? "" : "s",
                               sweep.front().networks, samples);
    double memory = 0;
    std::vector<Phase> networks;  // one network of each ensemble
    for (const EnsembleOptions& options : sweep) {
        require_ensemble_domains(options, samples);
        memory = std::max(memory, ensemble_bytes(options, samples, sizeof(Real)));
        outline.file_bytes += 3 * static_cast<double>(kernel_layout(options.sampler, samples).columns()) * sizeof(double);
    }
    if (memory <= run.memory_available())
        for (const EnsembleOptions& options : sweep) {
            networks.push_back(network_phase(options, static_cast<double>(samples), sizeof(Real)));
            if (!run.given_rates()) networks.back().measured = seconds_a_network(backend, options, samples);
        }
    outline.choices = {{"sampler", sweep.front().sampler.sampler == Sampler::weights ? "weights: every weight is drawn"
                                                                                     : "conditional: no matrix between hidden layers"}};
    for (const int ranks : run.planned_ranks()) {
        RankOutline one{ranks, {}, memory};
        for (std::size_t i = 0; i < networks.size(); ++i)
            add_phases(one.phases, {networks[i]}, std::ceil(static_cast<double>(sweep[i].networks) / ranks));
        outline.ranks.push_back(std::move(one));
    }
    return outline;
}

template PlanOutline ensemble_outline(const Run&, const std::shared_ptr<Backend<float>>&, const std::vector<EnsembleOptions>&, Index);
template PlanOutline ensemble_outline(const Run&, const std::shared_ptr<Backend<double>>&, const std::vector<EnsembleOptions>&, Index);

}  // namespace ntk::cli

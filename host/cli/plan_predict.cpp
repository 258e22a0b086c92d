// The plan of a prediction: the solvers that it may choose from, and what each of them takes.

#include "pass_sharing.hpp"
#include "plan_parts.hpp"
#include "solver_choice.hpp"

#include <ntkcuda/pivoted_cholesky.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ntk::cli {
namespace {

/// Everything that the solvers' plans are made from.
struct Prediction {
    const Run& run;
    const PredictArguments& arguments;
    const Architecture& architecture;
    const KernelMemory& memory;
    const SampleCounts& size;
    KernelWork kernel;
    SystemWork system;

    [[nodiscard]] double samples() const { return static_cast<double>(size.samples); }
    [[nodiscard]] double tests() const { return static_cast<double>(size.tests); }
    [[nodiscard]] double real() const { return static_cast<double>(kernel.real_bytes); }
    [[nodiscard]] Index rows_per_sample() const { return static_cast<Index>(kernel.rows_per_sample()); }
};

SystemWork system_work(const PredictArguments& a, const KernelWork& kernel, const SampleCounts& size) {
    SystemWork system;
    system.rows = static_cast<double>(size.samples) * kernel.rows_per_sample();
    system.tests = static_cast<double>(size.tests) * kernel.rows_per_sample();
    system.targets = kernel.block == Block::full ? 1 : static_cast<double>(size.targets);
    system.values = static_cast<double>(a.values().size());
    system.spectrum = a.spectral();
    system.posterior = a.posterior;
    system.coarse = kernel.gram == GramPrecision::half;
    system.real_bytes = kernel.real_bytes;
    return system;
}

/// The matrix, factorised in place.
RankOutline by_matrix(const Prediction& p, int ranks) {
    RankOutline one{ranks, network_phases(p.kernel)};
    const double n = p.samples(), m = p.tests();
    if (ranks == 1) {
        append(one.phases, kernel_phases(p.kernel, {n, n * (n + 1) / 2}, n * n));
        append(one.phases, kernel_phases(p.kernel, {n + m, m * n}, m * n), "cross ");
        append(one.phases, system_phases(p.system));
        return one;
    }
    const auto part = [&](const DistributedLayout& samples, const std::string& prefix) {
        const DistributedCost cost = distributed_cost(samples, p.rows_per_sample(), p.size.targets, p.kernel.real_bytes);
        const PassSharing sharing = share_passes(p.run, p.arguments.kernel, p.architecture, p.memory, samples);
        append(one.phases, part_phases(p.kernel, cost, sharing.passes), prefix);
        if (samples.symmetric) one.passes = sharing.why;
        return cost;
    };
    const DistributedLayout train = kernel_layout(ranks, p.size.samples, 0, p.rows_per_sample());
    const DistributedCost cost = part(train, {});
    (void)part(kernel_layout(ranks, p.size.tests, p.size.samples, p.rows_per_sample()), "cross ");
    SystemWork system = p.system;
    system.layout = train.repeated(p.rows_per_sample(), p.rows_per_sample());
    append(one.phases, system_phases(system));
    const double received = p.system.spectrum ? cost.eigen_link_bytes : cost.factorise_bytes + cost.solve_bytes;
    one.phases.push_back({"panels", "solve", {{Operation::link, received}}});
    if (!p.system.spectrum) return one;
    // Of a value two products with the eigenvectors and back, predictions, and the diagonal of an inverse: each number goes out and comes
    // in.
    const double numbers = (4 * p.system.rows + p.system.tests) * p.system.targets + p.system.rows;
    one.phases.push_back({"sums", "solve", {{Operation::link, 2 * p.system.values * numbers * p.real()}}});
    return one;
}

/// The system of the features, on one rank.
RankOutline by_features(const Prediction& p, const SolverChoice& choice) {
    const auto features = static_cast<double>(choice.features);
    const double rows = p.system.rows;
    RankOutline one{1, network_phases(p.kernel)};
    // Once for the system, once for its right-hand sides, once for the tests.
    one.phases.push_back(kernel_phases(p.kernel, {2 * p.samples() + p.tests(), 0}, 0).front());
    one.phases.push_back({"features",
                          "solve",
                          {{Operation::gemm, 2 * rows * features * features, static_cast<double>(choice.batch)},
                           {Operation::memory, 2 * (2 * rows + p.system.tests) * features * p.real()}}});
    SystemWork system = p.system;
    system.rows = features;
    append(one.phases, system_phases(system));
    return one;
}

/// Products with K: those of the passes of a finite network, or the tiles of the limit, of which the ones that are not kept are made again.
std::vector<Phase> product_phases(const Prediction& p, const OperatorPlan& plan, double products, int ranks) {
    const double sums = products * plan.gradient_numbers * p.real();
    std::vector<Phase> phases;
    if (p.kernel.finite) {
        const auto widest = static_cast<double>(p.architecture.hidden.empty()
                                                    ? p.architecture.inputs
                                                    : *std::max_element(p.architecture.hidden.begin(), p.architecture.hidden.end()));
        // Of each layer the deltas, their weighted copy, the tangents and the activations, written and read by both products.
        constexpr double passes_through_memory = 8;
        double units = 0;
        for (const Index width : p.architecture.hidden) units += static_cast<double>(width);
        const double numbers = p.system.rows / ranks * units * p.system.targets;
        phases.push_back({"products",
                          "solve",
                          {{Operation::gemm, products * plan.product_flops + plan.setup_flops, widest},
                           {Operation::memory, products * passes_through_memory * numbers * p.real()}}});
    } else {
        const double n = p.samples(), pairs = n * (n + 1) / 2 / ranks;
        const double kept =
            std::min(1.0, static_cast<double>(plan.kept) * static_cast<double>(plan.batch) * static_cast<double>(plan.batch) / pairs);
        const double made = pairs * (kept + products * (1 - kept));
        append(phases, kernel_phases(p.kernel, {0, made}, made));
        // Both sides of a tile are read once for each product.
        phases.push_back({"products", "solve", {{Operation::memory, 2 * products * pairs * p.real()}}});
    }
    if (ranks > 1) phases.push_back({"sums", "solve", {{Operation::link, sums}}});
    return phases;
}

/// Products with K alone.
RankOutline by_gradients(const Prediction& p, const SolverChoice& choice, int ranks) {
    const Index share = (p.size.samples + ranks - 1) / ranks;
    const auto local = static_cast<double>(share * p.rows_per_sample()), columns = p.system.targets, k = static_cast<double>(choice.rank);
    const auto iterations = static_cast<double>(p.run.arguments().plan.iterations);
    RankOutline one{ranks, network_phases(p.kernel)};
    const double n = p.samples();
    std::vector<Phase> preconditioner = kernel_phases(p.kernel, {n / ranks + k, local * k}, local * k);
    preconditioner.push_back({"elimination", "solve", {{Operation::gemm, 3 * local * k * k, static_cast<double>(pivoted_cholesky_block)}}});
    append(one.phases, preconditioner, "preconditioner ");
    append(one.phases, product_phases(p, choice.products, iterations, ranks), "iterations: ");
    one.phases.push_back({"iterations: vectors",
                          "solve",
                          {{Operation::memory, iterations * (2 * local * k + 10 * local * columns) * p.real()},
                           {Operation::gemm, iterations * 4 * local * k * columns, k}}});
    std::vector<Phase> tests = product_phases(p, choice.products, p.tests() / n, ranks);
    append(one.phases, tests, "tests: ");
    return one;
}

template <class Real>
RankOutline by_choice(const Prediction& p, const std::shared_ptr<Backend<Real>>& backend, int ranks) {
    const SolverChoice choice =
        choose_solver(p.arguments, SolverQuestion<Real>{backend, p.architecture, p.memory, p.size, ranks, p.run.memory_available()});
    RankOutline one = choice.solver == Solver::cholesky ? by_matrix(p, ranks)
                      : choice.solver == Solver::cg     ? by_gradients(p, choice, ranks)
                                                        : by_features(p, choice);
    one.memory = choice.bytes;
    one.solver = choice.name;
    one.reason = choice.why;
    if (choice.solver == Solver::cg)
        one.reason += fmt::format("; {} iterations are assumed (--iterations)", p.run.arguments().plan.iterations);
    return one;
}

}  // namespace

template <class Real>
PlanOutline predict_outline(const Run& run, const std::shared_ptr<Backend<Real>>& backend, const PredictArguments& a,
                            const Architecture& architecture, const KernelMemory& memory, const SampleCounts& size) {
    require_kernel(a.kernel, architecture, memory.given_weights());
    const KernelWork kernel = kernel_work(run, a.kernel, architecture);
    const Prediction prediction{run, a, architecture, memory, size, kernel, system_work(a, kernel, size)};
    const double values = prediction.system.values;
    PlanOutline outline;
    outline.what = fmt::format("prediction of {} tests from {} samples, {} target{}, {} ({})", size.tests, size.samples, size.targets,
                               size.targets == 1 ? "" : "s", a.kernel.kernel, a.kernel.block);
    outline.host_memory = memory.host(size.samples + size.tests);
    outline.file_bytes = static_cast<double>(size.tests * size.targets) * sizeof(double) * (1 + (values > 1 ? values : 0));
    for (const int ranks : run.planned_ranks()) {
        RankOutline one = by_choice(prediction, backend, ranks);
        one.phases.insert(one.phases.begin(), data_phase(run));
        one.phases.push_back(write_phase(outline.file_bytes));
        outline.ranks.push_back(std::move(one));
    }
    const RankOutline& first = outline.ranks.front();
    outline.choices = {{"solver", fmt::format("{}: {}", first.solver, first.reason)}};
    return outline;
}

template PlanOutline predict_outline(const Run&, const std::shared_ptr<Backend<float>>&, const PredictArguments&, const Architecture&,
                                     const KernelMemory&, const SampleCounts&);
template PlanOutline predict_outline(const Run&, const std::shared_ptr<Backend<double>>&, const PredictArguments&, const Architecture&,
                                     const KernelMemory&, const SampleCounts&);

}  // namespace ntk::cli

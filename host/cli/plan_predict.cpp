// The plan of a prediction: the solvers that it may choose from, and what each of them takes.

#include "plan_parts.hpp"

#include <ntkcuda/conjugate_gradient.hpp>
#include <ntkcuda/feature_space.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ntk::cli {
namespace {

/// Columns of the preconditioner, at most, and its share of the memory.
constexpr Index most_columns = 1000;
constexpr double preconditioner_share = 0.25;
/// Samples whose features are made at a time.
constexpr Index feature_batch = 256;

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
    /// Columns of the right-hand side.
    [[nodiscard]] Index columns() const { return static_cast<Index>(system.targets); }
    [[nodiscard]] Index rows_per_sample() const { return static_cast<Index>(kernel.rows_per_sample()); }
};

SystemWork system_work(const PredictArguments& a, const KernelWork& kernel, const SampleCounts& size) {
    SystemWork system;
    system.rows = static_cast<double>(size.samples) * kernel.rows_per_sample();
    system.tests = static_cast<double>(size.tests) * kernel.rows_per_sample();
    system.targets = kernel.block == Block::full ? 1 : static_cast<double>(size.targets);
    system.values = static_cast<double>(std::max(a.ridges.size(), a.times.size()));
    system.spectrum = a.path() || !a.times.empty();
    system.posterior = a.posterior;
    system.coarse = kernel.gram == GramPrecision::half;
    system.real_bytes = kernel.real_bytes;
    return system;
}

void share_out(std::vector<Phase>& phases, int ranks) {
    for (Phase& phase : phases)
        for (Work& work : phase.work) work.amount /= ranks;
}

/// The matrix, factorised in place.
RankOutline by_matrix(const Prediction& p, int ranks) {
    RankOutline one{ranks, network_phases(p.kernel), predict_bytes(p.arguments, p.memory, p.size)};
    one.solver = p.system.spectrum ? "eigendecomposition" : "cholesky";
    one.reason = "the matrix fits";
    const double n = p.samples(), m = p.tests();
    std::vector<Phase> solving = system_phases(p.system);
    if (ranks == 1) {
        append(one.phases, kernel_phases(p.kernel, {n, n * (n + 1) / 2}, n * n));
        append(one.phases, kernel_phases(p.kernel, {n + m, m * n}, m * n), "cross ");
        append(one.phases, solving);
        return one;
    }
    const Part part = part_of(ranks, p.size.samples, 0, p.kernel.rows_per_sample(), p.kernel.real_bytes);
    const Part cross = part_of(ranks, p.size.tests, p.size.samples, p.kernel.rows_per_sample(), p.kernel.real_bytes);
    append(one.phases, kernel_phases(p.kernel, part.work, part.stored));
    one.phases.push_back(mirror_phase(p.kernel, part, "kernel"));
    append(one.phases, kernel_phases(p.kernel, cross.work, cross.stored), "cross ");
    share_out(solving, ranks);
    append(one.phases, solving);
    one.phases.push_back({"panels", "solve", {{Operation::link, part.share.link_bytes}}});
    one.memory = predict_rank_bytes(p.arguments, p.memory, p.size, static_cast<Index>(part.share.rows), static_cast<Index>(part.share.cols),
                                    static_cast<Index>(cross.share.rows));
    return one;
}

Index feature_count(const Prediction& p) {
    return p.kernel.kernel == InfiniteKernel::ntk ? tangent_feature_count(p.architecture, p.kernel.block)
                                                  : nngp_feature_count(p.architecture);
}

/// The system of the features, on one rank.
RankOutline by_features(const Prediction& p) {
    const Index count = feature_count(p), batch = std::min(feature_batch, p.size.samples);
    const auto features = static_cast<double>(count);
    const double rows = p.system.rows, batch_numbers = static_cast<double>(batch * p.rows_per_sample()) * features;
    RankOutline one{1, network_phases(p.kernel), 0};
    one.solver = "features";
    one.reason = fmt::format("the matrix does not fit, and {} features are fewer than {:.0f} rows", count, rows);
    one.memory = p.memory.fixed(p.size.samples + p.size.tests) + p.memory.making(batch, 0) +
                 (features * features + batch_numbers + features * p.system.targets + 4 * rows * p.system.targets) * p.real();
    // Once for the system, once for its right-hand sides, once for the tests.
    const Phase passes = kernel_phases(p.kernel, {2 * p.samples() + p.tests(), 0}, 0).front();
    one.phases.push_back(passes);
    one.phases.push_back({"features",
                          "solve",
                          {{Operation::gemm, 2 * rows * features * features, static_cast<double>(batch)},
                           {Operation::memory, 2 * (2 * rows + p.system.tests) * features * p.real()}}});
    SystemWork system = p.system;
    system.rows = features;
    append(one.phases, system_phases(system));
    return one;
}

/// A preconditioner of as many columns as its share of the memory holds.
Index preconditioner_rank(const Prediction& p, Index rows) {
    const auto bytes = [&](Index rank) {
        return p.kernel.real_bytes == sizeof(float) ? pivoted_cholesky_bytes<float>(rows, rank, p.rows_per_sample())
                                                    : pivoted_cholesky_bytes<double>(rows, rank, p.rows_per_sample());
    };
    const double most = preconditioner_share * p.run.memory_available();
    Index rank = std::min(most_columns, rows / 4);
    while (rank > 0 && bytes(rank) > most) rank /= 2;
    return rank;
}

template <class Real>
OperatorPlan operator_plan(const Prediction& p, double memory, int ranks) {
    const OperatorOptions options{p.kernel.block, memory};
    if (p.kernel.finite)
        return p.kernel.kernel == InfiniteKernel::ntk
                   ? plan_tangent_operator<Real>(p.architecture, p.size.samples, p.columns(), options, ranks)
                   : plan_nngp_operator<Real>(p.architecture, p.size.samples, p.columns(), options, ranks);
    KernelTiles<Real> tiles;
    tiles.rows_per_sample = p.rows_per_sample();
    tiles.workspace = [&p](Index n1, Index n2) { return p.memory.making(n1, n2) - p.memory.result(n1, n2); };
    return plan_tiled_operator(tiles, p.size.samples, p.columns(), options, ranks);
}

/// Products with K: those of the passes of a finite network, or the tiles of the limit, of which the ones that are not kept are made again.
std::vector<Phase> product_phases(const Prediction& p, const OperatorPlan& plan, double products, int ranks) {
    const double sums = products * plan.gradient_numbers * p.real();
    std::vector<Phase> phases;
    if (p.kernel.finite) {
        const auto widest = static_cast<double>(p.architecture.hidden.empty()
                                                    ? p.architecture.inputs
                                                    : *std::max_element(p.architecture.hidden.begin(), p.architecture.hidden.end()));
        phases.push_back({"products", "solve", {{Operation::gemm, products * plan.product_flops + plan.setup_flops, widest}}});
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
RankOutline by_gradients(const Prediction& p, int ranks) {
    const Index share = (p.size.samples + ranks - 1) / ranks, rows = share * p.rows_per_sample();
    const auto local = static_cast<double>(rows), columns = p.system.targets;
    const auto iterations = static_cast<double>(p.run.arguments().plan.iterations);
    const Index rank = preconditioner_rank(p, rows);
    const auto k = static_cast<double>(rank);
    const bool single = p.kernel.real_bytes == sizeof(float);
    const double vectors =
        single ? conjugate_gradient_bytes<float>(rows, p.columns()) + pivoted_cholesky_bytes<float>(rows, rank, p.rows_per_sample())
               : conjugate_gradient_bytes<double>(rows, p.columns()) + pivoted_cholesky_bytes<double>(rows, rank, p.rows_per_sample());
    const double samples = (p.samples() + p.tests()) * static_cast<double>(p.size.features) * p.real();
    const double fixed = p.memory.fixed(p.size.samples + p.size.tests) + samples + vectors;
    const double left = std::max(0.0, p.run.memory_available() - fixed);
    const OperatorPlan plan = single ? operator_plan<float>(p, left, ranks) : operator_plan<double>(p, left, ranks);

    RankOutline one{ranks, network_phases(p.kernel), fixed + plan.bytes};
    one.solver = "cg";
    one.reason = fmt::format("the matrix does not fit; {} columns precondition; {} iterations are assumed (--iterations)", rank,
                             p.run.arguments().plan.iterations);
    const double n = p.samples();
    std::vector<Phase> preconditioner = kernel_phases(p.kernel, {n / ranks + k, local * k}, local * k);
    preconditioner.push_back({"elimination", "solve", {{Operation::gemm, 3 * local * k * k, k}}});
    append(one.phases, preconditioner, "preconditioner ");
    append(one.phases, product_phases(p, plan, iterations, ranks), "iterations: ");
    one.phases.push_back({"iterations: vectors",
                          "solve",
                          {{Operation::memory, iterations * (2 * local * k + 10 * local * columns) * p.real()},
                           {Operation::gemm, iterations * 4 * local * k * columns, k}}});
    std::vector<Phase> tests = product_phases(p, plan, p.tests() / n, ranks);
    append(one.phases, tests, "tests: ");
    return one;
}

RankOutline chosen(const Prediction& p, int ranks) {
    RankOutline matrix = by_matrix(p, ranks);
    const bool alone = p.system.spectrum || p.system.posterior || p.arguments.initial_function;
    if (matrix.memory <= p.run.memory_available() || alone) return matrix;
    if (ranks == 1 && p.kernel.finite && p.arguments.ridges.front() > 0 && static_cast<double>(feature_count(p)) < p.system.rows) {
        RankOutline features = by_features(p);
        if (features.memory <= p.run.memory_available()) return features;
    }
    return by_gradients(p, ranks);
}

}  // namespace

PlanOutline predict_outline(const Run& run, const PredictArguments& a, const Architecture& architecture, const KernelMemory& memory,
                            const SampleCounts& size) {
    require_kernel(a.kernel, architecture, memory.given_weights());
    const KernelWork kernel = kernel_work(run, a.kernel, architecture);
    const Prediction prediction{run, a, architecture, memory, size, kernel, system_work(a, kernel, size)};
    const double values = prediction.system.values;
    PlanOutline outline;
    outline.what = fmt::format("prediction of {} tests from {} samples, {} target{}, {} ({})", size.tests, size.samples, size.targets,
                               size.targets == 1 ? "" : "s", a.kernel.kernel, a.kernel.block);
    outline.host_memory = memory.host(size.samples + size.tests);
    outline.file_bytes = static_cast<double>(size.tests * size.targets) * sizeof(double) * (1 + (values > 1 ? values : 0));
    for (const int ranks : run.arguments().plan.ranks) {
        RankOutline one = chosen(prediction, ranks);
        one.phases.insert(one.phases.begin(), data_phase(run));
        one.phases.push_back(write_phase(outline.file_bytes));
        outline.ranks.push_back(std::move(one));
    }
    const RankOutline& first = outline.ranks.front();
    outline.choices = {{"solver", fmt::format("{}: {}", first.solver, first.reason)}};
    return outline;
}

}  // namespace ntk::cli

#include "plan_outline.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ntk::cli {
namespace {

KernelWork kernel_work(const Run& run, const KernelArguments& kernel, const Architecture& architecture) {
    const KernelName name = parse_kernel(kernel.kernel);
    KernelWork work;
    work.architecture = architecture;
    work.finite = is_empirical(name);
    work.kernel = name == KernelName::empirical_ntk || name == KernelName::ntk ? InfiniteKernel::ntk : InfiniteKernel::nngp;
    work.block = parse_block(kernel.block);
    work.method = kernel.method == "jacobian" ? Method::jacobian : Method::layerwise;
    work.gram = kernel.gram;
    work.real_bytes = run.arguments().real_bytes();
    return work;
}

void append(std::vector<Phase>& phases, std::vector<Phase> more, const std::string& prefix = {}) {
    for (Phase& phase : more) {
        phase.name = prefix + phase.name;
        phases.push_back(std::move(phase));
    }
}

/// What has been loaded, or would be: numbers drawn, or bytes read as float64.
Phase data_phase(const Run& run) {
    const auto source = run.data.at("source").get<std::string>();
    const Json tests = run.data.at("test_samples");
    const double numbers =
        (run.data.at("samples").get<double>() + (tests.is_null() ? 0 : tests.get<double>())) * run.data.at("features").get<double>();
    const bool drawn = source.starts_with("sphere") || source.starts_with("gaussian");
    constexpr double passes = 4;  // normalised, converted, copied
    const Work touched{Operation::memory, passes * numbers * sizeof(double)};
    if (!drawn) return {"samples", "data", {touched}};
    return {"samples", "data", {{Operation::host_normals, numbers}, touched}};
}

double numbers_in_file(const KernelMemory& memory, const KernelPlan& plan, bool symmetric_or_diagonal) {
    return memory.result(plan.blocks.rows, symmetric_or_diagonal ? 0 : plan.blocks.cols);
}

std::string tiling(const Run& run, const KernelPlan& plan) {
    if (plan.whole()) return "at once: it fits";
    const BlockWork work = block_work(plan.blocks);
    return fmt::format(
        "{} blocks of up to {} samples a side: at once the kernel needs {}, and {}; every sample goes through the network {:.0f} times",
        plan.blocks.count(), plan.blocks.side, readable_bytes(plan.whole_bytes), run.memory_available_text(),
        work.passes / static_cast<double>(plan.blocks.symmetric ? plan.blocks.rows : plan.blocks.rows + plan.blocks.cols));
}

/// The part of a kernel that a rank has: rows of `n1` samples and columns of `n2`, or of n1 again.
struct Part {
    RankShare share;
    BlockWork work;
    double stored = 0;  ///< pairs, both triangles
};

Part part_of(int ranks, Index n1, Index n2, double rows_per_sample, std::size_t real) {
    const auto rows = static_cast<double>(n1), cols = static_cast<double>(n2);
    Part part{rank_share(ranks, rows, rows_per_sample, real), {}, 0};
    if (n2 > 0) part.share.cols = rank_share(ranks, cols, rows_per_sample, real).cols;
    part.stored = part.share.rows * part.share.cols;
    part.work = {part.share.rows + part.share.cols, n2 > 0 ? part.stored : rows * (rows + 1) / 2 / ranks};
    return part;
}

/// Blocks below the diagonal go to where their mirror images are.
Phase mirror_phase(const KernelWork& kernel, const Part& part, const char* timing) {
    return {"mirror", timing, {{Operation::link, kernel.entries(part.stored) / 2 * static_cast<double>(kernel.real_bytes)}}};
}

Phase link_phase(const std::string& name, double bytes) { return {name, "solve", {{Operation::link, bytes}}}; }

}  // namespace

PlanOutline kernel_outline(const Run& run, const KernelArguments& kernel, const Architecture& architecture, const KernelMemory& memory,
                           const KernelPlan& plan, bool spectrum) {
    require_kernel(kernel, architecture, memory.given_weights());
    KernelWork work = kernel_work(run, kernel, architecture);
    work.layer_terms = memory.layer_terms();
    const bool diagonal = work.block == Block::diag, symmetric = plan.blocks.symmetric;
    const Index n1 = plan.blocks.rows, n2 = symmetric || diagonal ? 0 : plan.blocks.cols;
    const auto real = static_cast<double>(work.real_bytes);
    const double numbers = numbers_in_file(memory, plan, symmetric || diagonal) / real;
    const double terms = work.layer_terms ? static_cast<double>(architecture.depth()) : 0;

    PlanOutline outline;
    outline.what = fmt::format("{} ({}), {} x {} samples", kernel.kernel, kernel.block, n1, n2 ? n2 : n1);
    outline.choices = {{"blocks", tiling(run, plan)}};
    outline.host_memory = memory.host(n1 + n2);
    outline.file_bytes = numbers * (real + terms * sizeof(double));
    const double rows = static_cast<double>(n1) * work.rows_per_sample();
    for (const int ranks : run.arguments().plan.ranks) {
        RankOutline one{ranks, {data_phase(run)}, plan.bytes};
        append(one.phases, network_phases(work));
        if (ranks == 1) {
            append(one.phases, kernel_phases(work, block_work(plan.blocks), diagonal ? 0 : numbers / work.entries(1)));
        } else {
            const Part part = part_of(ranks, n1, n2, work.rows_per_sample(), work.real_bytes);
            append(one.phases, kernel_phases(work, part.work, part.stored));
            if (symmetric) one.phases.push_back(mirror_phase(work, part, "kernel"));
            one.memory = memory.fixed(n1 + n2) + memory.making(static_cast<Index>(part.share.rows), static_cast<Index>(part.share.cols));
        }
        one.phases.push_back(write_phase(outline.file_bytes / ranks));
        if (spectrum) one.phases.push_back({"eigenvectors", "spectrum", {{Operation::eigenvectors, 9 * rows * rows * rows / ranks, rows}}});
        outline.ranks.push_back(std::move(one));
    }
    return outline;
}

PlanOutline jacobian_outline(const Run& run, const Architecture& architecture, const KernelMemory& memory, Index samples, double bytes) {
    if (run.arguments().plan.ranks != std::vector<int>{1})
        throw Error(ErrorCode::invalid_argument, "--ranks: jacobian runs on one rank; leave it out");
    KernelWork work = kernel_work(run, {"empirical-ntk", "diag"}, architecture);
    const double numbers = static_cast<double>(samples * architecture.outputs) * static_cast<double>(architecture.parameters());
    const double file = numbers * static_cast<double>(work.real_bytes);
    PlanOutline outline;
    outline.what = fmt::format("jacobian, {} x {}", samples * architecture.outputs, architecture.parameters());
    outline.host_memory = memory.host(samples);
    outline.file_bytes = file;
    RankOutline one{1, {data_phase(run)}, bytes};
    append(one.phases, network_phases(work));
    one.phases.push_back(kernel_phases(work, {static_cast<double>(samples), 0}, 0).front());  // the passes
    one.phases.push_back({"columns", "kernel", {{Operation::memory, 2 * file}}});
    one.phases.push_back(write_phase(file));
    for (Phase& phase : one.phases)
        if (phase.timing == "kernel") phase.timing = "jacobian";
    outline.ranks.push_back(std::move(one));
    return outline;
}

PlanOutline predict_outline(const Run& run, const PredictArguments& a, const Architecture& architecture, const KernelMemory& memory,
                            const SampleCounts& size) {
    require_kernel(a.kernel, architecture, memory.given_weights());
    const KernelWork work = kernel_work(run, a.kernel, architecture);
    const auto n = static_cast<double>(size.samples), m = static_cast<double>(size.tests);
    SystemWork system;
    system.rows = n * work.rows_per_sample();
    system.tests = m * work.rows_per_sample();
    system.targets = work.block == Block::full ? 1 : static_cast<double>(size.targets);
    system.values = static_cast<double>(std::max(a.ridges.size(), a.times.size()));
    system.spectrum = a.path() || !a.times.empty();
    system.posterior = a.posterior;
    system.coarse = work.gram == GramPrecision::half;
    system.real_bytes = work.real_bytes;

    PlanOutline outline;
    outline.what = fmt::format("prediction of {} tests from {} samples, {} target{}, {} ({})", size.tests, size.samples, size.targets,
                               size.targets == 1 ? "" : "s", a.kernel.kernel, a.kernel.block);
    outline.choices = {{"solver", system.spectrum ? "eigendecomposition: every ridge and time from one" : "cholesky: n^3 / 3, in place"}};
    outline.host_memory = memory.host(size.samples + size.tests);
    outline.file_bytes = m * static_cast<double>(size.targets) * sizeof(double) * (1 + (system.values > 1 ? system.values : 0));
    for (const int ranks : run.arguments().plan.ranks) {
        RankOutline one{ranks, {data_phase(run)}, predict_bytes(a, memory, size)};
        append(one.phases, network_phases(work));
        if (ranks == 1) {
            append(one.phases, kernel_phases(work, {n, n * (n + 1) / 2}, n * n));
            append(one.phases, kernel_phases(work, {n + m, m * n}, m * n), "cross ");
            append(one.phases, system_phases(system));
        } else {
            const Part part = part_of(ranks, size.samples, 0, work.rows_per_sample(), work.real_bytes);
            const Part cross = part_of(ranks, size.tests, size.samples, work.rows_per_sample(), work.real_bytes);
            append(one.phases, kernel_phases(work, part.work, part.stored));
            one.phases.push_back(mirror_phase(work, part, "kernel"));
            append(one.phases, kernel_phases(work, cross.work, cross.stored), "cross ");
            for (Phase& phase : system_phases(system)) {
                for (Work& w : phase.work) w.amount /= ranks;
                one.phases.push_back(std::move(phase));
            }
            one.phases.push_back(link_phase("panels", part.share.link_bytes));
            one.memory = predict_rank_bytes(a, memory, size, static_cast<Index>(part.share.rows), static_cast<Index>(part.share.cols),
                                            static_cast<Index>(cross.share.rows));
        }
        one.phases.push_back(write_phase(outline.file_bytes));
        outline.ranks.push_back(std::move(one));
    }
    return outline;
}

}  // namespace ntk::cli

#include "plan_outline.hpp"

#include "jacobian_share.hpp"
#include "kernel_spectrum_files.hpp"
#include "pass_sharing.hpp"
#include "plan_parts.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ntk::cli {
namespace {

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
    for (const int ranks : run.planned_ranks()) {
        RankOutline one{ranks, {data_phase(run)}, plan.bytes};
        append(one.phases, network_phases(work));
        if (ranks == 1) {
            append(one.phases, kernel_phases(work, block_work(plan.blocks), diagonal ? 0 : numbers / work.entries(1)));
        } else if (diagonal) {
            const Index share = row_layout(ranks, n1, 1).local_rows(0);
            append(one.phases, kernel_phases(work, {static_cast<double>(share), 0}, 0));
            one.memory = memory.fixed(n1) + memory.making(share, 0);
        } else {
            const DistributedLayout samples = kernel_layout(ranks, n1, n2, memory.rows_per_sample());
            const PassSharing sharing = share_passes(run, kernel, architecture, memory, samples);
            append(one.phases, part_phases(work, distributed_cost(samples, memory.rows_per_sample(), 1, work.real_bytes), sharing.passes));
            one.memory = memory.fixed(n1 + n2) + memory.making(samples.local_rows(0), samples.local_cols(0)) + sharing.bytes;
            one.passes = sharing.why;
        }
        one.phases.push_back(write_phase(outline.file_bytes, ranks));
        if (spectrum) {
            const Index each = memory.rows_per_sample();
            const double link = distributed_cost(kernel_layout(ranks, n1, 0, each), each, 1, work.real_bytes).eigen_link_bytes;
            one.memory = std::max(one.memory, spectrum_bytes(n1, each, work.real_bytes, ranks));
            one.phases.push_back(
                {"eigenvectors", "spectrum", {{Operation::eigenvectors, 9 * rows * rows * rows / ranks, rows}, {Operation::link, link}}});
        }
        outline.ranks.push_back(std::move(one));
    }
    return outline;
}

PlanOutline jacobian_outline(const Run& run, const Architecture& architecture, const KernelMemory& memory, Index samples) {
    const KernelWork work = kernel_work(run, {"empirical-ntk", "diag"}, architecture);
    const double numbers = static_cast<double>(samples * architecture.outputs) * static_cast<double>(architecture.parameters());
    PlanOutline outline;
    outline.what = fmt::format("jacobian, {} x {}", samples * architecture.outputs, architecture.parameters());
    outline.host_memory = memory.host(samples);
    outline.file_bytes = numbers * static_cast<double>(work.real_bytes);
    for (const int ranks : run.planned_ranks()) {
        const JacobianPiece share = jacobian_share(architecture, samples, ranks, 0).piece;  // nobody has more
        const double bytes = outline.file_bytes * static_cast<double>(share.samples) / static_cast<double>(std::max<Index>(1, samples));
        RankOutline one{ranks, {data_phase(run)}, plan_jacobian(memory, architecture, samples, ranks, run.memory_available()).bytes};
        append(one.phases, network_phases(work));
        one.phases.push_back(kernel_phases(work, {static_cast<double>(share.passes), 0}, 0).front());  // the passes
        one.phases.push_back({"columns", "kernel", {{Operation::memory, 2 * bytes}}});
        one.phases.push_back(write_phase(bytes));
        for (Phase& phase : one.phases)
            if (phase.timing == "kernel") phase.timing = "jacobian";
        outline.ranks.push_back(std::move(one));
    }
    return outline;
}

}  // namespace ntk::cli

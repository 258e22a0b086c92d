#include "pass_sharing.hpp"

#include "plan_parts.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ntk::cli {

void PassSharing::report(Run& run, const std::string& of) const {
    if (why.empty()) return;
    run.say(fmt::format("passes    {}{}", of.empty() ? "" : of + ": ", why));
    run.results[of.empty() ? "passes" : "passes of the " + of] = to_string(passes);
}

PassSharing share_passes(const Run& run, const KernelArguments& kernel, const Architecture& architecture, const KernelMemory& memory,
                         const DistributedLayout& samples) {
    const KernelWork work = kernel_work(run, kernel, architecture);
    if (!work.finite || samples.grid.rows * samples.grid.cols == 1) return {};
    const DistributedCost cost = distributed_cost(samples, memory.rows_per_sample(), 1, work.real_bytes);
    if (!cost.shared) return {Passes::compute, "computed by every rank that needs them: there are fewer samples than parts", 0};
    const Rates rates = run.given_rates().value_or(nominal_rates(run.device().kind, run.device().threads));
    const PassChoice choice = choose_passes(work, cost, rates);
    PassSharing sharing{of_every_rank(run.ranks(), choice.passes).front(), {}, 0};  // machines may differ, and the root's decides
    const bool asked = kernel.passes != "auto";
    if (asked) sharing.passes = kernel.passes == "exchange" ? Passes::exchange : Passes::compute;
    const bool exchange = sharing.passes == Passes::exchange;
    const std::string source = run.given_rates() ? "the rates of " + rates.device : "nominal rates";
    const auto computed = fmt::format("{:.2g} s", choice.compute_seconds), exchanged = fmt::format("{:.2g} s", choice.exchange_seconds);
    const std::string how = asked ? ", as --passes says" : "";
    sharing.why = exchange
                      ? fmt::format("exchanged{} ({}; computed by every rank that needs them {}; by {})", how, exchanged, computed, source)
                      : fmt::format("computed by every rank that needs them{} ({}; exchanged {}; by {})", how, computed, exchanged, source);
    if (exchange) {
        const RankGrid& grid = samples.grid;
        const Index rows = samples.local_rows(0), cols = samples.local_cols(0);
        sharing.bytes =
            std::max(0.0, memory.exchanging(rows, cols, pass_shares(rows, grid.cols).count(0), pass_shares(cols, grid.rows).count(0)));
    }
    return sharing;
}

}  // namespace ntk::cli

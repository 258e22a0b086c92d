// A plan on the screen and in the record.

#include "output.hpp"
#include "plan_outline.hpp"
#include "rates_file.hpp"
#include "report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

namespace ntk::cli {
namespace {

std::string readable_seconds(double seconds) {
    return seconds == 0 ? "-" : seconds < 100 ? fmt::format("{:.2g} s", seconds) : readable_time(seconds);
}

std::string readable_flops(double flops) {
    const char* units[] = {"", "k", "M", "G", "T", "P", "E"};
    int unit = 0;
    for (; flops >= 1000 && unit < 6; ++unit) flops /= 1000;
    return flops == 0 ? "-" : fmt::format("{:.3g} {}flop", flops, units[unit]);
}

double total(const RankOutline& one, const Rates& rates, std::size_t real) {
    double seconds = 0;
    for (const Phase& phase : one.phases) seconds += phase.seconds(rates, real);
    return seconds;
}

template <class Real>
Rates rates_of(const Run& run, const std::shared_ptr<Backend<Real>>& backend, const PlanOutline& outline) {
    if (run.given_rates()) return *run.given_rates();
    std::set<Operation> operations;
    for (const RankOutline& one : outline.ranks) operations.merge(operations_of(one.phases));
    const std::filesystem::path out = run.arguments().out;
    std::error_code error;
    const auto folder = std::filesystem::is_directory(out, error)                 ? out
                        : std::filesystem::is_directory(out.parent_path(), error) ? out.parent_path()
                                                                                  : std::filesystem::temp_directory_path();
    Rates rates;
    measure_rates(backend, operations, folder.string(), rates, run.ranks(), outline.file_bytes);
    rates.source = measured_source(run.device().threads, run.ranks().size());
    return rates;
}

Rows phase_rows(const RankOutline& one, const Rates& rates, std::size_t real) {
    Rows rows{{"phase", "flops", "moved", "time"}};
    double flops = 0, bytes = 0;
    for (const Phase& phase : one.phases) {
        const double seconds = phase.seconds(rates, real);
        flops += phase.flops();
        bytes += phase.bytes();
        if (phase.pair_layers() > 0)
            rows.push_back({phase.name, fmt::format("{}, {:.3g} pair-layers", readable_flops(phase.flops()), phase.pair_layers()),
                            phase.bytes() > 0 ? readable_bytes(phase.bytes()) : "-", readable_seconds(seconds)});
        else
            rows.push_back({phase.name, readable_flops(phase.flops()), phase.bytes() > 0 ? readable_bytes(phase.bytes()) : "-",
                            readable_seconds(seconds)});
    }
    rows.push_back({"total", readable_flops(flops), readable_bytes(bytes), readable_seconds(total(one, rates, real))});
    return rows;
}

Json phases_json(const RankOutline& one, const Rates& rates, std::size_t real) {
    Json phases = Json::array();
    for (const Phase& phase : one.phases)
        phases.push_back({{"name", phase.name},
                          {"timing", phase.timing},
                          {"flops", phase.flops()},
                          {"pair_layers", phase.pair_layers()},
                          {"bytes", phase.bytes()},
                          {"seconds", phase.seconds(rates, real)}});
    return phases;
}

}  // namespace

template <class Real>
void show_plan(Run& run, const std::shared_ptr<Backend<Real>>& backend, const PlanOutline& outline) {
    const double available = run.memory_available();
    const auto least = std::min_element(outline.ranks.begin(), outline.ranks.end(),
                                        [](const RankOutline& a, const RankOutline& b) { return a.memory < b.memory; });
    run.require_memory(least->ranks == 1 ? outline.what : fmt::format("{}: each of {} ranks", outline.what, least->ranks), least->memory);
    const Rates rates = rates_of(run, backend, outline);
    run.say(fmt::format("plan      {}, {}", outline.what, run.arguments().precision));
    run.say(fmt::format("rates     of {}: {}", rates.device, rates.source));
    for (const auto& [choice, reason] : outline.choices) run.say(fmt::format("{:<9} {}", choice, reason));
    const RankOutline& first = outline.ranks.front();
    run.say(fmt::format("memory    {} on the device{}, and {}", readable_bytes(first.memory),
                        run.device().kind == DeviceKind::cpu ? "" : fmt::format(" and {} on the host", readable_bytes(outline.host_memory)),
                        run.memory_available_text()));
    if (outline.file_bytes > 0) run.say(fmt::format("files     {}", readable_bytes(outline.file_bytes)));
    run.say("\n" + table(phase_rows(first, rates, sizeof(Real))));

    Json ranks = Json::array();
    const bool solved = !first.solver.empty();
    Rows rows{{"ranks", "memory of each", "fits", "time"}};
    if (solved) rows.front().emplace_back("solver");
    for (const RankOutline& one : outline.ranks) {
        const bool fits = one.memory <= available;
        const double seconds = total(one, rates, sizeof(Real));
        rows.push_back({std::to_string(one.ranks), readable_bytes(one.memory), fits ? "yes" : "no", readable_seconds(seconds)});
        if (solved) rows.back().push_back(one.solver);
        ranks.push_back({{"ranks", one.ranks},
                         {"memory", one.memory},
                         {"fits", fits},
                         {"seconds", seconds},
                         {"solver", solved ? Json(one.solver) : Json()},
                         {"reason", solved ? Json(one.reason) : Json()},
                         {"passes", one.passes.empty() ? Json() : Json(one.passes)},
                         {"phases", phases_json(one, rates, sizeof(Real))}});
    }
    if (outline.ranks.size() > 1) run.say("\n" + table(rows));
    for (const RankOutline& one : outline.ranks)
        if (!one.passes.empty()) run.say(fmt::format("passes    on {} ranks: {}", one.ranks, one.passes));
    run.results["plan"] = outline.what;
    for (const auto& [choice, reason] : outline.choices) run.results[choice] = reason;
    run.results.update(Json{{"memory_available", available},
                            {"host_memory", outline.host_memory},
                            {"file_bytes", outline.file_bytes},
                            {"ranks", ranks},
                            {"rates", rates_json(rates)}});
    run.finish();
}

template void show_plan(Run&, const std::shared_ptr<Backend<float>>&, const PlanOutline&);
template void show_plan(Run&, const std::shared_ptr<Backend<double>>&, const PlanOutline&);

}  // namespace ntk::cli

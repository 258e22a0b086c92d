// ntkcuda verify: self-check of this machine and device against exact results.

#include "commands.hpp"
#include "report.hpp"
#include "terminal.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/verify.hpp>

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <fmt/format.h>

#include <cmath>
#include <cstdio>

namespace ntk::cli {
namespace {

using Measure = VerifyCheck::Measure;

struct Arguments {
    RunArguments run;
    VerifyOptions verify;
};

/// What the largest of the checks holds at once on the device, with room to spare.
constexpr double memory_needed = 0x1p28;

std::string digits(double difference) {
    return difference == 0 ? "exact" : std::isnan(difference) ? "nan" : fmt::format("{:.1f} digits", -std::log10(difference));
}

std::string measured(const VerifyCheck& check) {
    if (check.measure == Measure::difference) return digits(check.measured);
    return check.measure == Measure::z ? fmt::format("|z| {:.2f}", check.measured) : fmt::format("{:.0f} differ", check.measured);
}

std::string required(const VerifyCheck& check) {
    if (check.measure == Measure::difference) return fmt::format(">= {:.1f}", -std::log10(check.bound));
    return fmt::format("<= {:.{}f}", check.bound, check.measure == Measure::z ? 2 : 0);
}

/// Checks are printed as they are made, so columns have fixed widths.
std::string line(const VerifyCheck& check, std::FILE* to) {
    const auto [begin, end] = paint(to, check.passed ? Colour::good : Colour::bad);
    std::string text = fmt::format("  {}{:<6}{} {:>12} {:>8} {:>7.2f} s  {}", begin, check.passed ? "ok" : "FAILED", end, measured(check),
                                   required(check), check.seconds, check.what);
    if (!check.note.empty()) text += fmt::format(" ({})", check.note);
    return text;
}

const char* name_of(Measure measure) {
    return measure == Measure::difference ? "relative difference" : measure == Measure::z ? "largest |z|" : "values that differ";
}

/// The checks of one group after the other.
void write_report(Run& run, const VerifyReport& report, const std::string& directory) {
    Report page(run, directory);
    Rows rows;
    for (std::size_t i = 0; i < report.checks.size(); ++i) {
        const VerifyCheck& check = report.checks[i];
        if (rows.empty()) rows.push_back({"check", "", "measured", "required", "note"});
        rows.push_back({check.what, check.passed ? "ok" : "FAILED", measured(check), required(check), check.note});
        if (i + 1 < report.checks.size() && report.checks[i + 1].group == check.group) continue;
        page.keep_table(check.group, rows);
        rows.clear();
    }
    page.finish({});
}

Json to_json(const VerifyReport& report) {
    Json checks = Json::array();
    for (const VerifyCheck& check : report.checks)
        checks.push_back({{"group", check.group},
                          {"what", check.what},
                          {"measure", name_of(check.measure)},
                          {"measured", check.measured},
                          {"bound", check.bound},
                          {"passed", check.passed},
                          {"note", check.note},
                          {"seconds", check.seconds}});
    return {{"passed", report.passed()}, {"failed", report.failed()}, {"checks", checks}};
}

void execute(Arguments& a) {
    a.run.precision = "fp64 and fp32";
    Run run("verify", a.run);
    run.parameters.erase("precision");
    run.parameters["seed"] = a.verify.seed;
    run.parameters["networks"] = a.verify.networks;

    const DeviceInfo device = run.backend<double>()->info();
    run.require_memory("verify", memory_needed);
    a.verify.device = device.id();
    a.verify.threads = a.run.threads;
    std::string group;
    run.say(fmt::format("  {:<6} {:>12} {:>8} {:>9}  {}", "", "measured", "required", "time", "check"));
    const VerifyReport report = run.timed("checks", true, [&] {
        Progress progress(run, "checks");  // how many there are depends on the device
        return verify(a.verify, verify_constants(), [&](const VerifyCheck& check) {
            progress.erase();
            if (check.group != group) run.say(group = check.group);
            run.say(line(check, a.run.json ? stderr : stdout));
            std::fflush(stdout);  // also where it is piped
        });
    });
    run.results = to_json(report);
    const std::string total = fmt::format("{} checks on {}", report.checks.size(), device.id());
    if (report.passed()) run.say(fmt::format("all {} hold", total));
    if (a.run.out.empty())
        run.finish();
    else
        write_report(run, report, a.run.out);
    if (!report.passed())
        throw Error(ErrorCode::device_failure, fmt::format("verify: {} of {} failed; do not trust this device, or this build on it, "
                                                           "before the cause is known",
                                                           report.failed(), total));
}

}  // namespace

void add_verify_command(CLI::App& program) {
    auto a = std::make_shared<Arguments>();
    CLI::App* command =
        program.add_subcommand("verify", "self-check of this machine and device against exact results: digits and z-scores");
    add_run_options(*command, a->run);
    command->remove_option(command->get_option("--precision"));  // both are checked
    command->add_option("--seed", a->verify.seed, "seed of the random networks and inputs")->capture_default_str()->group("Checks");
    command->add_option("--networks", a->verify.networks, "random networks of each ensemble, at least 4000")
        ->capture_default_str()
        ->check(CLI::PositiveNumber)
        ->group("Checks");
    command->footer("Examples:\n  ntkcuda verify\n  ntkcuda verify --device cuda:1 --out checked");
    command->callback([a] {
        on_root([&] {
            const auto held = a->run.out.empty() ? nullptr : hold_output_directory(a->run.out);
            execute(*a);
        });
    });
}

}  // namespace ntk::cli

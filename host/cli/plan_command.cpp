// ntkcuda plan: a run before it starts, or the rates of this machine.

#include "commands.hpp"
#include "output.hpp"
#include "rates_file.hpp"

#include <ntkcuda/array_file.hpp>

#include <CLI/App.hpp>
#include <fmt/format.h>

#include <filesystem>

namespace ntk::cli {
namespace {

struct Arguments {
    RunArguments run;
    std::string save;
};

Rates all_rates(Run& run) {
    const auto& all = all_operations();
    const std::set<Operation> operations(all.begin(), all.end());
    const std::string folder = std::filesystem::temp_directory_path().string();
    Rates rates;
    run.timed("rates", true, [&] {
        measure_rates(run.backend<double>(), operations, folder, rates, run.ranks());
        measure_rates(run.backend<float>(), operations, folder, rates, run.ranks());
    });
    rates.source = measured_source(run.device().threads, run.ranks().size());
    return rates;
}

void show_rates(Run& run, const Rates& rates) {
    std::vector<std::vector<std::string>> rows{{"rate, a second", "fp64", "half at", "fp32", "half at"}};
    for (const Operation operation : all_operations()) {
        const Rate &wide = rates.at(operation, sizeof(double)), &narrow = rates.at(operation, sizeof(float));
        rows.push_back({to_string(operation), fmt::format("{:.3g}", wide.per_second), fmt::format("{:.3g}", wide.half_at),
                        fmt::format("{:.3g}", narrow.per_second), fmt::format("{:.3g}", narrow.half_at)});
    }
    run.say("\n" + table(rows));
}

void execute(Arguments& a) {
    a.run.precision = "fp64 and fp32";
    Run run("plan", a.run);
    const Rates rates = all_rates(run);
    if (!run.writes()) return;
    show_rates(run, rates);
    run.results = rates_json(rates);
    if (!a.save.empty()) {
        write_text(a.save, run.results.dump(2) + "\n");
        run.say(fmt::format("\nwritten   {}", a.save));
    }
    run.finish();
}

}  // namespace

std::vector<std::string> expand_plan(std::vector<std::string> arguments) {
    if (arguments.size() < 2 || arguments[0] != "plan" || arguments[1].starts_with('-')) return arguments;
    arguments[0] = std::move(arguments[1]);
    arguments[1] = "--dry-run";
    return arguments;
}

void add_plan_command(CLI::App& program) {
    auto a = std::make_shared<Arguments>();
    CLI::App* command = program.add_subcommand(
        "plan", "memory, flops and estimated time of a command before it runs (plan COMMAND ..); alone: the rates of this machine");
    add_run_options(*command, a->run);
    for (const char* unused : {"--precision", "--memory", "--out", "--config"}) command->remove_option(command->get_option(unused));
    command->add_option("--save-rates", a->save, "a file for --rates of later plans, here or elsewhere")->group("Plan");
    command->footer(
        "plan COMMAND .. is COMMAND --dry-run ..; it takes the options of the command, and --rates, --ranks and --targets.\n"
        "Examples:\n  ntkcuda plan kernel --data gaussian:n=1000000,d=784,seed=1 --depth 3 --width 512 --ranks 1,8,64\n"
        "  ntkcuda plan --save-rates rates.json\n"
        "  ntkcuda plan predict --data digits --depth 5 --rates rates.json");
    command->callback([a] { execute(*a); });
}

}  // namespace ntk::cli

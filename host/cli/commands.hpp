#pragma once

// One function per command: adds the command to the program; its work runs when the command line names it.

#include <CLI/App.hpp>

#include <string>
#include <vector>

namespace ntk::cli {

void add_kernel_command(CLI::App& program);
void add_jacobian_command(CLI::App& program);
void add_predict_command(CLI::App& program);
void add_compare_command(CLI::App& program);
void add_depth_command(CLI::App& program);
void add_ensemble_command(CLI::App& program);
void add_verify_command(CLI::App& program);
void add_plan_command(CLI::App& program);
void add_info_command(CLI::App& program);

/// "plan COMMAND .." is "COMMAND --dry-run ..".
[[nodiscard]] std::vector<std::string> expand_plan(std::vector<std::string> arguments);

}  // namespace ntk::cli

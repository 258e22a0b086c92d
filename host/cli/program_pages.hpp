#pragma once

// The program described by itself: its manual page and shell completions, made from the same declarations as --help.

#include <CLI/App.hpp>

#include <string>
#include <vector>

namespace ntk::cli {

/// Adds --man and --completion to the program, which print what is below.
void add_page_options(CLI::App& program);

/// The manual page in troff, with every command and option.
[[nodiscard]] std::string man_page(const CLI::App& program);
[[nodiscard]] std::string bash_completion(const CLI::App& program);
[[nodiscard]] std::string zsh_completion(const CLI::App& program);

/// The options that help shows, in its order.
[[nodiscard]] std::vector<const CLI::Option*> visible_options(const CLI::App& command);
/// Whether the option is followed by a value.
[[nodiscard]] bool takes_value(const CLI::Option& option);
/// The words that an option takes, as far as they are known: those that its check lists, or those with which its description begins ("ntk
/// or standard", "full (every output), trace (their mean) or diag"). Words with a part to fill in are left out.
[[nodiscard]] std::vector<std::string> known_values(const CLI::Option& option);

}  // namespace ntk::cli

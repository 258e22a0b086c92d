#include "program_pages.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace ntk::cli {
namespace {

/// The items between ", " and " or " that are single words, up to the first that is not.
std::vector<std::string> leading_words(std::string_view text) {
    std::vector<std::string> words;
    while (!text.empty()) {
        const std::size_t comma = text.find(", "), other = text.find(" or ");
        const std::size_t end = std::min({comma, other, text.size()});
        const std::string_view word = text.substr(0, end);
        if (word.find(' ') != std::string_view::npos) break;
        words.emplace_back(word);
        if (end == text.size()) break;
        text.remove_prefix(end + (end == other ? 4 : 2));
    }
    return words;
}

/// The text without what stands in parentheses, and without the default at its end.
std::string without_remarks(const std::string& text) {
    std::string result;
    int depth = 0;
    for (const char c : text.substr(0, text.find(" ["))) {
        if (c == '(' && depth++ == 0 && result.ends_with(' ')) result.pop_back();
        if (depth == 0) result += c;
        if (c == ')') --depth;
    }
    return result;
}

std::vector<std::string> listed_in_description(const std::string& description) {
    const std::string text = without_remarks(description);
    const std::vector<std::string> words = leading_words(text);
    return words.size() < 2 ? std::vector<std::string>{} : words;
}

/// The names in "TEXT:{fp64,fp32}".
std::vector<std::string> listed_in_check(const std::string& type) {
    const auto begin = type.find('{'), end = type.find('}');
    if (begin == std::string::npos || end == std::string::npos) return {};
    return CLI::detail::split(type.substr(begin + 1, end - begin - 1), ',');
}

/// Whether a word is a value as it stands: no placeholder, no punctuation of prose.
bool is_value(const std::string& word) {
    return !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
        return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '-' || c == '_';
    });
}

}  // namespace

std::vector<const CLI::Option*> visible_options(const CLI::App& command) {
    std::vector<const CLI::Option*> result;
    for (const std::string& group : command.get_groups())
        for (const CLI::Option* option : command.get_options())
            if (!group.empty() && option->get_group() == group) result.push_back(option);
    return result;
}

bool takes_value(const CLI::Option& option) { return option.get_expected_max() > 0; }

std::vector<std::string> known_values(const CLI::Option& option) {
    if (!takes_value(option)) return {};
    std::vector<std::string> values = listed_in_check(option.get_type_name());
    if (values.empty()) values = listed_in_description(option.get_description());
    std::erase_if(values, [](const std::string& word) { return !is_value(word); });
    return values;
}

void add_page_options(CLI::App& program) {
    const auto print = [](const std::string& page) {
        fmt::print("{}", page);
        throw CLI::Success();
    };
    program.add_flag_callback(
        "--man", [&program, print] { print(man_page(program)); }, "Print the manual page");
    program
        .add_option_function<std::string>(
            "--completion",
            [&program, print](const std::string& shell) { print(shell == "bash" ? bash_completion(program) : zsh_completion(program)); },
            "Print the completions of a shell")
        ->check(CLI::IsMember({"bash", "zsh"}));
}

}  // namespace ntk::cli

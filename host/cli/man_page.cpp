#include "program_pages.hpp"

#include <ntkcuda/version.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

namespace ntk::cli {
namespace {

/// Text as troff takes it, never a request.
std::string escaped(const std::string& text) {
    std::string result;
    for (const char c : text) {
        if (c == '\\')
            result += "\\e";
        else if (c == '-')
            result += "\\-";
        else if (c == '\n')
            result += "\n.br\n";
        else
            result += c;
    }
    return result.starts_with('.') || result.starts_with('\'') ? "\\&" + result : result;
}

/// ".B word" with its argument in italics.
std::string option_entry(const CLI::Option& option) {
    std::string line = ".TP\n\\fB" + escaped(option.get_name(false, true)) + "\\fR";
    if (takes_value(option)) {
        const std::string type = option.get_type_name();
        line += " \\fI" + escaped(type.substr(0, type.find(':'))) + "\\fR";
    }
    std::string text = option.get_description();
    if (const auto values = known_values(option); !values.empty() && option.get_type_name().find('{') != std::string::npos)
        text += fmt::format(" ({})", fmt::join(values, ", "));
    if (!option.get_default_str().empty()) text += " [" + option.get_default_str() + "]";
    return line + "\n" + escaped(text) + "\n";
}

std::string options_of(const CLI::App& command) {
    std::string text, group = "Options";
    for (const CLI::Option* option : visible_options(command)) {
        if (option->get_group() != group) text += ".PP\n" + escaped(group = option->get_group()) + ":\n";
        text += option_entry(*option);
    }
    return text;
}

constexpr const char* exit_status = R"(.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
Anything else.
.TP
.B 2
Bad usage or bad input; an output that cannot be written.
.TP
.B 3
Numerically refused: not positive definite, or too ill\-conditioned.
.TP
.B 4
No such device, or not enough memory.
.SH ENVIRONMENT
.TP
.B NTKCUDA_DATA_DIR
The folder of the bundled data.
)";

}  // namespace

std::string man_page(const CLI::App& program) {
    const std::string name = program.get_name();
    std::string title = name;
    std::transform(title.begin(), title.end(), title.begin(), [](unsigned char c) { return std::toupper(c); });
    std::string page = fmt::format(".TH {} 1 \"\" \"{} {}\" \"User Commands\"\n.SH NAME\n", title, name, version());
    const std::string description = program.get_description();
    page += name + " \\- " + escaped(description.substr(description.find(": ") + 2)) + "\n";
    page += ".SH SYNOPSIS\n.B " + name + "\n.I COMMAND\n[\\fIOPTION\\fR ...]\n";
    page += ".SH OPTIONS\n" + options_of(program) + ".SH COMMANDS\n";
    for (const CLI::App* command : program.get_subcommands({}))
        page += fmt::format(".SS {} {}\n{}\n", name, command->get_name(), escaped(command->get_description())) + options_of(*command);
    return page + exit_status;
}

}  // namespace ntk::cli

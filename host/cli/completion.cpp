#include "program_pages.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ntk::cli {
namespace {

std::vector<std::string> names_of(const std::vector<const CLI::Option*>& options) {
    std::vector<std::string> names;
    for (const CLI::Option* option : options)
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    return names;
}

std::vector<std::string> commands_of(const CLI::App& program) {
    std::vector<std::string> names;
    for (const CLI::App* command : program.get_subcommands({})) names.push_back(command->get_name());
    return names;
}

/// The branches of "command:previous word" for one command ("" for the program itself).
std::string bash_branches(const std::string& command, const CLI::App& app, const std::vector<std::string>& first_words) {
    std::string text, free;
    for (const CLI::Option* option : visible_options(app)) {
        if (!takes_value(*option)) continue;
        const std::string pattern = fmt::format("{}:--{}", command, option->get_lnames().front());
        if (const auto values = known_values(*option); !values.empty())
            text += fmt::format("        {}) words='{}' ;;\n", pattern, fmt::join(values, " "));
        else
            free += (free.empty() ? "" : "|") + pattern;
    }
    if (!free.empty()) text += fmt::format("        {}) ;;\n", free);
    std::vector<std::string> words = first_words;
    for (std::string& name : names_of(visible_options(app))) words.push_back(std::move(name));
    return text + fmt::format("        {}:*) words='{}' ;;\n", command, fmt::join(words, " "));
}

/// Text inside a quoted specification of _arguments or _describe.
std::string zsh_text(const std::string& text) {
    std::string result;
    for (const char c : text) {
        if (c == '\'')
            result += "'\\''";
        else if (c == '[' || c == ']' || c == ':' || c == '\\')
            result += std::string{'\\', c};
        else
            result += c == '\n' ? ' ' : c;
    }
    return result;
}

std::string zsh_arguments(const CLI::App& app, const std::string& indent) {
    std::string text;
    for (const CLI::Option* option : visible_options(app)) {
        const std::string name = option->get_lnames().front(), description = zsh_text(option->get_description());
        if (!takes_value(*option))
            text += fmt::format(" \\\n{}'--{}[{}]'", indent, name, description);
        else if (const auto values = known_values(*option); !values.empty())
            text += fmt::format(" \\\n{}'--{}=[{}]:value:({})'", indent, name, description, fmt::join(values, " "));
        else
            text += fmt::format(" \\\n{}'--{}=[{}]:value:_files'", indent, name, description);
    }
    return text;
}

}  // namespace

std::string bash_completion(const CLI::App& program) {
    const std::string name = program.get_name();
    const std::vector<std::string> commands = commands_of(program);
    std::string text = fmt::format(R"(# bash completion of {0}, printed by `{0} --completion bash`; where no word is known, file names.
_{0}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} command= words= i
    if [[ $word == = ]]; then
        word=
    elif [[ $previous == = ]]; then
        previous=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    for ((i = 1; i < COMP_CWORD; ++i)); do
        case ${{COMP_WORDS[i]}} in
        {1}) command=${{COMP_WORDS[i]}} && break ;;
        esac
    done
    case $command:$previous in
)",
                                   name, fmt::join(commands, "|"));
    for (const CLI::App* command : program.get_subcommands({})) text += bash_branches(command->get_name(), *command, {});
    text += bash_branches("", program, commands);
    return text +
           fmt::format("    esac\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n}}\ncomplete -o default -F _{0} {0}\n",
                       name);
}

std::string zsh_completion(const CLI::App& program) {
    const std::string name = program.get_name();
    std::string text = fmt::format("#compdef {0}\n# zsh completion of {0}, printed by `{0} --completion zsh`.\n_{0}() {{\n", name);
    text += "    local state\n    local -a commands=(\n";
    for (const CLI::App* command : program.get_subcommands({}))
        text += fmt::format("        '{}:{}'\n", command->get_name(), zsh_text(command->get_description()));
    text += "    )\n    _arguments -C" + zsh_arguments(program, "        ") + " \\\n        '1:command:->command' '*::option:->option'\n";
    text += "    case $state in\n    command) _describe command commands ;;\n    option)\n        case $words[1] in\n";
    for (const CLI::App* command : program.get_subcommands({}))
        text += fmt::format("        {}) _arguments{} ;;\n", command->get_name(), zsh_arguments(*command, "            "));
    return text + fmt::format("        esac\n        ;;\n    esac\n}}\n_{} \"$@\"\n", name);
}

}  // namespace ntk::cli

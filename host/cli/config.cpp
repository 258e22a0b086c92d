// --config: a TOML file, or the "parameters" of an earlier run.json, as if its settings stood first on the command line.

#include "arguments.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace ntk::cli {
namespace {

using Setting = std::pair<std::string, std::string>;  // name without dashes, value

std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw Error(ErrorCode::io, fmt::format("--config: cannot read '{}'", path));
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

std::string as_text(const std::string& path, const std::string& name, const nlohmann::json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_number() || value.is_boolean()) return value.dump();
    if (value.is_array()) {
        std::vector<std::string> items;
        for (const auto& item : value) items.push_back(as_text(path, name, item));
        return fmt::format("{}", fmt::join(items, ","));
    }
    throw Error(ErrorCode::io, fmt::format("--config: {}: '{}' must be a text, a number, true or false, or a list of them", path, name));
}

std::vector<Setting> read_json(const std::string& path, const std::string& text) {
    std::vector<Setting> settings;
    try {
        const auto document = nlohmann::json::parse(text);
        const auto& parameters = document.contains("parameters") ? document.at("parameters") : document;
        for (const auto& [name, value] : parameters.items())
            if (!value.is_null()) settings.emplace_back(name, as_text(path, name, value));
    } catch (const nlohmann::json::exception& e) {
        throw Error(ErrorCode::io, fmt::format("--config: {} is not valid JSON: {}", path, e.what()));
    }
    return settings;
}

std::vector<Setting> read_toml(const std::string& path, const std::string& text) {
    std::vector<Setting> settings;
    std::istringstream stream(text);
    try {
        for (const auto& item : CLI::ConfigTOML().from_config(stream)) {
            if (item.name == "++" || item.name == "--") continue;  // CLI11's marks where a section opens and closes
            if (!item.parents.empty())
                throw Error(ErrorCode::io, fmt::format("--config: {}: sections are not used; found '{}'", path, item.fullname()));
            settings.emplace_back(item.name, fmt::format("{}", fmt::join(item.inputs, ",")));
        }
    } catch (const CLI::Error& e) {
        throw Error(ErrorCode::io, fmt::format("--config: {} is not valid TOML: {}", path, e.what()));
    }
    return settings;
}

bool given(const std::vector<std::string>& arguments, const std::string& option) {
    return std::any_of(arguments.begin(), arguments.end(),
                       [&](const std::string& a) { return a == option || a.starts_with(option + "="); });
}

/// The value of --config, or an empty text.
std::string config_path(const std::vector<std::string>& arguments) {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (arguments[i].starts_with("--config=")) return arguments[i].substr(9);
        if (arguments[i] == "--config" && i + 1 < arguments.size()) return arguments[i + 1];
    }
    return {};
}

}  // namespace

std::vector<std::string> expand_config(const std::vector<std::string>& arguments) {
    const std::string path = config_path(arguments);
    if (path.empty()) return arguments;
    const std::string text = read_text(path);
    const auto first = text.find_first_not_of(" \t\r\n");
    const bool json = first != std::string::npos && text[first] == '{';
    const auto settings = json ? read_json(path, text) : read_toml(path, text);
    // --hidden and --width describe the same thing: one given by hand replaces the other from the file.
    const bool shape_by_hand = given(arguments, "--hidden") || given(arguments, "--width") || given(arguments, "--depth");
    std::vector<std::string> expanded(arguments.begin(),
                                      arguments.begin() + std::min<std::ptrdiff_t>(1, static_cast<std::ptrdiff_t>(arguments.size())));
    for (const auto& [name, value] : settings) {
        const std::string option = "--" + name;
        if (given(arguments, option) || value == "false") continue;
        if (shape_by_hand && (name == "hidden" || (name == "width" && given(arguments, "--hidden")))) continue;
        expanded.push_back(value == "true" ? option : option + "=" + value);
    }
    if (!arguments.empty()) expanded.insert(expanded.end(), arguments.begin() + 1, arguments.end());
    return expanded;
}

}  // namespace ntk::cli

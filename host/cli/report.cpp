#include "report.hpp"

#include <ntkcuda/array_file.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace ntk::cli {
namespace {

constexpr const char* style =
    "body{font-family:system-ui,sans-serif;max-width:60rem;margin:1rem auto;padding:0 1rem;line-height:1.4;color:#222;background:#fff}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}div.wide{overflow-x:auto}"
    "td,th{border:1px solid #bbb;padding:.2rem .6rem;text-align:right}th{background:#eee}svg{max-width:100%;height:auto}"
    ".number{white-space:nowrap}.settings td{text-align:left;overflow-wrap:anywhere}.settings td:first-child{overflow-wrap:normal}"
    "pre{background:#f4f4f4;padding:.6rem;overflow-x:auto}.warning{border-left:.3rem solid #a00;padding-left:.6rem}";

std::string escaped(const std::string& text) {
    std::string result;
    for (const char c : text)
        result += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '"' ? "&quot;" : std::string(1, c);
    return result;
}

/// Also of two numbers with an error or a range between them, which a narrow screen would break at a sign.
bool numeric(const std::string& cell) { return !cell.empty() && cell.find_first_not_of("0123456789.,+-e %") == std::string::npos; }

std::string html_cell(const std::string& cell, bool header) {
    if (header) return fmt::format("<th>{}</th>", escaped(cell));
    return fmt::format("<td{}>{}</td>", numeric(cell) ? " class=\"number\"" : "", escaped(cell));
}

std::string html_table(const Rows& rows) {
    std::string text = "<table>";
    for (std::size_t i = 0; i < rows.size(); ++i) {
        text += "<tr>";
        for (const auto& cell : rows[i]) text += html_cell(cell, i == 0);
        text += "</tr>";
    }
    return text + "</table>";
}

/// The picture without its XML header, as HTML wants it.
std::string inline_svg(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto start = text.find("<svg");
    return start == std::string::npos ? "" : text.substr(start);
}

/// A column of names, and one of values as long as they come.
std::string settings_table(const Json& object) {
    std::string text = "<table class=\"settings\"><tr><th>name</th><th>value</th></tr>";
    for (const auto& [name, value] : object.items())
        text += fmt::format("<tr><td>{}</td><td>{}</td></tr>", escaped(name),
                            escaped(value.is_string() ? value.template get<std::string>() : value.dump()));
    return text + "</table>";
}

}  // namespace

std::string Report::path(const std::string& name) const { return (std::filesystem::path(directory_) / name).string(); }

void Report::add_table(const std::string& caption, const Rows& rows) {
    run_.say(fmt::format("\n{}\n{}", caption, table(rows)));
    keep_table(caption, rows);
}

void Report::keep_table(const std::string& caption, const Rows& rows) {
    body_ += fmt::format("<h2>{}</h2>\n<div class=\"wide\">{}</div>\n", escaped(caption), html_table(rows));
}

void Report::add_note(const std::string& line) {
    run_.say(line);
    body_ += fmt::format("<p>{}</p>\n", escaped(line));
}

void Report::add_figure(const std::string& caption, const std::string& name, const std::string& data, const std::string& script) {
    const std::string png = draw_figure(run_, directory_, name, data, script);
    if (png.empty()) return;
    figures_.push_back(png);
    body_ += fmt::format("<h2>{}</h2>\n{}\n", escaped(caption), inline_svg(path("figures/" + name + ".svg")));
}

void Report::finish(const std::vector<std::string>& files) {
    const Json record = run_.record();
    std::string page = fmt::format(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
        "content=\"width=device-width,initial-scale=1\">"
        "<title>ntkcuda {0}</title><style>{1}</style></head><body>\n<h1>ntkcuda {0}</h1>\n<pre>ntkcuda {0} --config run.json --out "
        "DIRECTORY</pre>\n",
        record.at("command").get<std::string>(), style);
    for (const auto& warning : record.at("warnings"))
        page += fmt::format("<p class=\"warning\">{}</p>\n", escaped(warning.get<std::string>()));
    page += body_;
    for (const auto& [part, unit] : {std::pair{"parameters", ""},
                                     {"data", ""},
                                     {"device", " (memory in bytes)"},
                                     {"memory", " (bytes)"},
                                     {"libraries", ""},
                                     {"timings", " (seconds)"}})
        page += fmt::format("<h2>{}{}</h2>\n{}\n", part, unit, settings_table(record.at(part)));
    write_text(path("report.html"), page + "</body></html>\n");
    write_text(path("run.json"), record.dump(2) + "\n");
    std::vector<std::string> written;
    for (const auto& file : files) written.push_back(path(file));
    written.push_back(path("report.html"));
    written.push_back(path("run.json"));
    run_.say(fmt::format("\nwritten   {}", fmt::join(written, ", ")));
    for (const auto& figure : figures_) run_.say(fmt::format("figure    {}", figure));
    run_.finish();
}

}  // namespace ntk::cli

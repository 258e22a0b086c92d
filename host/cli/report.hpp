#pragma once

// The report of a run: tables and figures as they are made, then run.json and one report.html that opens offline.

#include "output.hpp"

namespace ntk::cli {

using Rows = std::vector<std::vector<std::string>>;

class Report {
public:
    /// Results go into `directory`, which exists.
    Report(Run& run, std::string directory) : run_(run), directory_(std::move(directory)) {}

    /// The path of a file of this run.
    [[nodiscard]] std::string path(const std::string& name) const;
    /// Shows a table (first row: header) and keeps it for report.html.
    void add_table(const std::string& caption, const Rows& rows);
    /// Keeps a table that was shown otherwise.
    void keep_table(const std::string& caption, const Rows& rows);
    /// Shows a line and keeps it for report.html.
    void add_note(const std::string& line);
    /// Draws a figure by gnuplot (draw_figure) and keeps it for report.html.
    void add_figure(const std::string& caption, const std::string& name, const std::string& data, const std::string& script);
    /// Writes run.json and report.html, says where everything is, and prints the record with --json.
    void finish(const std::vector<std::string>& files);

private:
    Run& run_;
    std::string directory_;
    std::string body_;                  // sections of report.html so far
    std::vector<std::string> figures_;  // PNG paths
};

}  // namespace ntk::cli

#pragma once

// CSV tables: numbers in every column except, perhaps, one target column, which is kept as text.

#include <ntkcuda/matrix.hpp>

#include <optional>
#include <string>
#include <vector>

namespace ntk {

struct CsvTable {
    std::string path;
    std::vector<std::string> header;  ///< names of all columns; empty without a header
    HostMatrix<double> features;      ///< all columns but the target
    std::vector<std::string> target;  ///< text of the target column, one a sample; empty without one
    Index target_column = -1;         ///< from 0; -1 without one
    std::vector<Index> line;          ///< line of each sample in the file, from 1

    /// "file.csv:3: column 5 ('label')"
    [[nodiscard]] std::string where(Index sample, Index column) const;
};

/// Reads a table. `target` is a column's number (from 1), its name, "none", or unset for the last column. What can be a number is one.
///
/// The first line is a header when
/// - `target` names one of its fields, or
/// - none of its feature fields is a number, or
/// - its feature fields are numbers and its target is text above a target column of numbers (names such as 0,1,2,label).
/// Numbers mixed with text in the features of the first line are an error. Fields may be quoted ("" is a quote inside); lines end in LF or
/// CRLF; a UTF-8 byte order mark and blank lines at the end are skipped; spaces around unquoted fields do not count. Throws Error(io) with
/// file, line, column, what was found and what was expected; Error(invalid_argument) for a target that is not there.
[[nodiscard]] CsvTable read_csv(const std::string& path, const std::optional<std::string>& target);

/// Reads a file of one column of labels for `samples` samples; with one line more, the first is a header.
[[nodiscard]] CsvTable read_csv_labels(const std::string& path, Index samples);

}  // namespace ntk

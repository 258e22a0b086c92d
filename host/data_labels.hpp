#pragma once

// Labels as a file has them, and how they become targets.

#include "data_csv.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/data.hpp>

#include <functional>
#include <string>
#include <vector>

namespace ntk {

struct Labels {
    std::vector<std::string> text;            ///< of one column; when any of it is no number, or numbers are to be told from text classes
    HostMatrix<double> values;                ///< samples x targets; empty when some label is text
    bool integral = false;                    ///< the values are whole numbers (CSV), or are stored as such (arrays)
    std::function<std::string(Index)> where;  ///< sample -> "file:line: column 3", for messages

    [[nodiscard]] bool numeric() const { return !values.empty(); }
};

/// The target column of a table. Throws Error(io) for empty labels, NaN and Inf.
[[nodiscard]] Labels labels_of(CsvTable&& table);

/// An array of shape (samples,) or (samples x targets). Throws Error(io) for another number of labels, NaN and Inf.
[[nodiscard]] Labels labels_of(Array&& array, Index samples, const std::string& name);

/// Fills y, label and classes of `data` (whose x has the first samples of the labels) by `options.task` and `options.classes`.
/// What the task is, and which classes there are, is decided on all labels.
void encode_labels(const Labels& labels, const DataOptions& options, Dataset& data);

}  // namespace ntk

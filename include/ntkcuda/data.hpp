#pragma once

/// \file data.hpp
/// Samples and targets: the bundled digits, synthetic sources, files, normalisation and splits.

#include <ntkcuda/matrix.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ntk {

/// What is done to samples before a kernel sees them.
enum class Normalization {
    sphere,       ///< every sample |x|^2 = d
    unit,         ///< every sample |x| = 1
    standardize,  ///< columns to mean 0, variance 1 by the statistics of the training samples; constant columns become 0
    none
};
/// What the targets are; `automatic` decides by the data (DataOptions::task).
enum class Task { automatic, classification, regression };

/// Samples with, perhaps, targets.
struct Dataset {
    std::string source;                ///< as given, for reports
    HostMatrix<double> x;              ///< n x d
    HostMatrix<double> y;              ///< n x targets; empty without labels. Classification: one-hot minus 1/classes
    std::vector<Index> label;          ///< class of each sample; empty for regression or without labels
    std::vector<std::string> classes;  ///< in sorted order (numbers by value, text by bytes); empty for regression
    Normalization default_normalization = Normalization::none;  ///< what --normalize is when it is not given

    [[nodiscard]] Index samples() const { return x.rows(); }
    [[nodiscard]] Index features() const { return x.cols(); }
    [[nodiscard]] bool has_targets() const { return !y.empty(); }
    [[nodiscard]] bool classification() const { return !classes.empty(); }
};

/// Where samples come from, and what is read of them.
struct DataOptions {
    std::string source = "digits";        ///< digits | sphere:n=..,d=..,seed=.. | gaussian:.. | FILE.csv | .npy | .npz | IDX
    std::optional<std::string> target{};  ///< CSV: column by its number (from 1) or name; "none"; default: the last column
    /// File with labels for .npy, IDX and .npz (there it replaces y): .npy of shape (n,) or (n, targets), CSV of one column, or 1-d IDX.
    std::string labels{};
    /// automatic: text labels, or at most 20 distinct integers (of the whole file; arrays of a float type hold none), are classes.
    Task task = Task::automatic;
    std::optional<Index> samples{};  ///< the first N; what the task is and which classes there are is decided on the whole file
    /// Classes of the training set, so that a test set is encoded alike; a label outside it is an error that names it. For the test set
    /// of a regression say Task::regression: few integers in it would else be classes.
    std::vector<std::string> classes{};
};

/// Reads a source. Throws Error(io) (file, line or byte offset, what was expected) and Error(invalid_argument).
/// No size that a file claims is allocated before it is checked against the file.
[[nodiscard]] Dataset load_data(const DataOptions& options);

/// The same without values: x and y are HostMatrix::without_values. Synthetic samples are not made and of a .npy only the header is read;
/// other files are read as by load_data. Throws as that, but for values in a .npy.
[[nodiscard]] Dataset load_shape(const DataOptions& options);

/// Targets alone, of `samples` samples without features, from the file options.labels (by options.task and options.classes). Throws as
/// load_data.
[[nodiscard]] Dataset load_targets(const DataOptions& options, Index samples);

/// Where a bundled file is: in $NTKCUDA_DATA_DIR if that is set, else in ../share/ntkcuda beside the program's folder, the installed data
/// folder, or the source tree. Throws Error(io) naming the places.
[[nodiscard]] std::string bundled_data(const std::string& file);

/// A normalisation as training samples have fixed it, for any later samples.
struct Normalizer {
    Normalization normalization = Normalization::none;
    Index features = 0;
    /// 4 x features with `standardize`, else empty. Of each column: the power of two that brings it to magnitude 1, its first training
    /// value over that power, and mean and deviation of what is left; constant columns, of deviation 0, become 0.
    HostMatrix<double> columns;

    /// Normalises in place. Throws Error(shape_mismatch) for another number of features, Error(invalid_argument) naming the row for a zero
    /// sample with sphere or unit, and the sample for a value that standardizing takes out of the range of float64.
    void apply(Dataset& data) const;
};
/// Throws Error(invalid_argument) if there are no samples.
[[nodiscard]] Normalizer make_normalizer(Normalization normalization, const Dataset& train);

/// Normalises in place. With `standardize` the statistics come from `train`, and `test` (may be null) gets the same map.
/// Throws Error(invalid_argument) naming the row for a zero sample with sphere or unit.
void normalize(Normalization normalization, Dataset& train, Dataset* test = nullptr);

/// A seeded shuffle (a function of seed and n alone, on every machine), then the first round(fraction * n) samples for training.
/// Throws Error(invalid_argument) for a fraction outside (0, 1), and when either side would be empty.
[[nodiscard]] std::pair<Dataset, Dataset> split(const Dataset& data, double fraction, std::uint64_t seed);

/// The rows with these indices, in this order.
[[nodiscard]] Dataset select(const Dataset& data, const std::vector<Index>& rows);

/// "sphere", "unit", "standardize" or "none". Throws Error(invalid_argument) with the list of names.
[[nodiscard]] Normalization parse_normalization(const std::string& name);
/// The name that parses back to the same normalisation.
[[nodiscard]] std::string to_string(Normalization normalization);

}  // namespace ntk

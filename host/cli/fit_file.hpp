#pragma once

// A fit that is kept: everything that predictions at new points need, in one .npz.
//
// Arrays: `fit` (JSON as bytes: the format and its version, kernel, network, normalisation, classes, solver, facts of the system), `X` (the
// normalised training inputs), `coefficients` (alpha, a row for each row of the kernel), `columns` (statistics of standardize), W1.., b1..
// (a finite network, as --weights takes it), `factor` (Cholesky's, lower, for posterior variances). All matrices are float64.

#include "names.hpp"

#include <ntkcuda/data.hpp>
#include <ntkcuda/kernel_spectrum.hpp>

#include <nlohmann/json.hpp>

#include <optional>

namespace ntk::cli {

struct SavedFit {
    KernelArguments kernel;
    std::string precision = "fp64";
    Architecture architecture;
    std::optional<Weights> weights;  ///< of the empirical kernels
    Normalizer normalizer;
    std::string source;                ///< of the training samples, for reports
    std::vector<std::string> classes;  ///< empty: regression
    Index targets = 1;
    bool initial_function = false;
    nlohmann::ordered_json solver;  ///< {"ridge": lambda} or {"time": t}, for the record
    SystemReport report;
    HostMatrix<double> inputs, coefficients;
    std::optional<HostMatrix<double>> factor;
};

/// Refuses a name that cannot be written to before any work is done. Throws Error(invalid_argument) or Error(io).
void require_fit_path(const std::string& path);

/// Throws Error(io).
void write_fit(const std::string& path, const SavedFit& fit);

/// Throws Error(io) naming the file, the array and what is wrong with it: not a fit, of another version, something missing, surplus or
/// malformed, shapes that do not belong together.
[[nodiscard]] SavedFit read_fit(const std::string& path);

}  // namespace ntk::cli

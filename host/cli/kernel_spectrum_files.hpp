#pragma once

// kernel --eigenvalues and --eigenvectors: the spectrum of the kernel that the command has written, and what it says of the targets.

#include "run.hpp"

#include <ntkcuda/spectrum.hpp>

namespace ntk::cli {

struct SpectrumArguments {
    bool eigenvalues = false;
    Index eigenvectors = 0;  ///< the leading so many

    [[nodiscard]] bool given() const { return eigenvalues || eigenvectors > 0; }
};

void add_spectrum_options(CLI::App& command, SpectrumArguments& arguments);
/// Throws Error(invalid_argument) for kernels without a spectrum, and more eigenvectors than the `rows` of the kernel.
void check_spectrum(const SpectrumArguments& arguments, bool cross, Block block, Index rows);
/// What the spectrum of a kernel takes on the one of `ranks` ranks that has the most of it, its part of the kernel included.
[[nodiscard]] double spectrum_bytes(Index samples, Index rows_per_sample, std::size_t real, int ranks);

/// FILE.eigenvalues.npy and FILE.eigenvectors.npy.
[[nodiscard]] std::string eigenvalues_file(const Run& run);
[[nodiscard]] std::string eigenvectors_file(const Run& run);

/// Reads the kernel from --out and writes both files, eigenvalues (descending) and eigenvectors (M x rows, the entry of largest magnitude
/// positive), and what report_spectrum says.
template <class Real>
void write_spectrum(const SpectrumArguments& arguments, Run& run, const std::shared_ptr<Backend<Real>>& backend, const Dataset& data,
                    double resolution);
/// The results of the run: the range of the eigenvalues, and the alignment with the targets. Collective where the spectrum is; `backend` is
/// that of its results.
template <class Real>
void report_spectrum(const SpectrumArguments& arguments, Run& run, const Spectrum<Real>& spectrum,
                     const std::shared_ptr<Backend<Real>>& backend, const Dataset& data);
/// The eigenvalues into their file, where they are asked for.
template <class Real>
void write_eigenvalues(const SpectrumArguments& arguments, const Run& run, const Spectrum<Real>& spectrum);

}  // namespace ntk::cli

#pragma once

// kernel --eigenvalues and --eigenvectors: the spectrum of the kernel that the command has written, and what it says of the targets.

#include "run.hpp"

namespace ntk::cli {

struct SpectrumArguments {
    bool eigenvalues = false;
    Index eigenvectors = 0;  ///< the leading so many

    [[nodiscard]] bool given() const { return eigenvalues || eigenvectors > 0; }
};

void add_spectrum_options(CLI::App& command, SpectrumArguments& arguments);
/// Refuses kernels without a spectrum, more eigenvectors than the `rows` of the kernel, and what does not fit into memory beside it.
/// Throws Error(invalid_argument) or Error(out_of_memory).
void check_spectrum(const SpectrumArguments& arguments, Run& run, bool cross, Block block, Index rows, std::size_t real_size);

/// Reads the kernel from --out and writes FILE.eigenvalues.npy (descending) and FILE.eigenvectors.npy (M x rows, the entry of largest
/// magnitude positive) beside it. The alignment with the targets goes to the results of the run.
template <class Real>
void write_spectrum(const SpectrumArguments& arguments, Run& run, const std::shared_ptr<Backend<Real>>& backend, const Dataset& data,
                    double resolution);

}  // namespace ntk::cli

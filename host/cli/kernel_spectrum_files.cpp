#include "kernel_spectrum_files.hpp"

#include "output.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/kernel_spectrum.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ntk::cli {
namespace {

/// Shares of the targets that the record lists at least.
constexpr Index least_listed = 10;

template <class Real>
HostMatrix<Real> leading_vectors(const KernelSpectrum<Real>& spectrum, const std::shared_ptr<Backend<Real>>& backend, Index count) {
    const Index n = spectrum.samples();
    HostMatrix<Real> ascending(count, n), vectors(count, n);
    backend->download(spectrum.vectors().row_range(n - count, count), ascending.view());
    for (Index i = 0; i < count; ++i) {
        const Real* row = ascending.data() + (count - 1 - i) * n;
        const Real largest = *std::max_element(row, row + n, [](Real x, Real y) { return std::abs(x) < std::abs(y); });
        for (Index j = 0; j < n; ++j) vectors(i, j) = largest < 0 ? -row[j] : row[j];
    }
    return vectors;
}

/// The targets as the rows of the kernel have them: n x targets, or one column for the outputs of --block full; empty where they differ.
HostMatrix<double> targets_of(const Dataset& data, Index rows) {
    if (!data.has_targets()) return {};
    if (data.samples() == rows) return data.y;
    if (data.y.size() != rows) return {};
    return {rows, 1, std::vector<double>(data.y.data(), data.y.data() + rows)};
}

template <class Real>
void report_alignment(Run& run, const KernelSpectrum<Real>& spectrum, const Matrix<Real>& targets, Index listed) {
    const TargetAlignment alignment = spectrum.alignment(targets.view());
    listed = std::min(std::max(listed, least_listed), spectrum.samples());
    const std::vector<double> shares(alignment.shares.begin(), alignment.shares.begin() + listed);
    std::vector<double> cumulative;
    for (const double share : shares) cumulative.push_back(share + (cumulative.empty() ? 0 : cumulative.back()));
    run.results["alignment"] = {{"kernel_target", alignment.kernel_target}, {"shares", shares}, {"cumulative", cumulative}};
    run.say(fmt::format("alignment {:.4g} of kernel and targets; {:.2f} % of their squares in the leading {} of {} eigenvectors",
                        alignment.kernel_target, 100 * cumulative.back(), listed, spectrum.samples()));
}

}  // namespace

void add_spectrum_options(CLI::App& command, SpectrumArguments& arguments) {
    command.add_flag("--eigenvalues", arguments.eigenvalues, "also FILE.eigenvalues.npy (descending), and the alignment with the targets")
        ->group("Spectrum");
    command.add_option("--eigenvectors", arguments.eigenvectors, "also the leading M eigenvectors: FILE.eigenvectors.npy, M x rows")
        ->check(CLI::PositiveNumber)
        ->group("Spectrum");
}

void check_spectrum(const SpectrumArguments& arguments, Run& run, bool cross, Block block, Index rows, std::size_t real_size) {
    if (!arguments.given()) return;
    if (cross) throw Error(ErrorCode::invalid_argument, "--eigenvalues and --eigenvectors need a symmetric kernel: leave out --test");
    if (block == Block::diag)
        throw Error(ErrorCode::invalid_argument, "--eigenvalues and --eigenvectors need a whole kernel: --block trace or full, not diag");
    if (arguments.eigenvectors > rows)
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("--eigenvectors {}: the kernel has {} rows, and as many eigenvectors", arguments.eigenvectors, rows));
    const auto n = static_cast<double>(rows);
    run.require_memory(fmt::format("the spectrum of a kernel of {} rows", rows), 4 * n * n * static_cast<double>(real_size));
}

template <class Real>
void write_spectrum(const SpectrumArguments& arguments, Run& run, const std::shared_ptr<Backend<Real>>& backend, const Dataset& data,
                    double resolution) {
    if (!arguments.given()) return;
    const std::string& file = run.arguments().out;
    const HostMatrix<double> kernel = read_npy(file).as_matrix();
    const KernelSpectrum<Real> spectrum = run.timed("spectrum", true, [&] {
        const Progress progress(run, "eigenvalues");
        return KernelSpectrum<Real>(upload(backend, kernel), resolution);
    });
    const std::vector<double> descending(spectrum.values().rbegin(), spectrum.values().rend());
    run.results["lambda_max"] = descending.front();
    run.results["lambda_min"] = descending.back();
    if (const HostMatrix<double> targets = targets_of(data, spectrum.samples()); !targets.empty())
        report_alignment(run, spectrum, upload(backend, targets), arguments.eigenvectors);
    run.timed("write", false, [&] {
        if (arguments.eigenvalues) write_npy(beside(file, ".eigenvalues.npy"), {static_cast<Index>(descending.size())}, descending.data());
        if (arguments.eigenvectors > 0)
            write_npy(beside(file, ".eigenvectors.npy"), leading_vectors(spectrum, backend, arguments.eigenvectors));
    });
    run.say(fmt::format("spectrum  {} eigenvalues from {:.6g} to {:.6g}", descending.size(), descending.front(), descending.back()));
}

template void write_spectrum(const SpectrumArguments&, Run&, const std::shared_ptr<Backend<float>>&, const Dataset&, double);
template void write_spectrum(const SpectrumArguments&, Run&, const std::shared_ptr<Backend<double>>&, const Dataset&, double);

}  // namespace ntk::cli

#include "kernel_spectrum_files.hpp"

#include "output.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/distributed_layout.hpp>
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
void report_alignment(Run& run, const Spectrum<Real>& spectrum, const Matrix<Real>& targets, Index listed) {
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

void check_spectrum(const SpectrumArguments& arguments, bool cross, Block block, Index rows) {
    if (!arguments.given()) return;
    if (cross) throw Error(ErrorCode::invalid_argument, "--eigenvalues and --eigenvectors need a symmetric kernel: leave out --test");
    if (block == Block::diag)
        throw Error(ErrorCode::invalid_argument, "--eigenvalues and --eigenvectors need a whole kernel: --block trace or full, not diag");
    if (arguments.eigenvectors > rows)
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("--eigenvectors {}: the kernel has {} rows, and as many eigenvectors", arguments.eigenvectors, rows));
}

double spectrum_bytes(Index samples, Index rows_per_sample, std::size_t real, int ranks) {
    const DistributedLayout layout = kernel_layout(ranks, samples, 0, rows_per_sample).repeated(rows_per_sample, rows_per_sample);
    const double part = static_cast<double>(layout.local_rows(0)) * static_cast<double>(layout.local_cols(0)) * static_cast<double>(real);
    return ranks == 1 ? 4 * part : part + eigen_bytes(layout, real);
}

std::string eigenvalues_file(const Run& run) { return beside(run.arguments().out, ".eigenvalues.npy"); }
std::string eigenvectors_file(const Run& run) { return beside(run.arguments().out, ".eigenvectors.npy"); }

template <class Real>
void report_spectrum(const SpectrumArguments& arguments, Run& run, const Spectrum<Real>& spectrum,
                     const std::shared_ptr<Backend<Real>>& backend, const Dataset& data) {
    const double largest = spectrum.values().back(), smallest = spectrum.values().front();
    run.results["lambda_max"] = largest;
    run.results["lambda_min"] = smallest;
    if (const HostMatrix<double> targets = targets_of(data, spectrum.samples()); !targets.empty())
        report_alignment(run, spectrum, upload(backend, targets), arguments.eigenvectors);
    run.say(fmt::format("spectrum  {} eigenvalues from {:.6g} to {:.6g}", spectrum.samples(), largest, smallest));
}

template <class Real>
void write_eigenvalues(const SpectrumArguments& arguments, const Run& run, const Spectrum<Real>& spectrum) {
    if (!arguments.eigenvalues) return;
    const std::vector<double> descending(spectrum.values().rbegin(), spectrum.values().rend());
    write_npy(eigenvalues_file(run), {spectrum.samples()}, descending.data());
}

template <class Real>
void write_spectrum(const SpectrumArguments& arguments, Run& run, const std::shared_ptr<Backend<Real>>& backend, const Dataset& data,
                    double resolution) {
    if (!arguments.given()) return;
    const HostMatrix<double> kernel = read_npy(run.arguments().out).as_matrix();
    const KernelSpectrum<Real> spectrum = run.timed("spectrum", true, [&] {
        const Progress progress(run, "eigenvalues");
        return KernelSpectrum<Real>(upload(backend, kernel), resolution);
    });
    report_spectrum(arguments, run, spectrum, backend, data);
    run.timed("write", false, [&] {
        write_eigenvalues(arguments, run, spectrum);
        if (arguments.eigenvectors > 0) write_npy(eigenvectors_file(run), leading_vectors(spectrum, backend, arguments.eigenvectors));
    });
}

#define NTKCUDA_INSTANTIATE(Real)                                                                                                \
    template void write_spectrum(const SpectrumArguments&, Run&, const std::shared_ptr<Backend<Real>>&, const Dataset&, double); \
    template void report_spectrum(const SpectrumArguments&, Run&, const Spectrum<Real>&, const std::shared_ptr<Backend<Real>>&,  \
                                  const Dataset&);                                                                               \
    template void write_eigenvalues(const SpectrumArguments&, const Run&, const Spectrum<Real>&)
NTKCUDA_INSTANTIATE(float);
NTKCUDA_INSTANTIATE(double);
#undef NTKCUDA_INSTANTIATE

}  // namespace ntk::cli

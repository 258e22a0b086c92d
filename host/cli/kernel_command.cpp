// ntkcuda kernel: one kernel matrix.

#include "commands.hpp"
#include "kernel_source.hpp"
#include "output.hpp"

#include <ntkcuda/array_file.hpp>

#include <CLI/App.hpp>
#include <fmt/format.h>

namespace ntk::cli {
namespace {

struct Arguments {
    RunArguments run;
    DataArguments data;
    NetworkArguments network;
    KernelArguments kernel;
    bool per_layer = false, normalized = false;
};

void check(const Arguments& a, const Architecture& architecture) {
    const KernelName name = parse_kernel(a.kernel.kernel);
    if (a.per_layer && name != KernelName::empirical_ntk)
        throw Error(ErrorCode::invalid_argument, "--per-layer is for --kernel empirical-ntk");
    if (a.per_layer && a.normalized)
        throw Error(ErrorCode::invalid_argument, "--per-layer and --normalized exclude each other: the terms are of the kernel itself");
    if (a.normalized && a.kernel.block == "diag")
        throw Error(ErrorCode::invalid_argument, "--normalized with --block diag would be all ones");
    require_widths(name, a.network, architecture);
}

template <class Real>
void normalize_kernel(const KernelSource<Real>& source, const Matrix<Real>& rows, const Matrix<Real>& cols, Matrix<Real>& kernel) {
    const Matrix<Real> row_diagonal = source.diagonal(rows), col_diagonal = source.diagonal(cols);
    for (const auto* diagonal : {&row_diagonal, &col_diagonal}) {
        const auto values = download(*diagonal);
        for (Index i = 0; i < values.rows(); ++i)
            if (!(values(i, 0) > 0))
                throw Error(ErrorCode::invalid_argument,
                            fmt::format("--normalized: the diagonal entry of row {} is {}; it cannot be divided by", i + 1, values(i, 0)));
    }
    kernel.backend()->normalize(row_diagonal.view(), col_diagonal.view(), kernel.view());
}

/// Collects the terms of the layers, in order, for one file.
struct LayerTerms {
    Index rows = 0, cols = 0;
    std::vector<HostMatrix<double>> terms;

    void write(const std::string& path) const {
        std::vector<double> all;
        for (const auto& term : terms) all.insert(all.end(), term.data(), term.data() + term.size());
        write_npy(path, {static_cast<Index>(terms.size()), terms.front().rows(), terms.front().cols()}, all.data());
    }
};

template <class Real>
void compute(const Arguments& a, Run& run) {
    const Samples samples = run.timed("data", false, [&] { return load_samples(a.data, false); });
    run.describe(samples);
    const auto weights = load_weights(a.network);
    const Architecture architecture = resolve_architecture(a.network, samples.train.features(), weights);
    check(a, architecture);
    run.parameters.update(data_parameters(a.data, samples));
    run.parameters.update(network_parameters(a.network, architecture));

    const auto backend = run.backend<Real>();
    const Index n1 = samples.test ? samples.test->samples() : samples.train.samples(), n2 = samples.test ? samples.train.samples() : 0;
    const KernelName name = parse_kernel(a.kernel.kernel);
    const double bytes = kernel_bytes(name, parse_block(a.kernel.block), architecture, n1, n2, sizeof(Real));
    run.require_memory(fmt::format("a kernel of {} x {} samples", n1, n2 ? n2 : n1), bytes);

    LayerTerms layers;
    layers.terms.resize(static_cast<std::size_t>(architecture.depth()));
    const Matrix<Real> train = run.timed("upload", false, [&] { return upload(backend, samples.train.x); });
    const Matrix<Real> test = samples.test ? upload(backend, samples.test->x) : Matrix<Real>();
    Matrix<Real> kernel = run.timed("kernel", true, [&] {
        KernelSource<Real> source(backend, a.kernel, architecture, a.network.seed, weights);
        if (a.per_layer)
            source.on_layer([&](Index layer, const HostMatrix<double>& term) { layers.terms[static_cast<std::size_t>(layer - 1)] = term; });
        Matrix<Real> k = samples.test ? source.cross(test, train) : source.symmetric(train);
        if (a.normalized) normalize_kernel(source, samples.test ? test : train, train, k);
        backend->synchronize();
        return k;
    });
    if (a.run.fast() && a.kernel.block != "diag") run.report_resolution(kernel_resolution(a.kernel, kernel.rows()));
    const Norms norms = backend->norms(kernel.view());
    if (!norms.finite)
        throw Error(ErrorCode::device_failure,
                    "the kernel has entries that are not finite: depth, weight std or inputs are too large for this precision");
    run.timed("write", false, [&] {
        write_npy(a.run.out, download(kernel));
        if (a.per_layer) layers.write(beside(a.run.out, ".layers.npy"));
    });
    run.results.update({{"rows", kernel.rows()},
                        {"cols", kernel.cols()},
                        {"frobenius", norms.frobenius},
                        {"max_abs", norms.max_abs},
                        {"file", a.run.out}});
    write_text(beside(a.run.out, ".run.json"), run.record().dump(2) + "\n");
    run.say(fmt::format("kernel    {} ({}), {} x {}: {}", a.kernel.kernel, a.kernel.block, kernel.rows(), kernel.cols(), a.run.out));
    run.finish();
}

}  // namespace

void add_kernel_command(CLI::App& program) {
    auto a = std::make_shared<Arguments>();
    CLI::App* command = program.add_subcommand("kernel", "one kernel matrix: of a finite network or of infinite width, NTK or NNGP");
    add_data_options(*command, a->data, false);
    add_network_options(*command, a->network, true);
    add_kernel_options(*command, a->kernel, "empirical-ntk");
    command->add_flag("--per-layer", a->per_layer, "also the term of every layer: FILE.layers.npy, L x the shape")->group("Kernel");
    command->add_flag("--normalized", a->normalized, "divide by the square roots of both diagonals")->group("Kernel");
    add_run_options(*command, a->run);
    command->footer(
        "Examples:\n  ntkcuda kernel --samples 500 --depth 4 --width 1024 --out K.npy\n"
        "  ntkcuda kernel --kernel ntk --data train.csv --test test.csv --depth 10 --out cross.npy");
    command->callback([a] {
        require_writable_file(a->run.out);
        Run run("kernel", a->run);
        if (a->run.fast()) a->kernel.gram = GramPrecision::half;
        run.parameters.update(Json{{"kernel", a->kernel.kernel},
                                   {"block", a->kernel.block},
                                   {"method", a->kernel.method},
                                   {"per-layer", a->per_layer},
                                   {"normalized", a->normalized}});
        with_precision(a->run, Fast::taken, [&]<class Real>(std::type_identity<Real>) { compute<Real>(*a, run); });
    });
}

}  // namespace ntk::cli

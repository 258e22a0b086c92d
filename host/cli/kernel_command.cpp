// ntkcuda kernel: one kernel matrix.

#include "commands.hpp"
#include "distribution.hpp"
#include "kernel_spectrum_files.hpp"
#include "output.hpp"
#include "plan_outline.hpp"

#include <ntkcuda/array_file.hpp>

#include <CLI/App.hpp>
#include <fmt/format.h>

#include <chrono>

namespace ntk::cli {
namespace {

struct Arguments {
    RunArguments run;
    DataArguments data;
    NetworkArguments network;
    KernelArguments kernel;
    SpectrumArguments spectrum;
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
    if (!a.data.test.empty() && a.kernel.block == "diag")
        throw Error(ErrorCode::invalid_argument, "--block diag has no cross kernel: leave out --test, or use trace or full");
    require_widths(name, a.network, architecture);
}

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The kernel on its way into its file, block by block (one block where it fits into memory).
template <class Real>
class KernelJob {
public:
    KernelJob(const KernelTask<Real>& task, const KernelPlan& plan)
        : task_(task),
          plan_(plan),
          backend_(task.backend),
          host_(make_backend<Real>("cpu", task.run.arguments().threads)),
          shape_{task.rows(), task.cols()},
          file_(task.run.arguments().out, shape_) {
        if (task.per_layer) layers_.emplace(layers_file(task), std::vector<Index>{task.architecture.depth(), shape_[0], shape_[1]});
    }

    /// Nothing is under the final names before the end. Phases: "kernel" is the time to the whole kernel in memory; by blocks, that which
    /// did not go into the files.
    KernelFacts compute(KernelSource<Real>& source) {
        const Clock::time_point start = Clock::now();
        if (layers_) source.on_layer([this](Index layer, const HostMatrix<double>& term) { write_term(layer, term); });
        Progress progress(task_.run, plan_.whole() ? steps_of(parse_kernel(task_.kernel.kernel)) : "blocks");
        if (plan_.whole()) source.on_progress([&progress](Index done, Index total) { progress(done, total); });
        Index done = 0;
        for_each_kernel_block<Real>(
            *backend_, plan_.blocks,
            [&](const SampleBlock& block) {
                block_ = block;
                Matrix<Real> entries = compute_block(source);
                if (plan_.whole()) {
                    backend_->synchronize();
                    compute_seconds_ = seconds_since(start);
                } else {
                    progress(++done, plan_.blocks.count());
                }
                return entries;
            },
            [this](Index row, Index col, ConstMatrixView<Real> entries) {
                facts_.add(host_->norms(entries));
                writing([&] { file_.write(row, col, entries); });
            });
        require_in_range<Real>(facts_, task_.samples.train.x, task_.run.parameters["data"]);
        writing([&] {
            file_.finish();
            if (layers_) layers_->finish();
        });
        const double all = seconds_since(start);
        if (!plan_.whole()) compute_seconds_ = all - write_seconds_;
        task_.run.add_time("kernel", true, compute_seconds_);
        task_.run.add_time("write", false, all - compute_seconds_);
        return facts_;
    }

private:
    template <class Work>
    void writing(const Work& work) {
        const Clock::time_point start = Clock::now();
        work();
        write_seconds_ += seconds_since(start);
    }

    [[nodiscard]] Matrix<Real> compute_block(const KernelSource<Real>& source) const {
        const Matrix<Real> x1 = upload(backend_, task_.row_samples().x.view().row_range(block_.row, block_.rows));
        const bool one_side = !task_.cross() && (task_.block() == Block::diag || block_.on_diagonal());
        const Matrix<Real> x2 =
            one_side ? Matrix<Real>() : upload(backend_, task_.samples.train.x.view().row_range(block_.col, block_.cols));
        Matrix<Real> kernel = one_side ? source.symmetric(x1) : source.cross(x1, x2);
        if (task_.normalized)
            normalize_kernel<Real>(
                source, x1, one_side ? x1 : x2, [this](Index i) { return block_.row + i; }, [this](Index i) { return block_.col + i; },
                kernel.view());
        return kernel;
    }

    /// The term of one layer of the current block, and its mirror image where the kernel is symmetric.
    void write_term(Index layer, const HostMatrix<double>& term) {
        const Index row = block_.row * (term.rows() / block_.rows), col = block_.col * (term.cols() / block_.cols);
        const VisitEntries<double> write = [&](Index i, Index j, ConstMatrixView<double> entries) {
            writing([&] { layers_->write((layer - 1) * shape_[0] + i, j, entries); });
        };
        write(row, col, term.view());
        if (plan_.blocks.symmetric && !block_.on_diagonal()) visit_transpose(row, col, term.view(), write);
    }

    const KernelTask<Real>& task_;
    const KernelPlan& plan_;
    std::shared_ptr<Backend<Real>> backend_, host_;  ///< host_: for facts about what has come to the host
    std::vector<Index> shape_;
    NpyFile<Real> file_;
    std::optional<NpyFile<double>> layers_;
    SampleBlock block_;  ///< the current one
    KernelFacts facts_;
    double compute_seconds_ = 0, write_seconds_ = 0;
};

/// On one rank. Throws Error(out_of_memory) with the number needed.
template <class Real>
KernelPlan plan_alone(const KernelTask<Real>& task, const KernelMemory& memory) {
    KernelPlan plan = plan_kernel(task.run, memory, task.row_samples().samples(), task.cross() ? task.samples.train.samples() : 0);
    task.run.require_memory("the kernel", plan.bytes);
    return plan;
}

template <class Real>
KernelFacts compute_alone(const KernelTask<Real>& task) {
    Run& run = task.run;
    const KernelMemory memory = kernel_memory(task);
    const KernelPlan plan = plan_alone(task, memory);
    if (!plan.whole())
        run.say(fmt::format("blocks    {} of up to {} samples a side: at once the kernel needs {}, and {}", plan.blocks.count(),
                            plan.blocks.side, readable_bytes(plan.whole_bytes), run.memory_available_text()));
    KernelJob<Real> job(task, plan);
    auto source = run.timed("kernel", true, [&] { return task.source(); });
    source.limit_jacobian_block(memory.jacobian_block());
    KernelFacts facts = job.compute(source);
    if (!plan.whole()) facts.blocks = {{"count", plan.blocks.count()}, {"samples", plan.blocks.side}, {"memory_at_once", plan.whole_bytes}};
    return facts;
}

/// The kernel and, from its file, its spectrum.
template <class Real>
KernelFacts write_alone(const KernelTask<Real>& task) {
    KernelFacts facts = compute_alone(task);
    write_spectrum(task.spectrum, task.run, task.backend, task.samples.train, kernel_resolution(task.kernel, task.rows()));
    return facts;
}

template <class Real>
void compute(const Arguments& a, Run& run) {
    const Samples samples = run.load(a.data, false);
    const auto weights = load_weights(a.network);
    const Architecture architecture = resolve_architecture(a.network, samples.train.features(), weights);
    check(a, architecture);
    run.parameters.update(data_parameters(a.data, samples));
    run.parameters.update(network_parameters(a.network, architecture));

    const KernelTask<Real> task{run,          samples,    architecture,       weights, a.kernel, a.network.seed, a.per_layer,
                                a.normalized, a.spectrum, run.backend<Real>()};
    check_spectrum(a.spectrum, task.cross(), task.block(), task.rows());
    if (run.planning()) {
        const KernelMemory memory = kernel_memory(task);
        const KernelPlan plan = plan_alone(task, memory);
        return show_plan(run, task.backend, kernel_outline(run, a.kernel, architecture, memory, plan, a.spectrum.given()));
    }
    if (a.spectrum.given())
        run.require_memory(
            fmt::format("the spectrum of a kernel of {} rows", task.rows()),
            spectrum_bytes(samples.train.samples(), rows_per_sample(task.block(), architecture), sizeof(Real), run.ranks().size()));
    const KernelFacts facts = distribution() ? distribution()->write_kernel(task) : write_alone(task);
    if (!run.writes()) return;
    if (a.run.fast() && a.kernel.block != "diag") run.report_resolution(kernel_resolution(a.kernel, task.rows()));
    run.results.update(
        {{"rows", task.rows()}, {"cols", task.cols()}, {"frobenius", facts.frobenius}, {"max_abs", facts.max_abs}, {"file", a.run.out}});
    if (!facts.blocks.is_null()) run.results["blocks"] = facts.blocks;
    write_text(beside(a.run.out, ".run.json"), run.record().dump(2) + "\n");
    run.say(fmt::format("kernel    {} ({}), {} x {}: {}", a.kernel.kernel, a.kernel.block, task.rows(), task.cols(), a.run.out));
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
    add_spectrum_options(*command, a->spectrum);
    add_run_options(*command, a->run);
    add_plan_options(*command, a->run.plan);
    command->footer(
        "Examples:\n  ntkcuda kernel --samples 500 --depth 4 --width 1024 --out K.npy\n"
        "  ntkcuda kernel --kernel ntk --data train.csv --test test.csv --depth 10 --out cross.npy\n"
        "  ntkcuda kernel --kernel ntk --eigenvalues --eigenvectors 10 --out K.npy");
    command->callback([a] {
        require_writable_file(a->run);
        Run run("kernel", a->run);
        if (a->run.fast()) a->kernel.gram = GramPrecision::half;
        run.parameters.update(Json{{"kernel", a->kernel.kernel},
                                   {"block", a->kernel.block},
                                   {"method", a->kernel.method},
                                   {"passes", a->kernel.passes},
                                   {"per-layer", a->per_layer},
                                   {"normalized", a->normalized},
                                   {"eigenvalues", a->spectrum.eigenvalues}});
        if (a->spectrum.eigenvectors > 0) run.parameters["eigenvectors"] = a->spectrum.eigenvectors;
        with_precision(a->run, Fast::taken, [&]<class Real>(std::type_identity<Real>) { compute<Real>(*a, run); });
    });
}

}  // namespace ntk::cli

// ntkcuda jacobian: the per-sample Jacobian of a finite network.

#include "commands.hpp"
#include "distribution.hpp"
#include "jacobian_share.hpp"
#include "output.hpp"
#include "plan_outline.hpp"

#include "host/jacobian_rows.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/gram.hpp>

#include <CLI/App.hpp>
#include <fmt/format.h>

#include <memory>
#include <utility>

namespace ntk::cli {
namespace {

struct Arguments {
    RunArguments run;
    DataArguments data;
    NetworkArguments network;
};

template <class Real>
Matrix<Real> compute_rows(const Network<Real>& network, const HostMatrix<double>& x, const JacobianPiece& piece) {
    const auto& backend = network.backend();
    if (piece.samples == 0) return {backend, 0, network.architecture.parameters()};
    const Matrix<Real> passing = upload(backend, x.view().row_range(piece.first_pass, piece.passes));
    Matrix<Real> rows = jacobian_rows(network, passing.view(), piece.first - piece.first_pass, piece.samples);
    backend->synchronize();
    return rows;
}

/// The one file of this process, which gets rows in order.
template <class Real>
class OwnFile {
public:
    OwnFile(const std::string& path, const std::vector<Index>& shape, Backend<Real>& backend)
        : file_(path, shape), staging_(backend.host_staging()) {}
    void append(Matrix<Real> rows) {
        const Index start = std::exchange(next_, next_ + rows.rows());
        staging_->put(std::move(rows), [this, start](Index first, ConstMatrixView<Real> part) { file_.write(start + first, 0, part); });
    }
    void finish() {
        staging_->finish();
        file_.finish();
    }

private:
    NpyFile<Real> file_;
    Index next_ = 0;
    std::unique_ptr<HostStaging<Real>> staging_;
};

template <class Real>
std::vector<Index> shape_of(const Network<Real>& network, const HostMatrix<double>& x) {
    return {x.rows() * network.architecture.outputs, network.architecture.parameters()};
}

template <class Real>
void write_pieces(Run& run, const Network<Real>& network, const HostMatrix<double>& x, Index samples_at_once) {
    OwnFile<Real> file(run.arguments().out, shape_of(network, x), *network.backend());
    Progress progress(run, "samples");
    const Index n = x.rows();
    for (Index first = 0; first < n; first += samples_at_once) {
        const JacobianPiece piece = jacobian_piece(n, first, samples_at_once);
        Matrix<Real> rows = run.timed("jacobian", true, [&] { return compute_rows(network, x, piece); });
        run.timed("write", false, [&] { file.append(std::move(rows)); });
        progress(first + piece.samples, n);
    }
    run.timed("write", false, [&] { file.finish(); });
}

/// All ranks write one file.
template <class Real>
void write_share(Run& run, const Network<Real>& network, const HostMatrix<double>& x) {
    std::unique_ptr<SharedFile<Real>> file;
    distribution()->open(run.arguments().out, shape_of(network, x), file);
    const JacobianShare share = jacobian_share(network.architecture, x.rows(), run.ranks().size(), run.ranks().rank());
    const Matrix<Real> rows = run.timed("jacobian", true, [&] {
        const Progress progress(run, "jacobian");
        return compute_rows(network, x, share.piece);
    });
    run.timed("write", false, [&] {
        if (network.backend()->info().kind == DeviceKind::cpu)
            file->write(share.layout, rows.view());
        else
            file->write(share.layout, download(rows).view());
        file->finish();
    });
}

template <class Real>
void compute(const Arguments& a, Run& run) {
    const Samples samples = run.load(a.data, false);
    const auto weights = load_weights(a.network);
    const Architecture architecture = resolve_architecture(a.network, samples.train.features(), weights);
    run.parameters.update(data_parameters(a.data, samples));
    run.parameters.update(network_parameters(a.network, architecture));

    const auto backend = run.backend<Real>();
    const Index n = samples.train.samples(), rows = n * architecture.outputs, cols = architecture.parameters();
    // The passes are those of the diagonal of its kernel.
    KernelMemory memory(*backend, {"empirical-ntk", "diag"}, architecture, weights.has_value(), samples.train.y.cols());
    memory.fit_to(run);
    if (run.planning()) return show_plan(run, backend, jacobian_outline(run, architecture, memory, n));
    const JacobianPlan plan = plan_jacobian(memory, architecture, n, run.ranks().size(), run.memory_available());
    run.require_memory(fmt::format("a Jacobian of {} x {}", rows, cols), plan.bytes);
    const Network<Real> network = run.timed("jacobian", true, [&] {
        const Progress progress(run, "network");
        return weights ? make_network(backend, architecture, *weights) : draw_network(backend, architecture, a.network.seed);
    });
    if (distribution())
        write_share(run, network, samples.train.x);
    else
        write_pieces(run, network, samples.train.x, plan.samples);
    if (!run.writes()) return;
    run.results = {{"rows", rows}, {"cols", cols}, {"file", a.run.out}};
    write_text(beside(a.run.out, ".run.json"), run.record().dump(2) + "\n");
    run.say(fmt::format("jacobian  {} x {}: {}", rows, cols, a.run.out));
    run.finish();
}

}  // namespace

void add_jacobian_command(CLI::App& program) {
    auto a = std::make_shared<Arguments>();
    CLI::App* command = program.add_subcommand(
        "jacobian", "per-sample Jacobian of a finite network: rows sample * O + output, columns W1 (row-major), b1, W2, ..");
    add_data_options(*command, a->data, false);
    add_network_options(*command, a->network, true);
    add_run_options(*command, a->run);
    add_plan_options(*command, a->run.plan);
    command->footer(
        "Examples:\n  ntkcuda jacobian --samples 100 --width 64 --out J.npy\n  ntkcuda jacobian --data x.npy --weights trained.npz --out "
        "J.npy");
    command->callback([a] {
        require_writable_file(a->run);
        Run run("jacobian", a->run);
        with_precision(a->run, Fast::refused, [&]<class Real>(std::type_identity<Real>) { compute<Real>(*a, run); });
    });
}

}  // namespace ntk::cli

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

#include <optional>
#include <utility>

namespace ntk::cli {
namespace {

struct Arguments {
    RunArguments run;
    DataArguments data;
    NetworkArguments network;
};

/// The rows of a share.
template <class Real>
Matrix<Real> compute_rows(const Network<Real>& network, const HostMatrix<double>& x, const JacobianShare& share) {
    const auto& backend = network.backend();
    if (share.samples == 0) return {backend, 0, network.architecture.parameters()};
    const Matrix<Real> passing = upload(backend, x.view().row_range(share.first_pass, share.passes));
    Matrix<Real> rows = jacobian_rows(network, passing.view(), share.first - share.first_pass, share.samples);
    backend->synchronize();
    return rows;
}

/// The one file, by this process or by all ranks.
template <class Real>
class JacobianFile {
public:
    JacobianFile(const std::string& path, const std::vector<Index>& shape) {
        if (distribution() != nullptr)
            distribution()->open(path, shape, shared_);
        else
            own_.emplace(path, shape);
    }
    void write(const Run& run, Matrix<Real> rows, const DistributedLayout& layout) {
        shared_ ? write_part(std::move(rows), layout) : write_pieces(run, std::move(rows));
    }

private:
    void write_part(Matrix<Real> rows, const DistributedLayout& layout) {
        if (rows.backend()->info().kind == DeviceKind::cpu)
            shared_->write(layout, rows.view());
        else
            shared_->write(layout, download(rows).view());
        shared_->finish();
    }
    void write_pieces(const Run& run, Matrix<Real> rows) {
        Progress progress(run, "rows written");
        const Index all = rows.rows();
        const auto staging = rows.backend()->host_staging();
        staging->put(std::move(rows), [&](Index first, ConstMatrixView<Real> part) {
            own_->write(first, 0, part);
            progress(first + part.rows(), all);
        });
        staging->finish();
        own_->finish();
    }

    std::optional<NpyFile<Real>> own_;
    std::unique_ptr<SharedFile<Real>> shared_;
};

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
    run.require_memory(fmt::format("a Jacobian of {} x {}", rows, cols), jacobian_bytes(memory, architecture, n, run.ranks().size()));
    JacobianFile<Real> file(a.run.out, {rows, cols});
    const JacobianShare share = jacobian_share(architecture, n, run.ranks().size(), run.ranks().rank());
    Matrix<Real> own = run.timed("jacobian", true, [&] {
        const Progress progress(run, "jacobian");
        const auto network = weights ? make_network(backend, architecture, *weights) : draw_network(backend, architecture, a.network.seed);
        return compute_rows(network, samples.train.x, share);
    });
    run.timed("write", false, [&] { file.write(run, std::move(own), share.layout); });
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

// ntkcuda jacobian: the per-sample Jacobian of a finite network.

#include "commands.hpp"
#include "kernel_memory.hpp"
#include "output.hpp"
#include "plan_outline.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/gram.hpp>

#include <CLI/App.hpp>
#include <fmt/format.h>

namespace ntk::cli {
namespace {

struct Arguments {
    RunArguments run;
    DataArguments data;
    NetworkArguments network;
};

template <class Real>
void compute(const Arguments& a, Run& run) {
    const Samples samples = run.load(a.data, false);
    const auto weights = load_weights(a.network);
    const Architecture architecture = resolve_architecture(a.network, samples.train.features(), weights);
    run.parameters.update(data_parameters(a.data, samples));
    run.parameters.update(network_parameters(a.network, architecture));

    const auto backend = run.backend<Real>();
    const Index rows = samples.train.samples() * architecture.outputs, cols = architecture.parameters();
    // The passes are those of the diagonal of its kernel.
    KernelMemory memory(*backend, {"empirical-ntk", "diag"}, architecture, weights.has_value(), samples.train.y.cols());
    memory.fit_to(run);
    const double bytes = memory.fixed(samples.train.samples()) + memory.making(samples.train.samples(), 0) +
                         static_cast<double>(rows) * static_cast<double>(cols) * sizeof(Real);
    run.require_memory(fmt::format("a Jacobian of {} x {}", rows, cols), bytes);
    if (run.planning()) return show_plan(run, backend, jacobian_outline(run, architecture, memory, samples.train.samples(), bytes));
    NpyFile<Real> file(a.run.out, {rows, cols});
    const Matrix<Real> x = upload(backend, samples.train.x);
    Matrix<Real> j = run.timed("jacobian", true, [&] {
        const Progress progress(run, "jacobian");
        const auto network = weights ? make_network(backend, architecture, *weights) : draw_network(backend, architecture, a.network.seed);
        Matrix<Real> result = jacobian(network, x.view());
        backend->synchronize();
        return result;
    });
    run.timed("write", false, [&] {
        Progress progress(run, "rows written");
        const auto staging = backend->host_staging();
        staging->put(std::move(j), [&](Index first, ConstMatrixView<Real> part) {
            file.write(first, 0, part);
            progress(first + part.rows(), rows);
        });
        staging->finish();
        file.finish();
    });
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
        on_root([&] {
            require_writable_file(a->run);
            Run run("jacobian", a->run);
            with_precision(a->run, Fast::refused, [&]<class Real>(std::type_identity<Real>) { compute<Real>(*a, run); });
        });
    });
}

}  // namespace ntk::cli

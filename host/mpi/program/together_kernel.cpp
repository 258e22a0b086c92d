// `kernel` on several ranks: each computes its part, the blocks above the diagonal come from those below, and all write one file.

#include "host/cli/pass_sharing.hpp"
#include "kernel_part.hpp"
#include "together.hpp"

#include <fmt/format.h>

#include <optional>

namespace ntk::cli {
namespace {

/// sqrt of the sum of squares, and the largest, over the ranks; throws on all of them where one has an entry that is not finite.
KernelFacts facts_of_all(MpiRanks& ranks, const Norms& mine) {
    KernelFacts facts;
    for (const auto& bytes : ranks.all_gather(std::as_bytes(std::span(&mine, 1)))) {
        Norms norms;
        std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::byte*>(&norms));
        facts.add(norms);
    }
    return facts;
}

DistributedLayout layout_of(int ranks, Index rows, Index cols, bool cross, Index rows_per_sample) {
    return kernel_layout(ranks, rows, cross ? cols : 0, rows_per_sample);
}

template <class Real>
class SharedKernel {
public:
    SharedKernel(MpiRanks& ranks, const KernelTask<Real>& task)
        : ranks_(ranks),
          task_(task),
          each_(rows_per_sample(task.block(), task.architecture)),
          samples_(layout_of(ranks.size(), task.row_samples().samples(), task.samples.train.samples(), task.cross(), each_)),
          layout_(samples_.repeated(each_, each_)),
          memory_(kernel_memory(task)),
          passes_(share_passes(task.run, task.kernel, task.architecture, memory_, samples_)),
          host_(make_backend<Real>("cpu", task.run.arguments().threads)) {}

    KernelFacts write() {
        require_memory();
        MpiNpyFile<Real> file(ranks_, task_.run.arguments().out, {task_.rows(), task_.cols()});
        std::optional<MpiNpyFile<double>> layers;
        if (task_.per_layer)
            layers.emplace(ranks_, layers_file(task_), std::vector<Index>{task_.architecture.depth(), task_.rows(), task_.cols()});
        KernelPart<Real> part(task_.backend, samples_, ranks_.rank(), task_.row_samples().x, task_.samples.train.x, each_);
        if (samples_.symmetric && task_.backend->info().kind == DeviceKind::cuda) join_devices();
        task_.run.timed("kernel", true, [&] { compute(part, layers); });
        const KernelFacts facts = facts_of_all(ranks_, host_->norms(part.entries().view()));
        require_in_range<Real>(facts, task_.samples.train.x, task_.run.parameters["data"]);
        task_.run.timed("write", false, [&] {
            file.write(0, layout_, part.entries().view());
            file.finish();
            if (layers) layers->finish();
        });
        if (task_.spectrum.given()) write_spectrum(std::move(part.entries()));
        return facts;
    }

private:
    void require_memory() {
        if (task_.spectrum.given()) DistributedSpectrum<Real>::require_countable(layout_);
        const Index rows = samples_.local_rows(0), cols = samples_.local_cols(0);  // the first rank has the most
        const double mirroring = samples_.symmetric ? static_cast<double>(2 * layout_.rows.side * layout_.local_cols(0)) * sizeof(Real) : 0;
        task_.run.require_memory("the kernel",
                                 memory_.fixed(task_.row_samples().samples() + (task_.cross() ? task_.samples.train.samples() : 0)) +
                                     memory_.making(rows, cols) + passes_.bytes + mirroring);
        task_.run.say(fmt::format("grid      {} x {} ranks, blocks of {} x {} samples", samples_.grid.rows, samples_.grid.cols,
                                  samples_.rows.side, samples_.cols.side));
        passes_.report(task_.run);
    }

    /// What is above the diagonal goes from GPU to GPU where they can be joined; terms of layers, which are made on the host, do not.
    void join_devices() {
        std::string why_not;
        devices_ = DeviceGroup<Real>::join(ranks_, task_.backend, why_not);
        task_.run.say("mirror    " + (devices_ ? "from GPU to GPU: " + devices_->libraries() : "by the hosts, through MPI: " + why_not));
    }

    void write_spectrum(HostMatrix<Real> kernel) {
        Run& run = task_.run;
        const DistributedSpectrum<Real> spectrum = run.timed("spectrum", true, [&] {
            return DistributedSpectrum<Real>(ranks_, layout_, std::move(kernel), host_, kernel_resolution(task_.kernel, task_.rows()));
        });
        report_spectrum(task_.spectrum, run, spectrum, host_, task_.samples.train);
        run.timed("write", false, [&] {
            if (ranks_.root()) write_eigenvalues(task_.spectrum, run, spectrum);
            const Index count = task_.spectrum.eigenvectors;
            if (count == 0) return;
            MpiNpyFile<Real> file(ranks_, eigenvectors_file(run), {count, task_.rows()});
            file.write(0, spectrum.leading_layout(count), spectrum.leading_vectors(count).view());
            file.finish();
        });
    }

    void compute(KernelPart<Real>& part, std::optional<MpiNpyFile<double>>& layers) {
        KernelSource<Real> source = task_.source();
        source.limit_jacobian_block(memory_.jacobian_block());
        if (!is_empirical(parse_kernel(task_.kernel.kernel))) require_all_in_range(source, task_.backend, task_.samples.train.x);
        if (layers) {
            source.on_layer([&](Index layer, const HostMatrix<double>& term) { write_term(*layers, layer, term); });
            if (part.empty())  // takes part in the writing all the same
                for (Index layer = task_.architecture.depth(); layer >= 1; --layer) write_term(*layers, layer, {});
        }
        const GridGroups sharing(ranks_, samples_.grid, passes_.passes);
        if (devices_) {
            Matrix<Real> on_device = part.compute_on_device(source, sharing.groups());
            if (task_.normalized) part.normalize(source, on_device.view());
            devices_->mirror_lower(layout_, on_device.view());
            return part.fetch(on_device);
        }
        part.compute(source, sharing.groups());
        if (task_.normalized) part.normalize(source);
        if (samples_.symmetric) mirror_lower(ranks_, layout_, part.entries().view());
    }

    void write_term(MpiNpyFile<double>& layers, Index layer, HostMatrix<double> term) {
        if (samples_.symmetric) mirror_lower(ranks_, layout_, term.view());
        layers.write((layer - 1) * task_.rows(), layout_, std::as_const(term).view());
    }

    MpiRanks& ranks_;
    const KernelTask<Real>& task_;
    Index each_;  ///< rows for each sample
    DistributedLayout samples_, layout_;
    KernelMemory memory_;
    PassSharing passes_;
    std::shared_ptr<Backend<Real>> host_;
    std::unique_ptr<DeviceGroup<Real>> devices_{};
};

/// The diagonal: samples dealt to the ranks, outputs whole.
template <class Real>
KernelFacts write_diagonal(MpiRanks& ranks, const KernelTask<Real>& task) {
    const DistributedLayout layout = row_layout(ranks.size(), task.rows(), task.cols());
    const KernelMemory memory = kernel_memory(task);
    task.run.require_memory("the kernel", memory.fixed(task.rows()) + memory.making(layout.local_rows(0), 0));
    MpiNpyFile<Real> file(ranks, task.run.arguments().out, {task.rows(), task.cols()});
    std::optional<MpiNpyFile<double>> layers;
    if (task.per_layer) layers.emplace(ranks, layers_file(task), std::vector<Index>{task.architecture.depth(), task.rows(), task.cols()});
    const HostMatrix<Real> mine = task.run.timed("kernel", true, [&]() -> HostMatrix<Real> {
        const HostMatrix<double> x = samples_of(task.samples.train.x, layout.rows, ranks.rank());
        KernelSource<Real> source = task.source();
        source.limit_jacobian_block(memory.jacobian_block());
        if (!is_empirical(parse_kernel(task.kernel.kernel))) require_all_in_range(source, task.backend, task.samples.train.x);
        const auto write_term = [&](Index layer, const HostMatrix<double>& term) {
            layers->write((layer - 1) * task.rows(), layout, term.view());
        };
        if (layers) source.on_layer(write_term);
        if (!x.empty()) return download(source.symmetric(upload(task.backend, x)));
        for (Index layer = task.architecture.depth(); layers && layer >= 1; --layer) write_term(layer, {});
        return {};
    });
    const KernelFacts facts = facts_of_all(ranks, make_backend<Real>("cpu", task.run.arguments().threads)->norms(mine.view()));
    require_in_range<Real>(facts, task.samples.train.x, task.run.parameters["data"]);
    task.run.timed("write", false, [&] {
        file.write(0, layout, mine.view());
        file.finish();
        if (layers) layers->finish();
    });
    return facts;
}

template <class Real>
KernelFacts write(MpiRanks& ranks, const KernelTask<Real>& task) {
    return task.block() == Block::diag ? write_diagonal(ranks, task) : SharedKernel<Real>(ranks, task).write();
}

}  // namespace

KernelFacts Together::write_kernel(const KernelTask<float>& task) { return write(ranks_, task); }
KernelFacts Together::write_kernel(const KernelTask<double>& task) { return write(ranks_, task); }

}  // namespace ntk::cli

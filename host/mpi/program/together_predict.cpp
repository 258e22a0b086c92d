// `predict` on several ranks: the kernel and its factor or eigenvectors are spread over them, and targets and predictions are on all.

#include "host/cli/closed_form_solver.hpp"
#include "host/cli/pass_sharing.hpp"
#include "host/cli/predict_memory.hpp"
#include "kernel_part.hpp"
#include "together.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <variant>

namespace ntk::cli {
namespace {

/// A rank's part of a kernel: on the host, or on its GPU where the group of GPUs factorises.
template <class Real>
using Part = std::variant<HostMatrix<Real>, Matrix<Real>>;

/// part * right; a part on the host is multiplied by `host`.
template <class Real>
HostMatrix<Real> product(const HostMatrix<Real>& part, const HostMatrix<Real>& right, const std::shared_ptr<Backend<Real>>& host) {
    HostMatrix<Real> result(part.rows(), right.cols());
    if (!part.empty()) host->gemm(Transpose::no, Transpose::no, 1, part.view(), right.view(), 0, result.view());
    return result;
}
template <class Real>
HostMatrix<Real> product(const Matrix<Real>& part, const HostMatrix<Real>& right, const std::shared_ptr<Backend<Real>>&) {
    if (part.empty()) return {part.rows(), right.cols()};
    const auto& backend = part.backend();
    Matrix<Real> factor(backend, right.rows(), right.cols()), result(backend, part.rows(), right.cols());
    backend->upload(right.view(), factor.view());
    backend->gemm(Transpose::no, Transpose::no, 1, part.view(), factor.view(), 0, result.view());
    return download(result);
}

template <class Real>
class SharedSolver final : public DistributedSolver {
public:
    SharedSolver(MpiRanks& ranks, const PredictTask<Real>& task)
        : ranks_(ranks),
          task_(task),
          each_(rows_per_sample(parse_block(task.arguments.kernel.block), task.architecture)),
          train_(kernel_layout(ranks.size(), task.samples.train.samples(), 0, each_)),
          cross_(kernel_layout(ranks.size(), task.samples.test->samples(), task.samples.train.samples(), each_)),
          memory_(*task.backend, task.arguments.kernel, task.architecture, task.weights.has_value(), targets()) {
        memory_.fit_to(task.run);
        if (spectral()) DistributedSpectrum<Real>::require_countable(entries(train_));
        task_.run.say(fmt::format("grid      {} x {} ranks, blocks of {} samples", train_.grid.rows, train_.grid.cols, train_.rows.side));
        share();
        if (task.backend->info().kind == DeviceKind::cuda) join_devices();
        source_ = task.run.timed("kernel", true, [&] {
            return KernelSource<Real>(task.backend, task.arguments.kernel, task.architecture, task.arguments.network.seed, task.weights);
        });
        source_->limit_jacobian_block(memory_.jacobian_block());
        Part<Real> kernel = part_of(train_, train_passes_, task.samples.train.x);
        cross_part_ = part_of(cross_, cross_passes_, task.samples.test->x);
        task.run.timed("solve", true, [&] {
            const double ridge = task.arguments.ridges.front();
            if (devices_) {
                system_.emplace(*devices_, entries(train_), std::get<Matrix<Real>>(std::move(kernel)), ridge);
            } else if (!spectral()) {
                system_.emplace(ranks, entries(train_), std::get<HostMatrix<Real>>(std::move(kernel)), ridge);
            } else {
                const double resolution = kernel_resolution(task.arguments.kernel, entries(train_).rows.size);
                if (task.arguments.run.fast()) task_.run.report_resolution(resolution);
                spectrum_.emplace(ranks, entries(train_), std::get<HostMatrix<Real>>(std::move(kernel)), host_, resolution);
            }
        });
    }

    [[nodiscard]] double condition() const override { return spectral() ? spectrum_->report().condition : system_->report().condition; }

    [[nodiscard]] Solution solve() override {
        return task_.run.timed("solve", true, [&] {
            const PredictArguments& a = task_.arguments;
            HostMatrix<Real> y = task_.samples.train.y.template cast<Real>(), train_start, start;
            if (a.initial_function) {
                train_start = initial_function(task_.samples.train.x);
                for (Index i = 0; i < y.size(); ++i) y.data()[i] -= train_start.data()[i];
                start = as_rows(initial_function(task_.samples.test->x));
            }
            y = as_rows(std::move(y));
            if (spectral()) return solve_by_eigenvectors(y, as_rows(std::move(train_start)), start);
            const HostMatrix<Real> coefficients = system_->solve(y);
            Solution solution;
            solution.predictions = predictions(coefficients, start).template cast<double>();
            solution.coefficients = coefficients.template cast<double>();
            solution.report = system_->report();
            if (a.posterior) solution.variance = variance();
            return solution;
        });
    }

private:
    [[nodiscard]] bool spectral() const { return task_.arguments.spectral(); }
    [[nodiscard]] Index targets() const { return task_.samples.train.y.cols(); }
    [[nodiscard]] DistributedLayout entries(const DistributedLayout& samples) const { return samples.repeated(each_, each_); }

    [[nodiscard]] Matrix<Real> on_host(const HostMatrix<Real>& values) const {
        Matrix<Real> matrix(host_, values.rows(), values.cols());
        host_->upload(values.view(), matrix.view());
        return matrix;
    }

    [[nodiscard]] Solution solve_by_eigenvectors(const HostMatrix<Real>& y, const HostMatrix<Real>& train_start,
                                                 const HostMatrix<Real>& start) const {
        Problem<Real> problem;
        problem.targets = on_host(y);
        if (!train_start.empty()) problem.train_start = on_host(train_start);
        const Predictor<Real> predict_tests = [&](const Matrix<Real>& coefficients) {
            return predictions(download(coefficients), start).template cast<double>();
        };
        return solve_by_spectrum(task_.arguments, *spectrum_, problem, predict_tests, task_.samples.train, &*task_.samples.test);
    }

    /// Which ranks make the passes over whose samples, and what that takes more than was counted for the solver.
    void share() {
        train_passes_ = passes_of(train_);
        cross_passes_ = passes_of(cross_);
        train_passes_.report(task_.run);
        cross_passes_.report(task_.run, "tests");
        const Samples& samples = task_.samples;
        const SampleCounts size{samples.train.samples(), samples.test->samples(), samples.train.features(), targets()};
        if (const double more = std::max(train_passes_.bytes, cross_passes_.bytes); more > 0)
            task_.run.require_memory(fmt::format("prediction from {} samples", size.samples),
                                     predict_bytes(task_.arguments, memory_, size, ranks_.size()) + more);
    }

    [[nodiscard]] PassSharing passes_of(const DistributedLayout& samples) const {
        return share_passes(task_.run, task_.arguments.kernel, task_.architecture, memory_, samples);
    }

    /// One rank a GPU, where NCCL and cuSOLVERMp are and a Cholesky factor is wanted; else the hosts solve.
    void join_devices() {
        std::string why_not = "eigenvectors are computed there";
        if (!spectral()) devices_ = DeviceGroup<Real>::join(ranks_, task_.backend, why_not);
        task_.run.say(devices_ ? "solver    cuSOLVERMp on the GPUs: " + devices_->libraries()
                               : "solver    ScaLAPACK on the hosts, where the parts of the kernel come from the GPUs: " + why_not);
    }

    Part<Real> part_of(const DistributedLayout& samples, const PassSharing& passes, const HostMatrix<double>& rows) {
        return task_.run.timed("kernel", true, [&]() -> Part<Real> {
            if (!is_empirical(parse_kernel(task_.arguments.kernel.kernel))) require_all_in_range(*source_, task_.backend, rows);
            KernelPart<Real> part(task_.backend, samples, ranks_.rank(), rows, task_.samples.train.x, each_);
            const GridGroups sharing(ranks_, samples.grid, passes.passes);
            if (devices_) {
                Matrix<Real> on_device = part.compute_on_device(*source_, sharing.groups());
                if (samples.symmetric) devices_->mirror_lower(entries(samples), on_device.view());
                return on_device;
            }
            part.compute(*source_, sharing.groups());
            if (samples.symmetric) mirror_lower(ranks_, entries(samples), part.entries().view());
            return std::move(part.entries());
        });
    }

    /// n x targets, or one column for the outputs of --block full.
    [[nodiscard]] HostMatrix<Real> as_rows(HostMatrix<Real> values) const {
        if (values.empty() || parse_block(task_.arguments.kernel.block) != Block::full) return values;
        return {values.size(), 1, std::vector<Real>(values.data(), values.data() + values.size())};
    }

    /// of_rows(x) of all rows of x, one of x giving `cols` numbers: each rank does its share.
    template <class OfRows>
    [[nodiscard]] HostMatrix<Real> row_by_row(const HostMatrix<double>& x, Index cols, const OfRows& of_rows) const {
        const DistributedLayout layout = row_layout(ranks_.size(), x.rows(), cols);
        const HostMatrix<double> mine = samples_of(x, layout.rows, ranks_.rank());
        HostMatrix<Real> all(x.rows(), cols);
        if (!mine.empty()) {
            const HostMatrix<Real> values = download(of_rows(upload(task_.backend, mine)));
            for (Index i = 0; i < mine.rows(); ++i)
                std::copy_n(values.data() + i * cols, cols, all.data() + layout.global_row(ranks_.rank(), i) * cols);
        }
        ranks_.sum(std::span(all.data(), static_cast<std::size_t>(all.size())));
        return all;
    }

    [[nodiscard]] HostMatrix<Real> initial_function(const HostMatrix<double>& x) const {
        return row_by_row(x, task_.architecture.outputs, [&](const Matrix<Real>& rows) { return source_->initial_function(rows); });
    }

    /// Every rank adds what its columns of the cross kernel give.
    [[nodiscard]] HostMatrix<Real> predictions(const HostMatrix<Real>& coefficients, const HostMatrix<Real>& start) const {
        const DistributedLayout layout = entries(cross_);
        const Index columns = coefficients.cols();
        HostMatrix<Real> all(layout.rows.size, columns), mine(layout.local_cols(ranks_.rank()), columns);
        if (ranks_.root() && !start.empty()) all = start;
        for (Index j = 0; j < mine.rows(); ++j)
            std::copy_n(coefficients.data() + layout.global_col(ranks_.rank(), j) * columns, columns, mine.data() + j * columns);
        const HostMatrix<Real> products = std::visit([&](const auto& part) { return product(part, mine, host_); }, cross_part_);
        for (Index i = 0; i < products.rows(); ++i) {
            Real* row = all.data() + layout.global_row(ranks_.rank(), i) * columns;
            for (Index t = 0; t < columns; ++t) row[t] += products(i, t);
        }
        ranks_.sum(std::span(all.data(), static_cast<std::size_t>(all.size())));
        return all;
    }

    [[nodiscard]] HostMatrix<double> variance() const {
        const HostMatrix<Real> prior =
            row_by_row(task_.samples.test->x, 1, [&](const Matrix<Real>& rows) { return source_->diagonal(rows); });
        return std::visit([&](const auto& part) { return system_->posterior_variance(entries(cross_), part, prior); }, cross_part_)
            .template cast<double>();
    }

    MpiRanks& ranks_;
    PredictTask<Real> task_;
    Index each_;  ///< rows for each sample
    DistributedLayout train_, cross_;
    KernelMemory memory_;
    std::shared_ptr<Backend<Real>> host_ = make_backend<Real>("cpu", task_.run.arguments().threads);
    PassSharing train_passes_, cross_passes_;
    std::optional<KernelSource<Real>> source_;
    std::unique_ptr<DeviceGroup<Real>> devices_;
    Part<Real> cross_part_;
    std::optional<DistributedKernelSystem<Real>> system_;  ///< or spectrum_, where the predictions are spectral
    std::optional<DistributedSpectrum<Real>> spectrum_;
};

}  // namespace

bool Together::shares(const PredictArguments& a) const { return a.spectral() || (!a.run.fast() && (a.save_fit.empty() || !a.posterior)); }

std::unique_ptr<DistributedSolver> Together::factorise(const PredictTask<float>& task) {
    return std::make_unique<SharedSolver<float>>(ranks_, task);
}
std::unique_ptr<DistributedSolver> Together::factorise(const PredictTask<double>& task) {
    return std::make_unique<SharedSolver<double>>(ranks_, task);
}

}  // namespace ntk::cli

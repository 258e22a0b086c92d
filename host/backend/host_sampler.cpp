#include "host/kernel_sampler.hpp"
#include "host_backend.hpp"
#include "sampler_lanes.hpp"
#include "sampler_units.hpp"
#include "serial_blas.hpp"
#include "system_memory.hpp"
#include "tiles.hpp"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <vector>

namespace ntk {
namespace {

/// How many threads can each have so many bytes, in half of the memory; at least one.
int fitting_threads(int threads, Index bytes) {
    const auto most = static_cast<Index>(system_memory().total / 2) / std::max<Index>(1, bytes);
    return static_cast<int>(std::clamp<Index>(most, 1, threads));
}

/// Groups of networks, one in each lane (sampler_lanes.hpp), on all threads. `Value` is what the numbers are computed in.
template <class Real, class Value>
class HostLaneSampler final : public CheckedSampler<Real> {
public:
    HostLaneSampler(std::shared_ptr<Backend<Real>> backend, const SamplerTask<Value>& task, ConstMatrixView<Real> x, int threads)
        : CheckedSampler<Real>(std::move(backend), task.options, x), task_(task), variant_(lane_sampler_variants<Value>().back()) {
        threads = fitting_threads(threads, LaneWorkspace<Value>::bytes(task, variant_.lanes));
        for (int t = 0; t < threads; ++t) workspaces_.emplace_back(task_, variant_.lanes);
    }

private:
    void sample_checked(std::uint32_t first, MatrixView<Real> out) override {
        const auto threads = static_cast<int>(workspaces_.size());
        const Index lanes = variant_.lanes, groups = (out.rows() + lanes - 1) / lanes;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
        for (Index group = 0; group < groups; ++group) {
            LaneWorkspace<Value>& workspace = workspaces_[static_cast<std::size_t>(omp_get_thread_num())];
            // Lanes past the last network compute one that nobody asked for.
            variant_.run(task_, first + static_cast<std::uint32_t>(group * lanes), workspace);
            for (Index lane = 0; lane < std::min(lanes, out.rows() - group * lanes); ++lane) {
                Real* row = row_of(out, group * lanes + lane);
                for (Index e = 0; e < out.cols(); ++e) row[e] = static_cast<Real>(workspace.small.kernels[e * lanes + lane]);
            }
        }
    }

    SamplerTask<Value> task_;
    LaneSampler<Value> variant_;
    std::vector<LaneWorkspace<Value>> workspaces_;
};

/// The conditional sampler, a network a thread (sampler_units.hpp).
template <class Real>
class HostUnitSampler final : public CheckedSampler<Real> {
public:
    HostUnitSampler(std::shared_ptr<Backend<Real>> backend, const SamplerTask<double>& task, ConstMatrixView<Real> x, int threads)
        : CheckedSampler<Real>(std::move(backend), task.options, x), task_(task) {
        threads = fitting_threads(threads, UnitWorkspace::bytes(task));
        for (int t = 0; t < threads; ++t) workspaces_.emplace_back(task_);
    }

private:
    void sample_checked(std::uint32_t first, MatrixView<Real> out) override {
        const auto threads = static_cast<int>(workspaces_.size());
        const UnitSampler run = unit_sampler_variants().back();
#pragma omp parallel for num_threads(threads) schedule(dynamic)
        for (Index r = 0; r < out.rows(); ++r) {
            UnitWorkspace& workspace = workspaces_[static_cast<std::size_t>(omp_get_thread_num())];
            run(task_, first + static_cast<std::uint32_t>(r), workspace);
            for (Index e = 0; e < out.cols(); ++e) row_of(out, r)[e] = static_cast<Real>(workspace.small.kernels[e]);
        }
    }

    SamplerTask<double> task_;
    std::vector<UnitWorkspace> workspaces_;
};

/// The weights sampler for networks of any size: each by the operations of the backend (gram.hpp), whose bits do not depend on threads. So
/// either each thread has a network of its own, or all work on one where the networks of all threads would not fit.
template <class Real>
class HostLayerwiseSampler final : public CheckedSampler<Real> {
public:
    HostLayerwiseSampler(std::shared_ptr<Backend<Real>> backend, const KernelSamplerOptions& options, ConstMatrixView<Real> x, int threads)
        : CheckedSampler<Real>(std::move(backend), options, x) {
        const auto bytes = static_cast<double>(options.architecture.parameters()) * sizeof(Real);
        const bool fit = bytes * threads < static_cast<double>(system_memory().total) / 4;
        for (int t = 0; fit && t < threads; ++t) alone_.push_back(std::make_shared<HostBackend<Real>>(1));
    }

private:
    void sample_checked(std::uint32_t first, MatrixView<Real> out) override {
        const auto number = [=](Index r) { return first + static_cast<std::uint32_t>(r); };
        if (alone_.empty() || out.rows() < static_cast<Index>(alone_.size())) {
            for (Index r = 0; r < out.rows(); ++r) put(this->backend(), number(r), row_of(out, r));
            return;
        }
        const auto threads = static_cast<int>(alone_.size());
        const SerialBlas serial;
        std::exception_ptr failure;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
        for (Index r = 0; r < out.rows(); ++r) try {
                put(alone_[static_cast<std::size_t>(omp_get_thread_num())], number(r), row_of(out, r));
            } catch (...) {
#pragma omp critical(layerwise_sampler_failure)
                failure = std::current_exception();
            }
        if (failure) std::rethrow_exception(failure);
    }

    void put(const std::shared_ptr<Backend<Real>>& backend, std::uint32_t number, Real* row) const {
        const HostMatrix<Real> kernels = drawn_kernels(backend, this->options(), this->layout(), this->inputs(), number);
        std::copy_n(kernels.data(), kernels.size(), row);
    }

    std::vector<std::shared_ptr<Backend<Real>>> alone_;  ///< a backend of one thread for each thread
};

/// The inputs as numbers.
template <class Real>
HostMatrix<double> host_copy(ConstMatrixView<Real> x) {
    HostMatrix<double> values(x.rows(), x.cols());
    for (Index i = 0; i < x.rows(); ++i) std::copy_n(row_of(x, i), x.cols(), values.data() + i * x.cols());
    return values;
}

/// Lanes of the widest vectors of all machines.
template <class Value>
constexpr int widest_lanes = 64 / sizeof(Value);
/// What a group of networks may take for lanes to pay: a few times the second cache. The same on every machine, for the same bits.
constexpr Index lane_bytes = Index{4} << 20;

}  // namespace

template <class Real>
std::unique_ptr<KernelSampler<Real>> HostSampler<Real>::kernel_sampler(const KernelSamplerOptions& options, ConstMatrixView<Real> x) {
    const KernelLayout layout = checked_layout(options, x.rows(), x.cols());
    const HostMatrix<double> inputs = host_copy(x);
    if (options.sampler == Sampler::conditional) {
        const SamplerTask<double> task(options, layout, inputs);
        if (LaneWorkspace<double>::bytes(task, widest_lanes<double>) <= lane_bytes)
            return std::make_unique<HostLaneSampler<Real, double>>(this->shared_from_this(), task, x, this->threads());
        return std::make_unique<HostUnitSampler<Real>>(this->shared_from_this(), task, x, this->threads());
    }
    const SamplerTask<Real> task(options, layout, inputs);
    if (LaneWorkspace<Real>::bytes(task, widest_lanes<Real>) <= lane_bytes)
        return std::make_unique<HostLaneSampler<Real, Real>>(this->shared_from_this(), task, x, this->threads());
    return std::make_unique<HostLayerwiseSampler<Real>>(this->shared_from_this(), options, x, this->threads());
}

template class HostSampler<float>;
template class HostSampler<double>;

}  // namespace ntk

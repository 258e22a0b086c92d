#include "host/kernel_sampler.hpp"
#include "host_backend.hpp"
#include "sampler_lanes.hpp"
#include "tiles.hpp"

#include <omp.h>

#include <type_traits>

namespace ntk {
namespace {

/// Groups of networks, one in each lane (sampler_lanes.hpp), on all threads. `Value` is what the numbers are computed in.
template <class Real, class Value>
class HostLaneSampler final : public CheckedSampler<Real> {
public:
    HostLaneSampler(std::shared_ptr<Backend<Real>> backend, const SamplerTask<Value>& task, ConstMatrixView<Real> x, int threads)
        : CheckedSampler<Real>(std::move(backend), task.options, x), task_(task), variant_(lane_sampler_variants<Value>().back()) {
        for (int t = 0; t < threads; ++t) workspaces_.emplace_back(task_, variant_.lanes);
    }

private:
    void sample_checked(std::uint32_t first, MatrixView<Real> out) override {
        const Index lanes = variant_.lanes, groups = (out.rows() + lanes - 1) / lanes;
#pragma omp parallel for num_threads(static_cast <int>(workspaces_.size())) schedule(dynamic)
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

/// The inputs as numbers.
template <class Real>
HostMatrix<double> host_copy(ConstMatrixView<Real> x) {
    HostMatrix<double> values(x.rows(), x.cols());
    for (Index i = 0; i < x.rows(); ++i) std::copy_n(row_of(x, i), x.cols(), values.data() + i * x.cols());
    return values;
}

/// What a group of networks may take for lanes to pay: about the second cache. The same on every machine, for the same bits.
constexpr Index lane_bytes = Index{1} << 20;

}  // namespace

template <class Real>
std::unique_ptr<KernelSampler<Real>> HostSampler<Real>::kernel_sampler(const KernelSamplerOptions& options, ConstMatrixView<Real> x) {
    const KernelLayout layout = checked_layout(options, x.rows(), x.cols());
    const HostMatrix<double> inputs = host_copy(x);
    if (options.sampler == Sampler::conditional)
        return std::make_unique<HostLaneSampler<Real, double>>(this->shared_from_this(), SamplerTask<double>(options, layout, inputs), x,
                                                               this->threads());
    const SamplerTask<Real> task(options, layout, inputs);
    if (LaneWorkspace<Real>::bytes(task, 64 / sizeof(Real)) <= lane_bytes)
        return std::make_unique<HostLaneSampler<Real, Real>>(this->shared_from_this(), task, x, this->threads());
    return make_layerwise_sampler<Real>(this->shared_from_this(), options, x);
}

template class HostSampler<float>;
template class HostSampler<double>;

}  // namespace ntk

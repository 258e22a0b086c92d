// small: the whole empirical NTK of one small batch, n = 16, network 3072-2048-2048-2048-8, all outputs (128 x 128): a published comparison
// of ways to compute it on a GPU, where launches and allocations count. Beside a fresh empirical_ntk the same work recorded once and run
// again (RepeatedKernel).
//
// The floor is the larger of two times: the flops, symmetric products counted once, at the rate of this device's GEMM, and the weights read
// once forward and once backward at the rate of its memory, both measured in the same run. `weights_GBs`: that rate.

#include "measure.hpp"
#include "problem.hpp"

#include <ntkcuda/repeated_kernel.hpp>

namespace {

using namespace ntk;

constexpr Index samples = 16;

Architecture published_network() {
    Architecture architecture;
    architecture.inputs = 3072;
    architecture.hidden = {2048, 2048, 2048};
    architecture.outputs = 8;
    return architecture;
}

/// What one kernel cannot do without.
struct Work {
    double flops = 0, entries = 0;  ///< entries of weight matrices read
};

Work work_of(const Architecture& architecture) {
    const double n = samples, rows = n * static_cast<double>(architecture.outputs);
    Work work;
    for (Index l = 1; l <= architecture.depth(); ++l) {
        const double inputs = static_cast<double>(architecture.width(l - 1)), units = static_cast<double>(architecture.width(l));
        const bool hidden = l<architecture.depth(), backward = l> 1;
        work.flops += 2 * n * inputs * units + n * n * inputs;  // forward, <a, a'>
        work.flops +=
            (hidden ? rows * rows * units : 0) + (hidden && backward ? 2 * rows * inputs * units : 0);  // <delta, delta'>, backward
        work.entries += inputs * units * (backward ? 2 : 1);
    }
    return work;
}

/// Bytes a second of reading a matrix.
template <class Real>
class Reading {
public:
    explicit Reading(const std::shared_ptr<Backend<Real>>& backend) : x_(backend, 8192, 2048), sums_(backend, 8192, 1) {
        backend->fill(x_.view(), 1);
    }
    double rate() {
        const ConstMatrixView<Real> x = x_.view();
        return static_cast<double>(x.size() * static_cast<Index>(sizeof(Real))) /
               bench::seconds(*x_.backend(), [&] { x_.backend()->row_dots(x, x, sums_.view()); });
    }

private:
    Matrix<Real> x_, sums_;
};

template <class Real, bool repeated>
void small_kernel(benchmark::State& state) {
    const auto backend = make_backend<Real>(bench::device());
    const Architecture architecture = published_network();
    const Network<Real> network = draw_network(backend, architecture, 1);
    const auto x = bench::normal_samples(backend, samples, architecture.inputs);
    const EmpiricalOptions options{.block = Block::full};
    const Work work = work_of(architecture);
    RepeatedKernel<Real> kernel(network, x.view(), options);
    bench::Ceiling<Real> ceiling(backend, 1024, 1024);
    Reading<Real> reading(backend);
    bench::Rounds rounds;
    std::vector<double> rates;
    for ([[maybe_unused]] auto round : state) {
        const double gemm = ceiling.rate(), memory = reading.rate();
        const double time = bench::seconds(*backend, [&] {
            if constexpr (repeated) {
                benchmark::DoNotOptimize(kernel.run().view().data());
            } else {
                benchmark::DoNotOptimize(empirical_ntk<Real>(network, x.view(), options).view().data());
            }
        });
        // As flops that take as long as the larger of the two.
        rounds.add(state, time, std::max(work.flops, work.entries * sizeof(Real) / memory * gemm), gemm);
        rates.push_back(1e-9 * memory);
    }
    rounds.report(state);
    state.counters["weights_GBs"] = bench::median(rates);
}

void settings(benchmark::internal::Benchmark* b) { b->Iterations(15)->UseManualTime()->Unit(benchmark::kMillisecond); }
BENCHMARK(small_kernel<double, false>)->Name("small/fresh/float64")->Apply(settings);
BENCHMARK(small_kernel<double, true>)->Name("small/repeated/float64")->Apply(settings);
BENCHMARK(small_kernel<float, false>)->Name("small/fresh/float32")->Apply(settings);
BENCHMARK(small_kernel<float, true>)->Name("small/repeated/float32")->Apply(settings);

}  // namespace

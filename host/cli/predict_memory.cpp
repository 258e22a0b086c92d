#include "predict_memory.hpp"

#include <ntkcuda/distributed_layout.hpp>

#include <algorithm>

namespace ntk::cli {
namespace {

/// What solving takes beside both kernels, the targets and the weights of the samples: on one rank all samples, which stay on the device;
/// on several the panels that they exchange.
double work_bytes(const PredictArguments& a, const KernelMemory& memory, const SampleCounts& size, const DistributedLayout& train) {
    const double real = memory.real_bytes();
    if (train.grid.rows * train.grid.cols == 1)
        return static_cast<double>((size.samples + size.tests) * size.features) * real +
               (a.spectral() ? (memory.on_cpu() ? 2 : 3) * memory.result(size.samples, 0) : 0);
    const DistributedLayout entries = train.repeated(memory.rows_per_sample(), memory.rows_per_sample());
    return static_cast<double>(2 * entries.rows.side * (entries.local_rows(0) + entries.local_cols(0))) * real +
           (a.spectral() ? eigen_bytes(entries, static_cast<std::size_t>(real)) : 0);
}

}  // namespace

double predict_bytes(const PredictArguments& a, const KernelMemory& memory, const SampleCounts& size, int ranks) {
    const DistributedLayout train = kernel_layout(ranks, size.samples, 0, memory.rows_per_sample());
    const DistributedLayout cross_layout = kernel_layout(ranks, size.tests, size.samples, memory.rows_per_sample());
    // The first rank has the most; one alone makes a kernel whose columns are its rows.
    const Index rows = train.local_rows(0), across = train.local_cols(0), cols = ranks > 1 ? across : 0, tests = cross_layout.local_rows(0);
    const double kernel = memory.result(rows, cols), cross = memory.result(tests, across);
    double solving = kernel + cross + 4 * static_cast<double>(size.samples * size.targets) * memory.real_bytes();
    solving += work_bytes(a, memory, size, train);
    if (a.posterior) solving += cross;                                                     // its rows, solved
    if (a.posterior || a.initial_function) solving += memory.making(rows, cols) - kernel;  // one more pass
    const double tests_beside = ranks > 1 ? 0 : static_cast<double>(tests * size.features) * memory.real_bytes();
    return memory.fixed(size.samples + size.tests) +
           std::max({memory.making(rows, cols) + tests_beside, kernel + memory.making(tests, across), solving});
}

}  // namespace ntk::cli

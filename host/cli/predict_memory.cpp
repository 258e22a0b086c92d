#include "predict_memory.hpp"

#include <ntkcuda/distributed_layout.hpp>

#include <algorithm>

namespace ntk::cli {
namespace {

/// `cols` = 0: all of the symmetric kernel of `rows` samples.
double bytes_of(const PredictArguments& a, const KernelMemory& memory, const SampleCounts& size, Index rows, Index cols, Index tests) {
    const Index across = cols ? cols : rows;
    const double kernel = memory.result(rows, cols), cross = memory.result(tests, across), real = memory.real_bytes();
    const double features = static_cast<double>(size.features) * real;
    double solving = kernel + cross + static_cast<double>(rows + tests + cols) * features;
    solving += 4 * static_cast<double>(rows * size.targets) * real;                        // targets, and the weights of the samples
    if (a.path() || !a.times.empty()) solving += (memory.on_cpu() ? 2 : 3) * kernel;       // work space of the eigenvectors
    if (a.posterior) solving += cross;                                                     // its rows, solved
    if (a.posterior || a.initial_function) solving += memory.making(rows, cols) - kernel;  // one more pass
    return memory.fixed(size.samples + size.tests) +
           std::max({memory.making(rows, cols) + static_cast<double>(tests) * features, kernel + memory.making(tests, across), solving});
}

}  // namespace

double predict_bytes(const PredictArguments& arguments, const KernelMemory& memory, const SampleCounts& size, int ranks) {
    if (ranks == 1) return bytes_of(arguments, memory, size, size.samples, 0, size.tests);
    const DistributedLayout train = kernel_layout(ranks, size.samples, 0, memory.rows_per_sample());
    const DistributedLayout cross = kernel_layout(ranks, size.tests, size.samples, memory.rows_per_sample());
    return bytes_of(arguments, memory, size, train.local_rows(0), train.local_cols(0), cross.local_rows(0));
}

}  // namespace ntk::cli

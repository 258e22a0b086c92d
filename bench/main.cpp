// All benchmarks in one program, so that one run on one device makes one JSON file:
//
//     ntkcuda_bench [--benchmark_filter=empirical_ntk/float64] [--benchmark_out=FILE --benchmark_out_format=json]
//     ntkcuda_bench --device_name                                    what such a file is called for this device
//
// NTKCUDA_BENCH_DEVICE=cpu|cuda:0 chooses the device (default: the first GPU, else the CPU), OMP_NUM_THREADS the threads.
// scripts/bench runs it all and keeps the result.

#include "measure.hpp"

#include "host/openblas_core.hpp"

#include <cctype>
#include <cstdio>
#include <cstring>

namespace {

/// The device as part of a file name: letters and digits, joined by '-'.
std::string file_name(const ntk::DeviceInfo& device) {
    std::string words = device.name;
    if (device.kind == ntk::DeviceKind::cpu) words.append(1, ' ').append(std::to_string(omp_get_max_threads())).append(" threads");
    std::string name;
    for (const char c : words) {
        if (std::isalnum(static_cast<unsigned char>(c)))
            name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        else if (!name.empty() && name.back() != '-')
            name += '-';
    }
    return name;
}

}  // namespace

int main(int argc, char** argv) {
    ntk::restart_for_openblas(argv);
    if (argc == 2 && std::strcmp(argv[1], "--device_name") == 0) {
        std::puts(file_name(ntk::bench::device_info()).c_str());
        return 0;
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::AddCustomContext("device", ntk::bench::device_info().id());
    benchmark::AddCustomContext("blas_core", openblas_get_corename());
    benchmark::AddCustomContext("device_name", ntk::bench::device_info().name);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}

// peers: the kernels of one case of bench/peers/run, timed as the other tools time theirs: after a first call, inputs and weights in
// memory.
//
// Only with NTKCUDA_BENCH_CASE=FOLDER, where x.npy and weights.npz are; FOLDER/ntkcuda-warm.npy and FOLDER/ntkcuda-analytic-warm.npy
// become the results.

#include "measure.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/gram.hpp>
#include <ntkcuda/infinite_width.hpp>

namespace {

using namespace ntk;

struct Case {
    explicit Case(std::string path) : folder(std::move(path)) {}

    std::string folder;
    std::shared_ptr<Backend<double>> backend = make_backend<double>(bench::device());
    Weights weights = read_weights(folder + "/weights.npz");
    Architecture architecture = architecture_of(weights, {});
    Matrix<double> x = upload(backend, read_npy(folder + "/x.npy").as_matrix());
};

/// The medians of rounds of `kernel()`, whose first result is kept under `name`.
template <class Kernel>
void time_kernel(benchmark::State& state, const Case& peers, const char* name, const Kernel& kernel) {
    write_npy(peers.folder + "/" + name + ".npy", download(kernel()));
    std::vector<double> time;
    for ([[maybe_unused]] auto round : state) {
        time.push_back(bench::seconds(*peers.backend, [&] { benchmark::DoNotOptimize(kernel().view().data()); }));
        state.SetIterationTime(time.back());
    }
    state.counters["median_s"] = bench::median(time);
}

void empirical(benchmark::State& state, const std::string& folder) {
    const Case peers(folder);
    const Network<double> network = make_network(peers.backend, peers.architecture, peers.weights);
    time_kernel(state, peers, "ntkcuda-warm", [&] { return empirical_ntk<double>(network, peers.x.view()); });
}

void analytic(benchmark::State& state, const std::string& folder) {
    const Case peers(folder);
    time_kernel(state, peers, "ntkcuda-analytic-warm",
                [&] { return infinite_width_kernel(peers.architecture, InfiniteKernel::ntk, peers.x); });
}

[[maybe_unused]] const bool registered = [] {
    const char* folder = std::getenv("NTKCUDA_BENCH_CASE");
    if (!folder) return false;
    for (auto* b : {benchmark::RegisterBenchmark("peers/empirical_ntk", empirical, std::string(folder)),
                    benchmark::RegisterBenchmark("peers/infinite_width", analytic, std::string(folder))})
        b->UseManualTime()->Iterations(5)->Unit(benchmark::kMillisecond);
    return true;
}();

}  // namespace

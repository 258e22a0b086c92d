#include <ntkcuda/plan.hpp>

#include <algorithm>
#include <cmath>

namespace ntk {
namespace {

void prefix(std::vector<Phase>& phases, const std::string& text) {
    for (Phase& phase : phases) {
        phase.name = text + phase.name;
        phase.timing = "compare";
    }
}

/// The closed form beside its kernels, as a sweep solves it.
std::vector<Phase> solving(const SampleCounts& size, std::size_t real_bytes) {
    if (size.targets == 0) return {};
    SystemWork system;
    system.rows = static_cast<double>(size.samples);
    system.tests = static_cast<double>(size.tests);
    system.targets = static_cast<double>(size.targets);
    system.real_bytes = real_bytes;
    return system_phases(system);
}

/// The kernels of train x train and test x train, norms of their differences, and the closed form.
std::vector<Phase> cell_phases(const KernelWork& kernel, const SampleCounts& size) {
    const auto n = static_cast<double>(size.samples), m = static_cast<double>(size.tests);
    std::vector<Phase> phases = network_phases(kernel);
    add_phases(phases, kernel_phases(kernel, {n, n * (n + 1) / 2}, n * n));
    add_phases(phases, kernel_phases(kernel, {n + m, m * n}, m * n));
    add_phases(phases, {{"differences", "compare", {{Operation::memory, 2 * (n + m) * n * static_cast<double>(kernel.real_bytes)}}}});
    add_phases(phases, solving(size, kernel.real_bytes));
    return phases;
}

}  // namespace

void add_phases(std::vector<Phase>& phases, const std::vector<Phase>& more, double times) {
    for (const Phase& phase : more) {
        const auto same = std::find_if(phases.begin(), phases.end(), [&](const Phase& p) { return p.name == phase.name; });
        Phase& sum = same != phases.end() ? *same : phases.emplace_back(Phase{phase.name, phase.timing, {}});
        for (Work work : phase.work) {
            work.amount *= times;
            sum.work.push_back(work);
        }
        sum.measured += times * phase.measured;
    }
}

std::vector<Phase> compare_phases(const CompareOptions& options, const SampleCounts& size, std::size_t real_bytes, int ranks) {
    std::vector<Phase> limits, networks;
    const double share = std::ceil(static_cast<double>(options.seeds) / ranks);
    for (const Index depth : options.depths)
        for (const Index width : options.widths) {
            KernelWork kernel;
            kernel.architecture = architecture_of_cell(options, size.features, depth, width);
            kernel.real_bytes = real_bytes;
            add_phases(networks, cell_phases(kernel, size), share);
            // Only the standard parametrization has a limit for every width.
            if (width != options.widths.front() && kernel.architecture.parametrization == Parametrization::ntk) continue;
            kernel.finite = false;
            add_phases(limits, cell_phases(kernel, size));
        }
    prefix(limits, "limits: ");
    prefix(networks, "networks: ");
    add_phases(limits, networks);
    return limits;
}

double depth_pair_layers(const DepthOptions& options, const SampleCounts& size) {
    const auto n = static_cast<double>(size.samples), t = static_cast<double>(size.tests);
    return (n * (n + 1) / 2 + t * n) * static_cast<double>(options.depths.back());
}

std::vector<Phase> depth_phases(const DepthOptions& options, const SampleCounts& size, int ranks) {
    const auto n = static_cast<double>(size.samples), t = static_cast<double>(size.tests),
               depths = std::ceil(static_cast<double>(options.depths.size()) / ranks);
    const double cube = n * n * n, square = n * n * sizeof(double);
    std::vector<Phase> one{{"kernel", "depth", {{Operation::memory, 6 * (square + t * n * sizeof(double))}}},
                           {"factorise", "depth", {{Operation::lu, 2 * cube / 3, n}, {Operation::memory, 3 * square}}},
                           // Of the condition number: two triangles of an LU factor cost twice those of a Cholesky factor.
                           {"condition", "depth", {{Operation::solve, 5 * 2 * n * n, n}}},
                           {"weights", "depth", {{Operation::gemm, 6 * t * n * n, n}}}};
    if (options.spectrum)
        one.push_back({"spectrum", "depth", {{Operation::gemm, 4 * cube, n}, {Operation::eigenvalues, 2 * 4 * cube / 3, n}}});
    std::vector<Phase> phases;
    add_phases(phases, one, depths);
    return phases;
}

}  // namespace ntk

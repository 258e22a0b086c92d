#include "plan_parts.hpp"

namespace ntk::cli {

KernelWork kernel_work(const Run& run, const KernelArguments& kernel, const Architecture& architecture) {
    const KernelName name = parse_kernel(kernel.kernel);
    KernelWork work;
    work.architecture = architecture;
    work.finite = is_empirical(name);
    work.kernel = name == KernelName::empirical_ntk || name == KernelName::ntk ? InfiniteKernel::ntk : InfiniteKernel::nngp;
    work.block = parse_block(kernel.block);
    work.method = kernel.method == "jacobian" ? Method::jacobian : Method::layerwise;
    work.gram = kernel.gram;
    work.real_bytes = run.arguments().real_bytes();
    return work;
}

void append(std::vector<Phase>& phases, std::vector<Phase> more, const std::string& prefix) {
    for (Phase& phase : more) {
        phase.name = prefix + phase.name;
        phases.push_back(std::move(phase));
    }
}

Phase data_phase(const Run& run) {
    const auto source = run.data.at("source").get<std::string>();
    const Json tests = run.data.at("test_samples");
    const double numbers =
        (run.data.at("samples").get<double>() + (tests.is_null() ? 0 : tests.get<double>())) * run.data.at("features").get<double>();
    const bool drawn = source.starts_with("sphere") || source.starts_with("gaussian");
    constexpr double passes = 4;  // normalised, converted, copied
    const Work touched{Operation::memory, passes * numbers * sizeof(double)};
    if (!drawn) return {"samples", "data", {touched}};
    return {"samples", "data", {{Operation::host_normals, numbers}, touched}};
}

}  // namespace ntk::cli

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

Part part_of(int ranks, Index n1, Index n2, double rows_per_sample, std::size_t real) {
    const auto rows = static_cast<double>(n1), cols = static_cast<double>(n2);
    Part part{rank_share(ranks, rows, rows_per_sample, real), {}, 0};
    if (n2 > 0) part.share.cols = rank_share(ranks, cols, rows_per_sample, real).cols;
    part.stored = part.share.rows * part.share.cols;
    part.work = {part.share.rows + part.share.cols, n2 > 0 ? part.stored : rows * (rows + 1) / 2 / ranks};
    return part;
}

Phase mirror_phase(const KernelWork& kernel, const Part& part, const char* timing) {
    return {"mirror", timing, {{Operation::link, kernel.entries(part.stored) / 2 * static_cast<double>(kernel.real_bytes)}}};
}

}  // namespace ntk::cli

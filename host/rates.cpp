#include <ntkcuda/rates.hpp>

#include <ntkcuda/error.hpp>

#include <fmt/format.h>

#include <array>

namespace ntk {
namespace {

constexpr std::array names = {"gemm",         "gram",     "half_gram",    "pair_features", "arccos_ntk", "arccos_nngp",
                              "erf_ntk",      "erf_nngp", "cholesky",     "solve",         "lu",         "eigenvalues",
                              "eigenvectors", "normals",  "host_normals", "memory",        "write",      "link"};

}  // namespace

const char* to_string(Operation operation) { return names[static_cast<std::size_t>(operation)]; }

const std::vector<Operation>& all_operations() {
    static const std::vector<Operation> all = [] {
        std::vector<Operation> list;
        for (std::size_t i = 0; i < names.size(); ++i) list.push_back(static_cast<Operation>(i));
        return list;
    }();
    return all;
}

Rate fit_rate(const double (&work)[2], const double (&size)[2], const double (&seconds)[2]) {
    for (int i = 0; i < 2; ++i)
        if (!(work[i] > 0 && size[i] > 0 && seconds[i] > 0))
            throw Error(ErrorCode::invalid_argument, "a rate needs work, sizes and times that are positive");
    const double small = seconds[0] / work[0], large = seconds[1] / work[1];
    const double slope = (small - large) / (1 / size[0] - 1 / size[1]), least = large - slope / size[1];
    if (!(slope > 0)) return {1 / large, 0};
    // What others do to timings can leave nothing for large work; twice what was reached is as far as they are believed.
    if (!(least > 0.5 * large)) return {2 / large, size[1]};
    return {1 / least, slope / least};
}

Rates nominal_rates(DeviceKind kind, int threads) {
    const bool cpu = kind == DeviceKind::cpu;
    const double flops = cpu ? 25e9 * threads : 30e12;
    Rates rates;
    rates.kind = kind;
    rates.device = cpu ? "a CPU" : "a CUDA device";
    rates.source = "nominal";
    rates.fp64 = {{Operation::gemm, {flops, 0}}, {Operation::memory, {cpu ? 10e9 * threads : 2e12, 0}}, {Operation::link, {5e9, 0}}};
    rates.fp32 = rates.fp64;
    rates.fp32[Operation::gemm].per_second *= 2;
    return rates;
}

const Rate& Rates::at(Operation operation, std::size_t real_bytes) const {
    const bool single = real_bytes == sizeof(float);
    const auto& table = single ? fp32 : fp64;
    const auto found = table.find(operation);
    if (found == table.end())
        throw Error(ErrorCode::invalid_argument, fmt::format("the rates of {} ({}) have no '{}' in {}, which this plan needs", device,
                                                             source, to_string(operation), single ? "fp32" : "fp64"));
    return found->second;
}

}  // namespace ntk

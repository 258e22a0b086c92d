#include "kernel_memory.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ntk::cli {
namespace {

/// Blocks are of a multiple of this many samples, or of the smaller one where that is too much.
constexpr Index coarse = 384, fine = 64;
/// Of a transposed block, what is on the host at a time.
constexpr double transpose_bytes = 16 << 20;

}  // namespace

template <class Real>
KernelMemory::KernelMemory(const Backend<Real>& backend, const KernelArguments& kernel, const Architecture& architecture,
                           bool given_weights, Index targets)
    : name_(parse_kernel(kernel.kernel)),
      block_(parse_block(kernel.block)),
      by_jacobian_(kernel.method == "jacobian"),
      half_(kernel.gram == GramPrecision::half),
      architecture_(architecture),
      given_weights_(given_weights),
      on_cpu_(backend.info().kind == DeviceKind::cpu),
      targets_(targets),
      real_(sizeof(Real)),
      workspace_([&backend](Index rows, Index cols, Index inputs) { return backend.kernel_workspace(rows, cols, inputs); }) {}

template KernelMemory::KernelMemory(const Backend<float>&, const KernelArguments&, const Architecture&, bool, Index);
template KernelMemory::KernelMemory(const Backend<double>&, const KernelArguments&, const Architecture&, bool, Index);

void KernelMemory::fit_to(const Run& run) {
    on_cpu_ = run.device().kind == DeviceKind::cpu;
    constexpr int share = 16;
    if (run.arguments().memory_gib) jacobian_block_ = std::min(jacobian_block_, static_cast<Index>(run.memory_available() / share));
}

double KernelMemory::weights() const {
    double weights = 0;
    for (Index l = 1; l <= architecture_.depth(); ++l)
        weights += static_cast<double>(architecture_.width(l)) * static_cast<double>(architecture_.width(l - 1) + 1);
    return weights;
}

double KernelMemory::host(Index samples) const {
    const double numbers = static_cast<double>(samples) * static_cast<double>(architecture_.inputs + targets_);
    return (numbers + (given_weights_ ? weights() : 0)) * sizeof(double);
}

double KernelMemory::fixed(Index samples) const {
    return (on_cpu_ ? host(samples) : 0) + (is_empirical(name_) ? weights() * real_bytes() : 0);
}

double KernelMemory::result(Index n1, Index n2) const {
    const auto r = static_cast<double>(rows_per_sample()), rows = static_cast<double>(n1);
    const double cols = block_ == Block::diag ? static_cast<double>(architecture_.outputs) : static_cast<double>(n2 ? n2 : n1);
    return rows * r * cols * (block_ == Block::diag ? 1 : r) * static_cast<double>(real_);
}

/// Numbers in deltas while the sides step from layer to layer, one behind the other.
double KernelMemory::deltas(double n1, double n2) const {
    double most = 0, above = 0;  // of one sample; the output layer's delta is the identity and takes nothing
    for (Index l = architecture_.depth() - 1; l >= 1; --l) {
        const double here = static_cast<double>(architecture_.outputs) * static_cast<double>(architecture_.width(l));
        most = std::max({most, n1 * (above + here) + n2 * above, n1 * here + n2 * (above + here)});
        above = here;
    }
    return most;
}

/// z and a of every hidden layer, f, and deltas.
double KernelMemory::passes(double n1, double n2) const {
    double units = 0;
    for (const Index width : architecture_.hidden) units += static_cast<double>(width);
    const double numbers = (n1 + n2) * (2 * units + static_cast<double>(architecture_.outputs));
    return (numbers + (name_ == KernelName::empirical_ntk ? deltas(n1, n2) : 0)) * static_cast<double>(real_);
}

double KernelMemory::exchanging(Index n1, Index n2, Index own1, Index own2) const {
    double gathered = 0;  // of one sample and layer
    for (Index l = 1; l <= architecture_.depth(); ++l) {
        const bool hidden = l < architecture_.depth() && name_ == KernelName::empirical_ntk;
        gathered = std::max(gathered, (l > 1 ? static_cast<double>(architecture_.width(l - 1)) : 0) +
                                          (hidden ? static_cast<double>(architecture_.outputs * architecture_.width(l)) : 0));
    }
    return passes(static_cast<double>(own1), static_cast<double>(own2)) - passes(static_cast<double>(n1), static_cast<double>(n2)) +
           static_cast<double>(n1 + n2) * gathered * static_cast<double>(real_);
}

double KernelMemory::jacobian_blocks(Index n1, Index n2) const {
    double most = 0;
    for (Index l = 1; l <= architecture_.depth(); ++l) {
        const Index unit = std::max(n1, n2) * architecture_.outputs * architecture_.width(l - 1) * real_;
        const Index units = std::clamp<Index>(jacobian_block_ / std::max<Index>(1, unit), 1, architecture_.width(l));
        most = std::max(most, static_cast<double>(units) * static_cast<double>(unit));
    }
    return most * (n2 ? 2 : 1);
}

double KernelMemory::making(Index n1, Index n2) const {
    const auto real = static_cast<double>(real_), samples = static_cast<double>(n1 + n2);
    const auto inputs = static_cast<double>(architecture_.inputs);
    const Index r = rows_per_sample();
    // Samples that are not doubles are converted on the host.
    double bytes = result(n1, n2) + samples * inputs * real * (on_cpu_ && real_ < Index{sizeof(double)} ? 2 : 1);
    bytes += static_cast<double>(workspace_(n1 * r, (n2 ? n2 : n1) * r, architecture_.inputs));
    if (layer_terms_) bytes += result(n1, n2) * (on_cpu_ ? 2 + sizeof(double) / real : 1);  // on the device, on the host, as double
    if (!is_empirical(name_)) return bytes;
    if (half_) {  // rounded operands of one layer, kept as float32 on the CPU
        double widest = 0;
        for (const Index width : architecture_.hidden) widest = std::max(widest, static_cast<double>(width));
        const double numbers = std::max(widest, inputs) + static_cast<double>(architecture_.outputs) * widest;
        bytes += samples * numbers * (on_cpu_ ? 4 : 2);
    }
    bytes += passes(static_cast<double>(n1), static_cast<double>(n2));
    return by_jacobian_ ? bytes + jacobian_blocks(n1, n2) : bytes;
}

KernelPlan plan_kernel(Run& run, const KernelMemory& memory, Index n1, Index n2) {
    const bool diagonal = memory.block() == Block::diag, symmetric = n2 == 0 && !diagonal;
    KernelPlan plan{{n1, diagonal ? 1 : n2 ? n2 : n1, n1, symmetric}};
    const double fixed = memory.fixed(n1 + n2), available = run.memory_available();
    plan.bytes = plan.whole_bytes = fixed + memory.making(n1, n2);
    const Index most = std::max({Index{1}, n1, n2});
    plan.blocks.side = most;
    if (plan.bytes <= available) return plan;

    const auto bytes = [&](Index side) {
        const Index rows = std::min(side, n1), cols = diagonal ? 0 : std::min(side, n2 ? n2 : n1);
        const double copies = memory.on_cpu() ? (symmetric ? transpose_bytes : 0) : memory.result(rows, cols);  // the block before
        return fixed + memory.making(rows, cols) + std::min(copies, memory.result(rows, cols));
    };
    // The largest multiple of `step` that fits, which the larger ones do not; 0 if none does.
    const auto largest = [&](Index step) {
        Index fits = 0, fails = most / step + 1;
        while (fails - fits > 1) {
            const Index middle = fits + (fails - fits) / 2;
            (bytes(middle * step) <= available ? fits : fails) = middle;
        }
        return fits * step;
    };
    plan.blocks.side = largest(coarse);
    if (plan.blocks.side == 0) plan.blocks.side = largest(fine);
    if (plan.blocks.side == 0)
        run.require_memory(fmt::format("a kernel of {} x {} samples, even by blocks of {},", n1, n2 ? n2 : n1, fine), bytes(fine));
    plan.bytes = bytes(plan.blocks.side);
    return plan;
}

}  // namespace ntk::cli

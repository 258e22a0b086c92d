#include <ntkcuda/plan.hpp>

#include <algorithm>
#include <cmath>

namespace ntk {
namespace {

bool in_flops(Operation operation) {
    switch (operation) {
        case Operation::gemm:
        case Operation::gram:
        case Operation::half_gram:
        case Operation::pair_features:
        case Operation::cholesky:
        case Operation::solve:
        case Operation::lu:
        case Operation::eigenvalues:
        case Operation::eigenvectors:
            return true;
        default:
            return false;
    }
}

bool in_bytes(Operation operation) {
    return operation == Operation::memory || operation == Operation::write || operation == Operation::link;
}

bool in_pair_layers(Operation operation) { return operation >= Operation::arccos_ntk && operation <= Operation::erf_nngp; }

double amount_of(const std::vector<Work>& work, bool (*counts)(Operation)) {
    double sum = 0;
    for (const Work& w : work)
        if (counts(w.operation)) sum += w.amount;
    return sum;
}

double hidden_units(const Architecture& architecture) {
    double units = 0;
    for (const Index width : architecture.hidden) units += static_cast<double>(width);
    return units;
}

Operation recursion_of(const KernelWork& kernel) {
    const bool ntk = kernel.kernel == InfiniteKernel::ntk;
    if (kernel.architecture.activation.kind == Activation::Kind::erf) return ntk ? Operation::erf_ntk : Operation::erf_nngp;
    return ntk ? Operation::arccos_ntk : Operation::arccos_nngp;
}

/// Forward and, for the tangent kernel, backward passes, with what is read and written beside the products.
Phase passes_phase(const KernelWork& kernel, double samples) {
    const Architecture& a = kernel.architecture;
    const bool back = kernel.kernel == InfiniteKernel::ntk;
    const double widest =
        a.hidden.empty() ? static_cast<double>(a.outputs) : static_cast<double>(*std::max_element(a.hidden.begin(), a.hidden.end()));
    // z and a: written, read, written, read; a delta of each output: written, read, written, read with z.
    const double numbers = 4 + (back ? 5 * static_cast<double>(a.outputs) : 0);
    const double flops = forward_flops(a, samples) + (back ? backward_flops(a, samples) : 0);
    return {"passes",
            "kernel",
            {{Operation::gemm, flops, widest},
             {Operation::memory, samples * hidden_units(a) * numbers * static_cast<double>(kernel.real_bytes)}}};
}

Phase products_phase(const KernelWork& kernel, double pairs) {
    const Architecture& a = kernel.architecture;
    const auto outputs = static_cast<double>(a.outputs);
    Phase phase{"layer products", "kernel", {}};
    if (kernel.kernel == InfiniteKernel::nngp) {
        const auto last = static_cast<double>(a.width(a.depth() - 1));
        phase.work.push_back({Operation::gram, 2 * pairs * last, last});
        return phase;
    }
    const double entry_outputs = kernel.block == Block::full ? outputs * outputs : outputs;
    if (kernel.method == Method::jacobian) {
        const auto columns = static_cast<double>(a.parameters());
        phase.work.push_back({Operation::gram, 2 * pairs * entry_outputs * columns, columns});
        return phase;
    }
    const Operation gram = kernel.gram == GramPrecision::half ? Operation::half_gram : Operation::gram;
    for (Index l = 1; l <= a.depth(); ++l) {
        const auto below = static_cast<double>(a.width(l - 1)), here = l == a.depth() ? 0 : static_cast<double>(a.width(l));
        phase.work.push_back({gram, 2 * pairs * (below + entry_outputs * here), (below + here) / (here > 0 ? 2 : 1)});
    }
    return phase;
}

Phase limit_phase(const KernelWork& kernel, double pairs) {
    const auto inputs = static_cast<double>(kernel.architecture.inputs), depth = static_cast<double>(kernel.architecture.depth());
    return {"pairs", "kernel", {{Operation::pair_features, 2 * pairs * inputs, inputs}, {recursion_of(kernel), pairs * depth, depth}}};
}

/// Zeros first, the mirror image (read and written), norms; each term of a layer is filled, added, mirrored, copied and converted.
Phase entries_phase(const KernelWork& kernel, double entries) {
    const double terms = kernel.layer_terms ? static_cast<double>(kernel.architecture.depth()) : 0;
    return {"entries", "kernel", {{Operation::memory, entries * static_cast<double>(kernel.real_bytes) * (4 + 8 * terms)}}};
}

/// PxPOTRF on several ranks: nothing is done ahead of the block whose turn it is.
Phase factorise_phase(const SystemWork& system) {
    const DistributedLayout& layout = system.layout;
    const double n = system.rows, ranks = layout.grid.rows * layout.grid.cols, all = n * n * n / 3;
    const Work touched{Operation::memory, 3 * n * n * static_cast<double>(system.real_bytes) / ranks};
    if (ranks == 1) return {"factorise", "solve", {{Operation::cholesky, all, n}, touched}};
    const double side = std::min(n, static_cast<double>(layout.rows.side)), triangles = side * side * n / 3,
                 beside = side * n * (n - side) / 2;
    const double most = static_cast<double>(layout.local_rows(0)) * static_cast<double>(layout.local_cols(0)) / (n * n);
    return {"factorise",
            "solve",
            {{Operation::cholesky, std::max(0.0, all - triangles - beside) * most, n},
             {Operation::solve, triangles, side},  // column by column
             {Operation::gemm, beside / layout.grid.rows, side},
             touched}};
}

/// Numbers of each sample that shared passes send: a^l and delta^l of the hidden layers, or a^{L-1} alone.
double gathered_numbers(const KernelWork& kernel) {
    const Architecture& a = kernel.architecture;
    if (kernel.kernel == InfiniteKernel::ntk) return hidden_units(a) * (1 + static_cast<double>(a.outputs));
    return a.hidden.empty() ? 0 : static_cast<double>(a.hidden.back());
}

/// The diagonal alone reads what the passes have left.
Phase diagonal_phase(const KernelWork& kernel, double samples) {
    const Architecture& a = kernel.architecture;
    const double numbers = static_cast<double>(a.inputs) + hidden_units(a) * (1 + static_cast<double>(a.outputs));
    return {"diagonal", "kernel", {{Operation::memory, samples * numbers * static_cast<double>(kernel.real_bytes)}}};
}

}  // namespace

double Phase::flops() const { return amount_of(work, in_flops); }
double Phase::bytes() const { return amount_of(work, in_bytes); }
double Phase::pair_layers() const { return amount_of(work, in_pair_layers); }

double Phase::seconds(const Rates& rates, std::size_t real_bytes) const {
    if (measured > 0) return measured;
    double sum = 0;
    for (const Work& w : work)
        if (w.amount > 0) sum += rates.at(w.operation, real_bytes).seconds(w.amount, w.size);
    return sum;
}

std::set<Operation> operations_of(const std::vector<Phase>& phases) {
    std::set<Operation> operations;
    for (const Phase& phase : phases) {
        if (phase.measured > 0) continue;
        for (const Work& w : phase.work)
            if (w.amount > 0) operations.insert(w.operation);
    }
    return operations;
}

double forward_flops(const Architecture& architecture, double samples) {
    double products = 0;
    for (Index l = 1; l <= architecture.depth(); ++l)
        products += static_cast<double>(architecture.width(l)) * static_cast<double>(architecture.width(l - 1));
    return 2 * samples * products;
}

double backward_flops(const Architecture& architecture, double samples) {
    double products = 0;
    for (Index l = 2; l < architecture.depth(); ++l)
        products += static_cast<double>(architecture.width(l)) * static_cast<double>(architecture.width(l - 1));
    return 2 * samples * static_cast<double>(architecture.outputs) * products;
}

BlockWork block_work(const KernelBlocks& blocks) {
    (void)blocks.count();  // refuses a side that is none
    const auto rows = static_cast<double>(blocks.rows), cols = static_cast<double>(blocks.cols), side = static_cast<double>(blocks.side);
    const double down = std::ceil(rows / side), across = std::ceil(cols / side);
    if (!blocks.symmetric) return {rows * across + cols * down, rows * cols};
    // Block row i has its rows once for each of its i + 1 blocks, and the columns before it: each sample goes through as often as there are
    // pieces, and pairs within a block on the diagonal are computed once.
    return {rows * down, rows * (rows + 1) / 2};
}

std::vector<Phase> network_phases(const KernelWork& kernel) {
    if (!kernel.finite) return {};
    const Architecture& a = kernel.architecture;
    double weights = forward_flops(a, 0.5);
    if (a.biases != Biases::none) weights += hidden_units(a) + static_cast<double>(a.outputs);
    return {{"weights", "kernel", {{Operation::normals, weights}}}};
}

std::vector<Phase> kernel_phases(const KernelWork& kernel, const BlockWork& work, double stored) {
    std::vector<Phase> phases;
    if (kernel.finite) phases.push_back(passes_phase(kernel, work.passes));
    if (kernel.block == Block::diag) {
        phases.push_back(diagonal_phase(kernel, work.passes));
        return phases;
    }
    phases.push_back(kernel.finite ? products_phase(kernel, work.pairs) : limit_phase(kernel, work.pairs));
    phases.push_back(entries_phase(kernel, kernel.entries(stored)));
    return phases;
}

std::vector<Phase> system_phases(const SystemWork& system) {
    const RankGrid& grid = system.layout.grid;
    const double ranks = grid.rows * grid.cols, rows = grid.rows, cols = grid.cols;
    const double n = system.rows, m = system.tests, real = static_cast<double>(system.real_bytes), square = n * n * real / ranks;
    std::vector<Phase> phases;
    const Work test_products{Operation::memory, m * n * real * system.values / ranks};
    if (system.spectrum) {
        phases.push_back({"eigenvectors", "solve", {{Operation::eigenvectors, 9 * n * n * n / ranks, n}, {Operation::memory, 4 * square}}});
        // Coefficients, fitted values and leaving one out read the eigenvectors some six times a value.
        phases.push_back({"values", "solve", {{Operation::memory, 6 * square * system.values}, test_products}});
        return phases;
    }
    phases.push_back(factorise_phase(system));
    const double solves = 5 + (system.coarse ? 20 : 0), solve_flops = n * n * (1 / rows + 1 / cols);
    phases.push_back({"condition", "solve", {{Operation::solve, solves * solve_flops, n}}});
    // The first target reads the factor, the others have it in caches.
    phases.push_back({"targets",
                      "solve",
                      {{Operation::solve, solve_flops, n}, {Operation::gemm, solve_flops * (system.targets - 1), n}, test_products}});
    if (system.posterior)
        phases.push_back({"variance", "solve", {{Operation::gemm, m * n * n / ranks, n}, {Operation::memory, 4 * m * n * real / ranks}}});
    return phases;
}

Phase write_phase(double bytes, int ranks) {
    Phase phase{"write", "write", {{Operation::write, bytes / ranks}}};
    if (ranks > 1) phase.work.insert(phase.work.end(), {{Operation::memory, 4 * bytes / ranks}, {Operation::link, bytes / ranks}});
    return phase;
}

const char* to_string(Passes passes) { return passes == Passes::compute ? "compute" : "exchange"; }

std::vector<Phase> pass_phases(const KernelWork& kernel, const DistributedCost& cost, Passes passes) {
    if (passes == Passes::compute) return {passes_phase(kernel, cost.passes)};
    return {passes_phase(kernel, cost.own_passes),
            {"exchange", "kernel", {{Operation::link, cost.gathered * gathered_numbers(kernel) * static_cast<double>(kernel.real_bytes)}}}};
}

PassChoice choose_passes(const KernelWork& kernel, const DistributedCost& cost, const Rates& rates) {
    if (!kernel.finite || !cost.shared) return {};
    const auto seconds = [&](Passes passes) {
        double sum = 0;
        for (const Phase& phase : pass_phases(kernel, cost, passes)) sum += phase.seconds(rates, kernel.real_bytes);
        return sum;
    };
    const double compute = seconds(Passes::compute), exchange = seconds(Passes::exchange);
    return {exchange < compute ? Passes::exchange : Passes::compute, compute, exchange};
}

std::vector<Phase> part_phases(const KernelWork& kernel, const DistributedCost& cost, Passes passes) {
    std::vector<Phase> phases;
    if (kernel.finite) phases = pass_phases(kernel, cost, passes);
    const double pairs = cost.computed / kernel.entries(1);
    phases.push_back(kernel.finite ? products_phase(kernel, pairs) : limit_phase(kernel, pairs));
    phases.push_back(entries_phase(kernel, cost.entries));
    if (cost.mirrored_bytes > 0) phases.push_back({"mirror", "kernel", {{Operation::link, cost.mirrored_bytes}}});
    return phases;
}

}  // namespace ntk

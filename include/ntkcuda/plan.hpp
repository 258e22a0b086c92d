#pragma once

/// \file plan.hpp
/// What a run takes before it starts: the work of each phase from formulas, and its time from rates of the machine.

#include <ntkcuda/compare.hpp>
#include <ntkcuda/depth_limit.hpp>
#include <ntkcuda/distributed_layout.hpp>
#include <ntkcuda/gram.hpp>
#include <ntkcuda/infinite_width.hpp>
#include <ntkcuda/kernel_blocks.hpp>
#include <ntkcuda/rates.hpp>

#include <set>
#include <string>
#include <vector>

namespace ntk {

/// Work of one kind.
struct Work {
    Operation operation = Operation::gemm;
    double amount = 0, size = 1;
};

/// A part of a run.
struct Phase {
    std::string name;
    std::string timing;      ///< the phase of run.json's timings that it counts in
    std::vector<Work> work;  ///< one after the other
    double measured = 0;     ///< seconds of all of it, where they were measured as such; 0: by rates

    [[nodiscard]] double flops() const;
    /// Read and written in memory, files and over links; what products read again from caches is not counted.
    [[nodiscard]] double bytes() const;
    [[nodiscard]] double pair_layers() const;
    [[nodiscard]] double seconds(const Rates& rates, std::size_t real_bytes) const;
};

/// The operations that any of the phases needs.
[[nodiscard]] std::set<Operation> operations_of(const std::vector<Phase>& phases);

/// 2 n sum_l n_l n_{l-1}: z^1 .. z^L of n samples.
[[nodiscard]] double forward_flops(const Architecture& architecture, double samples);
/// 2 n O sum_{l=2}^{L-1} n_l n_{l-1}: delta^{L-1} .. delta^1 of n samples; that of the last hidden layer is no product.
[[nodiscard]] double backward_flops(const Architecture& architecture, double samples);

/// How much of a kernel is computed by blocks: samples that go through the network, counted each time, and pairs of samples, those of
/// a symmetric block counted once.
struct BlockWork {
    double passes = 0, pairs = 0;
};
[[nodiscard]] BlockWork block_work(const KernelBlocks& blocks);

/// A kernel to be computed.
struct KernelWork {
    Architecture architecture{};
    bool finite = true;                           ///< of one network; else the limit
    InfiniteKernel kernel = InfiniteKernel::ntk;  ///< the finite one likewise
    Block block = Block::trace;
    Method method = Method::layerwise;
    GramPrecision gram = GramPrecision::exact;
    std::size_t real_bytes = sizeof(double);
    bool layer_terms = false;  ///< the term of every layer, too

    [[nodiscard]] double rows_per_sample() const { return block == Block::full ? static_cast<double>(architecture.outputs) : 1; }
    /// Entries of the kernel for so many pairs of samples.
    [[nodiscard]] double entries(double pairs) const { return pairs * rows_per_sample() * rows_per_sample(); }
};

/// The weights, drawn once; none for the limit.
[[nodiscard]] std::vector<Phase> network_phases(const KernelWork& kernel);
/// Its passes and products (finite) or pairs (limit), then what is done to every entry once (`stored` pairs: both triangles).
///     layerwise, a layer: 2 (n_{l-1} + O n_l) flops a pair (trace), 2 (n_{l-1} + O^2 n_l) (full)
///     by Jacobian: 2 O P flops a pair (trace), 2 O^2 P (full);  NNGP: 2 n_{L-1};  limit: 2 d flops and L layers a pair
[[nodiscard]] std::vector<Phase> kernel_phases(const KernelWork& kernel, const BlockWork& work, double stored);

/// Training and test samples, and what each of them has.
struct SampleCounts {
    Index samples = 0, tests = 0, features = 0, targets = 0;
};

/// Solving the closed form of n rows in place.
struct SystemWork {
    double rows = 0, tests = 0;  ///< of the kernel and of the cross kernel
    double targets = 1;
    double values = 1;      ///< ridges or times
    bool spectrum = false;  ///< by eigenvectors; else Cholesky
    bool posterior = false;
    bool coarse = false;  ///< resolution is checked (GramPrecision::half)
    std::size_t real_bytes = sizeof(double);
    DistributedLayout layout{};  ///< of its rows on several ranks; of one rank it says nothing
};
/// n^3 / 3 (Cholesky) or 9 n^3 (eigenvectors), the condition number (five solves; twenty more where resolution is checked), 2 n^2 a
/// target, 2 m n a target for m tests, m n^2 for their variance. Of r x c ranks the share of the one that has most. They do not share all
/// of it: while ScaLAPACK factorises a block of b rows (b^3 / 3, one after the other of n / b) and solves for the rows beside it (b n^2 / 2
/// altogether, by r ranks) the others wait, and of a right-hand side half is solved by r ranks and half by c.
[[nodiscard]] std::vector<Phase> system_phases(const SystemWork& system);

/// Adds `more`, done `times` times, to the phases of the same names.
void add_phases(std::vector<Phase>& phases, const std::vector<Phase>& more, double times = 1);

/// The share of one of `ranks` ranks in a sweep without anything found in its state: the limits of every depth, and its networks: two
/// kernels each and, with targets, the closed form. Throws Error(invalid_argument) as compare().
[[nodiscard]] std::vector<Phase> compare_phases(const CompareOptions& options, const SampleCounts& size, std::size_t real_bytes,
                                                int ranks = 1);

/// The share of one of `ranks` ranks in a study of depth with nothing found in its state, none of whose depths repeat another.
/// Each depth: 2/3 n^3 for its system, 6 t n^2 for the weights of t tests and their residuals, and for the whole spectrum an
/// inverse, a product (2 n^3 each) and two sets of eigenvalues. The recursion of every pair is not in it (depth_pair_layers).
[[nodiscard]] std::vector<Phase> depth_phases(const DepthOptions& options, const SampleCounts& size, int ranks = 1);
/// Pairs times layers of a study by the recursion of every pair.
[[nodiscard]] double depth_pair_layers(const DepthOptions& options, const SampleCounts& size);

/// A file of so many bytes; of several ranks the share of one, which MPI-IO packs (read and written), sends to those that write, and puts
/// in order there (read and written): at the rate of the device's memory, which of a GPU is not that of its host, and little beside the
/// file.
[[nodiscard]] Phase write_phase(double bytes, int ranks = 1);

/// How the ranks of a grid have the passes over samples that several of them need.
enum class Passes {
    compute,  ///< each rank all that it needs
    exchange  ///< each rank its share, the rest gathered from the others (PassGroups)
};
[[nodiscard]] const char* to_string(Passes passes);

/// Its passes as one rank of a grid has them, and what it receives of them.
///     compute: forward and backward flops of rows + cols samples
///     exchange: of rows / c + cols / r, and (rows (c - 1) / c + cols (r - 1) / r) numbers each of sum_l n_l (1 + O) (NTK), n_{L-1} (NNGP)
[[nodiscard]] std::vector<Phase> pass_phases(const KernelWork& kernel, const DistributedCost& cost, Passes passes);

struct PassChoice {
    Passes passes = Passes::compute;
    double compute_seconds = 0, exchange_seconds = 0;
};
/// The one that takes less by these rates; compute where no passes are shared.
[[nodiscard]] PassChoice choose_passes(const KernelWork& kernel, const DistributedCost& cost, const Rates& rates);

/// All phases of one rank's part of a kernel on a grid.
[[nodiscard]] std::vector<Phase> part_phases(const KernelWork& kernel, const DistributedCost& cost, Passes passes);

}  // namespace ntk

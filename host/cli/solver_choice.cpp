#include "solver_choice.hpp"

#include "predict_memory.hpp"

#include <ntkcuda/distributed_layout.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace ntk::cli {
namespace {

Error bad(const std::string& message) { return {ErrorCode::invalid_argument, message}; }

/// Beyond this rank columns of the kernel cost more than the iterations that they save.
constexpr Index most_rank = 1000;
/// Of the memory that products can do without, what goes to the preconditioner.
constexpr double preconditioner_share = 0.4;
constexpr const char* too_many =
    "a rank's part of the matrix, or of what its eigenvectors take, has 2^31 numbers or more, which ScaLAPACK does not count";
/// Bytes of the features of one batch.
constexpr double feature_bytes = 256 << 20;

/// Why only the matrix itself will do; empty: it need not be formed.
std::string needs_matrix(const PredictArguments& a) {
    if (a.posterior) return "--posterior";
    if (!a.times.empty()) return "--time";
    if (a.path()) return "several ridges";
    if (a.run.fast()) return "--precision fast";
    if (a.kernel.method != "layerwise") return "--method jacobian";
    return {};
}

template <class Real>
class Chooser {
public:
    Chooser(const PredictArguments& a, const SolverQuestion<Real>& question)
        : a_(a),
          q_(question),
          name_(parse_kernel(a.kernel.kernel)),
          block_(parse_block(a.kernel.block)),
          r_(rows_per_sample(block_, question.architecture)),
          columns_(block_ == Block::full ? 1 : question.size.targets),
          rows_(question.size.samples * r_),
          own_rows_((question.size.samples + question.ranks - 1) / question.ranks * r_),
          matrix_bytes_(predict_bytes(a, question.memory, question.size, question.ranks)) {}

    SolverChoice choose() {
        const std::string matrix = needs_matrix(a_);
        if (!matrix.empty() && a_.solver != "auto" && a_.solver != "cholesky")
            throw bad(fmt::format("--solver {} forms no kernel matrix, and {} needs one; leave it out, or use --solver cholesky", a_.solver,
                                  matrix));
        const std::string needs = fmt::format("{} needs the kernel matrix", matrix);
        const std::string whole = fmt::format("the matrix takes {}", readable_bytes(matrix_bytes_));
        if (a_.solver == "cholesky") return cholesky("as asked for");
        if (a_.solver == "cg") return cg("as asked for");
        if (a_.solver == "features") return by_features("as asked for");
        if (!matrix.empty()) return cholesky(needs);
        const std::string there = fmt::format("of {}{}", readable_bytes(q_.available), q_.ranks > 1 ? " on each rank" : "");
        if (beyond_scalapack()) return cg(too_many);
        if (matrix_bytes_ <= q_.available) return cholesky(fmt::format("{} {}", whole, there));
        const std::string beyond = fmt::format("{} and does not fit into {}", whole, there.substr(3));
        if (q_.ranks == 1 && is_empirical(name_) && feature_count() < rows_ && feature_system_bytes(batch()) <= q_.available)
            return by_features(fmt::format("{}; {} features are fewer than {} rows", beyond, feature_count(), rows_));
        return cg(beyond);
    }

private:
    /// Whether a rank's part of the matrix, or what its eigenvectors take to work in, has 2^31 numbers or more.
    [[nodiscard]] bool beyond_scalapack() const {
        if (q_.ranks == 1) return false;
        const DistributedLayout layout = kernel_layout(q_.ranks, q_.size.samples, 0, r_).repeated(r_, r_);
        const double entries = static_cast<double>(layout.local_rows(0)) * static_cast<double>(layout.local_cols(0));
        return (a_.spectral() ? eigen_workspace(layout, 0).numbers : entries) >= 0x1p31;
    }

    SolverChoice cholesky(const std::string& why) {
        SolverChoice choice{.solver = Solver::cholesky, .name = a_.spectral() ? "eigendecomposition" : "cholesky", .why = why};
        if (beyond_scalapack()) choice.why += fmt::format("; more than {} ranks: {}", q_.ranks, too_many);
        choice.bytes = matrix_bytes_;
        return choice;
    }

    /// Samples, on the host and the device, the network, the targets and what is predicted.
    [[nodiscard]] double common_bytes() const {
        const auto samples = static_cast<double>(q_.size.samples + q_.size.tests), inputs = static_cast<double>(q_.architecture.inputs);
        const bool converted = q_.memory.on_cpu() && sizeof(Real) < sizeof(double);
        return q_.memory.fixed(q_.size.samples + q_.size.tests) + samples * inputs * sizeof(Real) * (converted ? 2 : 1) +
               static_cast<double>(q_.size.tests * r_ * columns_) * (sizeof(Real) + sizeof(double));
    }

    [[nodiscard]] OperatorPlan plan(double bytes) const {
        const OperatorOptions options{.block = block_, .memory = bytes};
        if (name_ == KernelName::empirical_ntk)
            return plan_tangent_operator<Real>(q_.architecture, q_.size.samples, columns_, options, q_.ranks);
        if (name_ == KernelName::empirical_nngp) return plan_nngp_operator<Real>(q_.architecture, q_.size.samples, columns_, options);
        const auto kind = name_ == KernelName::ntk ? InfiniteKernel::ntk : InfiniteKernel::nngp;
        return plan_tiled_operator(limit_tiles(q_.backend, q_.architecture, kind), q_.size.samples, columns_, options, q_.ranks);
    }

    SolverChoice cg(const std::string& why) {
        const double fixed = common_bytes() + conjugate_gradient_bytes<Real>(own_rows_, columns_), least = plan(0).bytes;
        SolverChoice choice{.solver = Solver::cg, .name = "cg"};
        const double share = (q_.available - fixed - least) * preconditioner_share;
        choice.rank = std::min(most_rank, rows_ / 4);
        while (choice.rank > 0 && pivoted_cholesky_bytes<Real>(own_rows_, choice.rank, r_) > share) choice.rank /= 2;
        const double preconditioner = pivoted_cholesky_bytes<Real>(own_rows_, choice.rank, r_);
        choice.operator_memory = q_.available - fixed - preconditioner;
        choice.products = plan(choice.operator_memory);
        choice.bytes = fixed + preconditioner + choice.products.bytes;
        choice.why = fmt::format("{}; {} for products by {} samples and a preconditioner of rank up to {}", why,
                                 readable_bytes(choice.bytes), choice.products.batch, choice.rank);
        return choice;
    }

    [[nodiscard]] Index feature_count() const {
        return name_ == KernelName::empirical_ntk ? tangent_feature_count(q_.architecture, block_) : nngp_feature_count(q_.architecture);
    }
    /// Samples whose features are made at a time.
    [[nodiscard]] Index batch() const {
        const double sample = static_cast<double>(feature_count() * r_) * sizeof(Real);
        return std::clamp<Index>(static_cast<Index>(feature_bytes / sample), 1, q_.size.samples);
    }
    [[nodiscard]] double feature_system_bytes(Index batch) const {
        const auto f = static_cast<double>(feature_count()), m = static_cast<double>(columns_);
        double units = 0;
        for (Index l = 1; l <= q_.architecture.depth(); ++l) units += static_cast<double>(q_.architecture.width(l));
        const double passes = units * (2 + 2 * static_cast<double>(q_.architecture.outputs));
        const double numbers = f * f + 2 * f * m + static_cast<double>(batch) * (2 * static_cast<double>(r_) * f + passes) +
                               3 * static_cast<double>(rows_) * m;
        return common_bytes() + numbers * sizeof(Real);
    }

    SolverChoice by_features(const std::string& why) {
        if (!is_empirical(name_))
            throw bad(fmt::format("--solver features is for the kernels of a finite network, not {}", a_.kernel.kernel));
        if (q_.ranks > 1) throw bad("--solver features works on one rank; leave it out, or use --solver cg");
        SolverChoice choice{.solver = Solver::features, .name = "features"};
        choice.features = feature_count();
        choice.batch = batch();
        choice.bytes = feature_system_bytes(choice.batch);
        choice.why = fmt::format("{}; {} for {} x {}", why, readable_bytes(choice.bytes), choice.features, choice.features);
        return choice;
    }

    const PredictArguments& a_;
    const SolverQuestion<Real>& q_;
    KernelName name_;
    Block block_;
    Index r_, columns_, rows_;
    Index own_rows_;  ///< of the rank with the most
    double matrix_bytes_;
};

}  // namespace

template <class Real>
SolverChoice choose_solver(const PredictArguments& arguments, const SolverQuestion<Real>& question) {
    return Chooser<Real>(arguments, question).choose();
}

template SolverChoice choose_solver(const PredictArguments&, const SolverQuestion<float>&);
template SolverChoice choose_solver(const PredictArguments&, const SolverQuestion<double>&);

}  // namespace ntk::cli

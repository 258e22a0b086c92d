#include "kernel_source.hpp"

#include <fmt/format.h>

namespace ntk::cli {

void add_kernel_options(CLI::App& command, KernelArguments& kernel, const std::string& default_kernel) {
    kernel.kernel = default_kernel;
    command.add_option("--kernel", kernel.kernel, "empirical-ntk, empirical-nngp, ntk or nngp")->capture_default_str()->group("Kernel");
    command.add_option("--method", kernel.method, "empirical-ntk: layerwise, or jacobian (J J^T)")
        ->capture_default_str()
        ->check(CLI::IsMember({"layerwise", "jacobian"}))
        ->group("Kernel");
    command
        .add_option("--passes", kernel.passes,
                    "several ranks, empirical kernels: compute (each rank the passes it needs), exchange (each its share), or the cheaper")
        ->capture_default_str()
        ->check(CLI::IsMember({"auto", "compute", "exchange"}))
        ->group("Kernel");
    command.add_option("--block", kernel.block, "full ((n O) x (n O)), trace (mean over outputs) or diag (n x O)")
        ->capture_default_str()
        ->group("Kernel");
}

void require_widths(KernelName name, const NetworkArguments& network, const Architecture& architecture) {
    const bool given = network.width || !network.hidden.empty();
    if (name == KernelName::ntk && architecture.parametrization == Parametrization::standard && !given && architecture.depth() > 1)
        throw Error(ErrorCode::invalid_argument, "--kernel ntk --param standard grows with the widths: give --width or --hidden");
}

double kernel_resolution(const KernelArguments& arguments, Index n) {
    return arguments.gram == GramPrecision::half ? half_gram_resolution(n) : 0;
}

void require_kernel(const KernelArguments& arguments, const Architecture& architecture, bool weights) {
    const KernelName name = parse_kernel(arguments.kernel);
    const bool jacobian = arguments.method == "jacobian";
    if (jacobian && name != KernelName::empirical_ntk)
        throw Error(ErrorCode::invalid_argument, fmt::format("--method jacobian is for --kernel empirical-ntk, not {}", arguments.kernel));
    if (arguments.gram == GramPrecision::half && (name != KernelName::empirical_ntk || jacobian))
        throw Error(ErrorCode::invalid_argument,
                    "--precision fast is for --kernel empirical-ntk --method layerwise, whose layer Grams it makes of FP16 operands");
    if (weights && !is_empirical(name))
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("--weights is for the empirical kernels; --kernel {} is the limit over random weights", arguments.kernel));
    if (parse_block(arguments.block) == Block::full && architecture.outputs > 1 && name != KernelName::empirical_ntk)
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("--block full: the {} kernel is the same for every output and 0 between outputs; use --block trace",
                                arguments.kernel));
}

template <class Real>
KernelSource<Real>::KernelSource(const std::shared_ptr<Backend<Real>>& backend, const KernelArguments& arguments,
                                 const Architecture& architecture, std::uint64_t seed, const std::optional<Weights>& weights)
    : backend_(backend), name_(parse_kernel(arguments.kernel)), architecture_(architecture) {
    options_.block = parse_block(arguments.block);
    options_.method = arguments.method == "jacobian" ? Method::jacobian : Method::layerwise;
    options_.gram = arguments.gram;
    require_kernel(arguments, architecture, weights.has_value());
    if (is_empirical(name_)) network_ = weights ? make_network(backend, architecture, *weights) : draw_network(backend, architecture, seed);
}

template <class Real>
Matrix<Real> KernelSource<Real>::for_every_output(const Matrix<Real>& column, Block block) const {
    const Index n = column.rows(), o = block == Block::trace ? 1 : architecture_.outputs;
    Matrix<Real> ones(backend_, 1, o), values(backend_, n, o);
    backend_->fill(ones.view(), 1);
    backend_->gemm(Transpose::no, Transpose::no, 1, column.view(), ones.view(), 0, values.view());
    return values;
}

template <class Real>
Matrix<Real> KernelSource<Real>::symmetric(const Matrix<Real>& x) const {
    if (name_ == KernelName::empirical_ntk) return empirical_ntk(*network_, x.view(), options_, progress_);
    if (options_.block == Block::diag) return for_every_output(diagonal(x), Block::diag);
    if (name_ == KernelName::empirical_nngp) return empirical_nngp(*network_, x.view());
    return infinite_width_kernel(architecture_, infinite(), x, progress_);
}

template <class Real>
Matrix<Real> KernelSource<Real>::cross(const Matrix<Real>& x1, const Matrix<Real>& x2) const {
    if (options_.block == Block::diag)
        throw Error(ErrorCode::invalid_argument, "--block diag has no cross kernel: leave out --test, or use trace or full");
    if (name_ == KernelName::empirical_ntk) return empirical_ntk(*network_, x1.view(), x2.view(), options_, progress_);
    if (name_ == KernelName::empirical_nngp) return empirical_nngp(*network_, x1.view(), x2.view());
    return infinite_width_kernel(architecture_, infinite(), x1, x2, progress_);
}

template <class Real>
void KernelSource<Real>::cross_into(MatrixView<Real> out, const Matrix<Real>& x1, const Matrix<Real>& x2,
                                    std::span<const KernelPiece> pieces, const PassGroups& groups) const {
    if (name_ == KernelName::empirical_ntk) return empirical_ntk_into(out, *network_, x1.view(), x2.view(), pieces, options_, {}, groups);
    if (name_ == KernelName::empirical_nngp) return empirical_nngp_into(out, *network_, x1.view(), x2.view(), pieces, groups);
    backend_->fill(out, 0);
    for (const KernelPiece& piece : pieces) {
        const ConstMatrixView<Real> rows = x1.view().row_range(piece.row, piece.rows);
        const MatrixView<Real> entries = out.row_range(piece.row, piece.rows).col_range(piece.col, piece.cols);
        if (piece.own)
            infinite_width_kernel_into(entries, backend_, architecture_, infinite(), rows);
        else
            infinite_width_kernel_into(entries, backend_, architecture_, infinite(), rows, x2.view().row_range(piece.col, piece.cols));
    }
}

template <class Real>
Matrix<Real> KernelSource<Real>::diagonal(const Matrix<Real>& x) const {
    const Index n = x.rows();
    if (name_ == KernelName::empirical_ntk) {
        EmpiricalOptions options;
        options.block = Block::diag;
        Matrix<Real> by_output = empirical_ntk(*network_, x.view(), options);
        if (options_.block != Block::trace) {
            Matrix<Real> column(backend_, n * architecture_.outputs, 1);
            backend_->copy(by_output.view().reshaped(n * architecture_.outputs, 1), column.view());
            return column;
        }
        Matrix<Real> mean(backend_, architecture_.outputs, 1), column(backend_, n, 1);
        backend_->fill(mean.view(), 1.0 / static_cast<double>(architecture_.outputs));
        backend_->gemm(Transpose::no, Transpose::no, 1, by_output.view(), mean.view(), 0, column.view());
        return column;
    }
    if (!is_empirical(name_)) return infinite_width_diagonal(architecture_, infinite(), x);
    const Forward<Real> pass = forward(*network_, x.view());
    const auto last = pass.activation(architecture_.depth() - 1);
    Matrix<Real> column(backend_, n, 1);
    backend_->fill(column.view(), 0);
    const double sigma = architecture_.weight_std;
    backend_->accumulate_layer_diagonal(column.view(), last, {}, sigma * sigma / static_cast<double>(last.cols()),
                                        architecture_.biases == Biases::none ? 0 : architecture_.bias_std * architecture_.bias_std);
    return column;
}

template <class Real>
KernelTiles<Real> limit_tiles(const std::shared_ptr<Backend<Real>>& backend, const Architecture& architecture, InfiniteKernel kernel) {
    KernelTiles<Real> tiles;
    tiles.cross = [=](ConstMatrixView<Real> x1, ConstMatrixView<Real> x2) {
        Matrix<Real> out(backend, x1.rows(), x2.rows());
        infinite_width_kernel_into(out.view(), backend, architecture, kernel, x1, x2);
        return out;
    };
    tiles.symmetric = [=](ConstMatrixView<Real> x) {
        Matrix<Real> out(backend, x.rows(), x.rows());
        infinite_width_kernel_into(out.view(), backend, architecture, kernel, x);
        return out;
    };
    tiles.diagonal = [=](ConstMatrixView<Real> x) {
        Matrix<Real> copy(backend, x.rows(), x.cols());
        backend->copy(x, copy.view());
        return infinite_width_diagonal(architecture, kernel, copy);
    };
    tiles.workspace = [backend, inputs = architecture.inputs](Index n1, Index n2) {
        return static_cast<double>(backend->kernel_workspace(n1, n2, inputs));
    };
    return tiles;
}

template <class Real>
std::unique_ptr<KernelOperator<Real>> KernelSource<Real>::products(const Matrix<Real>& x, Index columns, double memory,
                                                                   Ranks& ranks) const {
    const OperatorOptions options{.block = options_.block, .memory = memory};
    if (name_ == KernelName::empirical_ntk) return tangent_operator(*network_, x.view(), columns, options, ranks);
    if (name_ == KernelName::empirical_nngp) return nngp_operator(*network_, x.view(), columns, options, ranks);
    return tiled_operator(backend_, x.view(), limit_tiles(backend_, architecture_, infinite()), options, ranks);
}

template <class Real>
FeatureMap<Real> KernelSource<Real>::features() const {
    return name_ == KernelName::empirical_ntk ? tangent_features(*network_, options_.block) : nngp_features(*network_);
}

template <class Real>
Matrix<Real> KernelSource<Real>::initial_function(const Matrix<Real>& x) const {
    if (!network_)
        throw Error(ErrorCode::invalid_argument, "--initial-function needs a finite network: use --kernel empirical-ntk or empirical-nngp");
    return std::move(forward(*network_, x.view()).output);
}

template KernelTiles<float> limit_tiles(const std::shared_ptr<Backend<float>>&, const Architecture&, InfiniteKernel);
template KernelTiles<double> limit_tiles(const std::shared_ptr<Backend<double>>&, const Architecture&, InfiniteKernel);
template class KernelSource<float>;
template class KernelSource<double>;

}  // namespace ntk::cli

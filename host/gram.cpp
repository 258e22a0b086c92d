#include <ntkcuda/gram.hpp>

#include "finite_kernels.hpp"
#include "jacobian_rows.hpp"
#include "kernel_side.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace ntk {
namespace {

Triangle triangle_of(const KernelPiece& piece) { return piece.own ? Triangle::lower : Triangle::full; }

/// The rows of samples [first, first + count) of an operand with the same number of rows for each of `samples`.
template <class Real>
ConstMatrixView<Real> rows_of(ConstMatrixView<Real> x, Index samples, Index first, Index count) {
    if (x.empty()) return x;
    const Index each = x.rows() / samples;
    return x.row_range(first * each, count * each);
}

/// The operands of a piece: rows of the left one, and of the right one, or of the same.
template <class Real>
ConstMatrixView<Real> left_of(const KernelPiece& piece, ConstMatrixView<Real> x1, Index samples) {
    return rows_of(x1, samples, piece.row, piece.rows);
}
template <class Real>
ConstMatrixView<Real> right_of(const KernelPiece& piece, ConstMatrixView<Real> x1, Index samples1, ConstMatrixView<Real> x2,
                               Index samples2) {
    return piece.own ? left_of(piece, x1, samples1) : rows_of(x2, samples2, piece.col, piece.cols);
}

/// Its entries of a kernel with `block` rows and columns a sample.
template <class Real>
MatrixView<Real> entries_of(const KernelPiece& piece, MatrixView<Real> theta, Index block) {
    return theta.row_range(piece.row * block, piece.rows * block).col_range(piece.col * block, piece.cols * block);
}

/// One kernel: which layers are added, how, and in which shape. `left` and `right` are the same object for a symmetric kernel.
template <class Real>
class KernelSum {
public:
    KernelSum(const Network<Real>& network, KernelSide<Real>& left, KernelSide<Real>& right, const EmpiricalOptions& options,
              const Progress<Index, Index>& progress)
        : network_(network),
          architecture_(network.architecture),
          left_(left),
          right_(right),
          options_(options),
          progress_(progress),
          pieces_{{{0, left.samples(), 0, right.samples()}, symmetric()}} {
        if (options.gram == GramPrecision::half && options.method == Method::jacobian)
            throw Error(ErrorCode::invalid_argument,
                        "products of FP16 operands (--precision fast) are for the layerwise method, not for the Jacobian");
    }

    /// Only these are computed.
    void restrict_to(std::span<const KernelPiece> pieces) {
        if (options_.gram == GramPrecision::exact) pieces_.assign(pieces.begin(), pieces.end());
    }

    Matrix<Real> compute() {
        Matrix<Real> theta(network_.backend(), rows(), cols());
        compute(theta.view());
        return theta;
    }

    void compute(MatrixView<Real> theta) {
        if (theta.rows() != rows() || theta.cols() != cols())
            throw Error(ErrorCode::shape_mismatch, "a kernel of " + std::to_string(rows()) + " x " + std::to_string(cols()) +
                                                       " does not go into " + std::to_string(theta.rows()) + " x " +
                                                       std::to_string(theta.cols()));
        backend().fill(theta, 0);
        if (!options_.per_layer) begin(theta);
        for (Index l = architecture_.depth(); l >= 1; --l) {
            progress_.check();
            if (options_.per_layer) {
                Matrix<Real> term(network_.backend(), rows(), cols());
                backend().fill(term.view(), 0);
                begin(term.view());
                add_layer(l, term.view());
                finish();
                backend().axpy(1, std::as_const(term).view(), theta);
                if (symmetric()) backend().mirror_lower(term.view());
                options_.per_layer(l, download(term).template cast<double>());
            } else {
                add_layer(l, theta);
            }
            progress_(architecture_.depth() - l + 1, architecture_.depth());
            if (l == 1) break;
            left_.step();
            if (&left_ != &right_) right_.step();
        }
        if (!options_.per_layer) finish();
        if (symmetric()) backend().mirror_lower(theta);
    }

private:
    [[nodiscard]] Backend<Real>& backend() const { return *network_.backend(); }
    /// Whether the result is a symmetric matrix, of which the lower triangle is computed and mirrored.
    [[nodiscard]] bool symmetric() const { return &left_ == &right_ && options_.block != Block::diag; }

    /// Rows of theta for each sample.
    [[nodiscard]] Index block() const { return options_.block == Block::full ? architecture_.outputs : 1; }
    [[nodiscard]] Index rows() const { return left_.samples() * block(); }
    [[nodiscard]] Index cols() const { return options_.block == Block::diag ? architecture_.outputs : right_.samples() * block(); }

    /// The layers from here to finish() are terms of theta.
    void begin(MatrixView<Real> theta) {
        if (options_.gram == GramPrecision::half && options_.block != Block::diag)
            half_ = backend().half_gram_sum(theta, triangle_of(pieces_.front()));
    }
    void finish() {
        if (half_) half_->finish();
    }

    void add_layer(Index l, MatrixView<Real> theta) {
        const double scale = architecture_.weight_gradient_variance(l), shift = architecture_.bias_gradient_variance();
        if (options_.method == Method::layerwise) return add_layerwise(l, scale, shift, theta);
        add_jacobian(left_.input(), right_.input(), scale, theta);
        if (shift > 0) {
            const Matrix<Real> left = ones(left_.samples()), right = ones(right_.samples());
            add_jacobian(left.view(), right.view(), shift, theta);
        }
    }

    void add_layerwise(Index l, double scale, double shift, MatrixView<Real> theta) {
        if (options_.block == Block::diag) return backend().accumulate_layer_diagonal(theta, left_.input(), left_.delta(), scale, shift);
        if (options_.block == Block::full) return add_products(left_.delta(), right_.delta(), scale, shift, theta);
        // (1/O) sum over outputs; at the output layer delta is the identity and that mean is 1.
        const double mean = l == architecture_.depth() ? 1 : 1 / static_cast<double>(architecture_.outputs);
        add_products(left_.summed_delta(), right_.summed_delta(), scale * mean, shift * mean, theta);
    }

    void add_products(ConstMatrixView<Real> d1, ConstMatrixView<Real> d2, double scale, double shift, MatrixView<Real> theta) {
        const ConstMatrixView<Real> a1 = left_.input(), a2 = right_.input();
        if (half_) return half_->add(a1, a2, d1, d2, scale, shift);
        const Index n1 = left_.samples(), n2 = right_.samples();
        for (const KernelPiece& piece : pieces_)
            backend().accumulate_layer_gram(entries_of(piece, theta, block()), left_of(piece, a1, n1), right_of(piece, a1, n1, a2, n2),
                                            left_of(piece, d1, n1), right_of(piece, d1, n1, d2, n2), scale, shift, triangle_of(piece));
    }

    /// theta += J1 J2^T for the columns that belong to the inputs a1, a2 of this layer (a^{l-1}; for the bias a column of ones),
    /// in blocks of units.
    void add_jacobian(ConstMatrixView<Real> a1, ConstMatrixView<Real> a2, double variance, MatrixView<Real> theta) {
        const Index o = architecture_.outputs, k = a1.cols();
        const Index units = left_.delta().empty() ? o : left_.delta().cols();
        const Index unit_bytes = std::max(a1.rows(), a2.rows()) * o * k * static_cast<Index>(sizeof(Real));
        const Index side = std::clamp<Index>(options_.jacobian_block_bytes / std::max<Index>(1, unit_bytes), 1, units);
        const double scale = std::sqrt(variance);
        Matrix<Real> left(network_.backend(), a1.rows() * o, side * k), right;
        if (&left_ != &right_) right = Matrix<Real>(network_.backend(), a2.rows() * o, side * k);
        for (Index first = 0; first < units; first += side) {
            const Index count = std::min(side, units - first);
            const MatrixView<Real> j1(left.view().data(), a1.rows() * o, count * k), j2(right.view().data(), a2.rows() * o, count * k);
            backend().jacobian_block(left_.delta(), a1, first, count, scale, j1);
            if (&left_ == &right_) {
                add_block(j1, j1, theta);
            } else {
                backend().jacobian_block(right_.delta(), a2, first, count, scale, j2);
                add_block(j1, j2, theta);
            }
        }
    }

    void add_block(ConstMatrixView<Real> j1, ConstMatrixView<Real> j2, MatrixView<Real> theta) {
        const Index o = architecture_.outputs;
        switch (options_.block) {
            case Block::full:
                return add_gram(j1, j2, 1, theta);
            case Block::trace:
                return add_gram(j1.reshaped(j1.rows() / o, o * j1.cols()), j2.reshaped(j2.rows() / o, o * j2.cols()),
                                1 / static_cast<double>(o), theta);
            case Block::diag: {
                Matrix<Real> squares(network_.backend(), j1.rows(), 1);
                backend().row_dots(j1, j1, squares.view());
                return backend().axpy(1, std::as_const(squares).view().reshaped(theta.rows(), o), theta);
            }
        }
    }

    void add_gram(ConstMatrixView<Real> j1, ConstMatrixView<Real> j2, double scale, MatrixView<Real> theta) {
        const Index n1 = left_.samples(), n2 = right_.samples();
        for (const KernelPiece& piece : pieces_)
            backend().accumulate_gram(entries_of(piece, theta, block()), left_of(piece, j1, n1), right_of(piece, j1, n1, j2, n2), scale,
                                      triangle_of(piece));
    }

    [[nodiscard]] Matrix<Real> ones(Index samples) const {
        Matrix<Real> column(network_.backend(), samples, 1);
        backend().fill(column.view(), 1);
        return column;
    }

    const Network<Real>& network_;
    const Architecture& architecture_;
    KernelSide<Real>&left_, &right_;
    const EmpiricalOptions& options_;
    const Progress<Index, Index>& progress_;
    std::vector<KernelPiece> pieces_;
    std::unique_ptr<LayerGramSum<Real>> half_;
};

void refuse_diagonal(const EmpiricalOptions& options) {
    if (options.block == Block::diag) throw Error(ErrorCode::invalid_argument, "a cross kernel has no diagonal: use block full or trace");
}

/// Adds the pieces of the NNGP to `kernel`, filled with its constant first, from the activations a^{L-1}, which alone it needs: the inputs
/// of sides at their first layer.
template <class Real>
void nngp_into(MatrixView<Real> kernel, const Network<Real>& network, const KernelSide<Real>& left, const KernelSide<Real>& right,
               std::span<const KernelPiece> pieces) {
    const Architecture& architecture = network.architecture;
    const ConstMatrixView<Real> a1 = left.input(), a2 = right.input();
    const double variance = architecture.weight_std * architecture.weight_std / static_cast<double>(a1.cols());
    const double constant = architecture.biases == Biases::none ? 0 : architecture.bias_std * architecture.bias_std;
    for (const KernelPiece& piece : pieces) {
        const MatrixView<Real> entries = entries_of(piece, kernel, 1);
        network.backend()->fill(entries, constant);
        network.backend()->accumulate_gram(entries, left_of(piece, a1, a1.rows()), right_of(piece, a1, a1.rows(), a2, a2.rows()), variance,
                                           triangle_of(piece));
    }
}

template <class Real>
Matrix<Real> nngp(const Network<Real>& network, const KernelSide<Real>& left, const KernelSide<Real>& right) {
    const KernelPiece whole{{0, left.samples(), 0, right.samples()}, &left == &right};
    Matrix<Real> kernel(network.backend(), left.samples(), right.samples());
    nngp_into(kernel.view(), network, left, right, std::span(&whole, 1));
    if (whole.own) network.backend()->mirror_lower(kernel.view());
    return kernel;
}

}  // namespace

double half_gram_resolution(Index n) { return 0x1p-21 * std::sqrt(static_cast<double>(n)); }

template <class Real>
Matrix<Real> empirical_ntk(const Network<Real>& network, InputView<Real> x, const EmpiricalOptions& options,
                           const Progress<Index, Index>& progress) {
    KernelSide<Real> side(network, x);
    return KernelSum<Real>(network, side, side, options, progress).compute();
}

template <class Real>
void empirical_ntk_into(MatrixView<Real> out, const Network<Real>& network, InputView<Real> x, const EmpiricalOptions& options,
                        const Progress<Index, Index>& progress) {
    KernelSide<Real> side(network, x);
    KernelSum<Real>(network, side, side, options, progress).compute(out);
}

template <class Real>
FiniteKernels<Real> finite_kernels(const Network<Real>& network, InputView<Real> x, const EmpiricalOptions& options) {
    KernelSide<Real> side(network, x);
    Matrix<Real> of_activations = nngp(network, side, side);
    return {KernelSum<Real>(network, side, side, options, {}).compute(), std::move(of_activations)};
}

template <class Real>
Matrix<Real> empirical_ntk(const Network<Real>& network, InputView<Real> x1, InputView<Real> x2, const EmpiricalOptions& options,
                           const Progress<Index, Index>& progress) {
    refuse_diagonal(options);
    KernelSide<Real> left(network, x1), right(network, x2);
    return KernelSum<Real>(network, left, right, options, progress).compute();
}

template <class Real>
void empirical_ntk_into(MatrixView<Real> out, const Network<Real>& network, InputView<Real> x1, InputView<Real> x2,
                        const EmpiricalOptions& options, const Progress<Index, Index>& progress) {
    refuse_diagonal(options);
    KernelSide<Real> left(network, x1), right(network, x2);
    KernelSum<Real>(network, left, right, options, progress).compute(out);
}

template <class Real>
void empirical_ntk_into(MatrixView<Real> out, const Network<Real>& network, InputView<Real> x1, InputView<Real> x2,
                        std::span<const KernelPiece> pieces, const EmpiricalOptions& options, const Progress<Index, Index>& progress,
                        const PassGroups& groups) {
    refuse_diagonal(options);
    KernelSide<Real> left(network, x1, groups.rows), right(network, x2, groups.cols);
    KernelSum<Real> sum(network, left, right, options, progress);
    sum.restrict_to(pieces);
    sum.compute(out);
}

template <class Real>
Matrix<Real> empirical_nngp(const Network<Real>& network, InputView<Real> x) {
    const KernelSide<Real> side(network, x);
    return nngp(network, side, side);
}

template <class Real>
Matrix<Real> empirical_nngp(const Network<Real>& network, InputView<Real> x1, InputView<Real> x2) {
    const KernelSide<Real> left(network, x1), right(network, x2);
    return nngp(network, left, right);
}

template <class Real>
void empirical_nngp_into(MatrixView<Real> out, const Network<Real>& network, InputView<Real> x1, InputView<Real> x2,
                         std::span<const KernelPiece> pieces, const PassGroups& groups) {
    const KernelSide<Real> left(network, x1, groups.rows), right(network, x2, groups.cols);
    network.backend()->fill(out, 0);
    nngp_into(out, network, left, right, pieces);
}

template <class Real>
Matrix<Real> jacobian(const Network<Real>& network, InputView<Real> x) {
    return jacobian_rows(network, x, 0, x.rows());
}

template <class Real>
Matrix<Real> jacobian_rows(const Network<Real>& network, InputView<Real> x, Index first, Index count) {
    if (first < 0 || count < 0 || count > x.rows() - first)
        throw Error(ErrorCode::shape_mismatch, fmt::format("jacobian: samples {} to {} are not among {}", first, first + count, x.rows()));
    const Architecture& architecture = network.architecture;
    const auto& backend = network.backend();
    const Index outputs = architecture.outputs;
    const Forward<Real> pass = forward(network, x);
    Matrix<Real> result(backend, count * outputs, architecture.parameters());
    Matrix<Real> ones(backend, count, 1);
    backend->fill(ones.view(), 1);
    Index end = result.cols();  // layers come last to first
    backward<Real>(network, pass, [&](Index l, ConstMatrixView<Real> all) {
        const ConstMatrixView<Real> delta = all.empty() ? all : all.row_range(first * outputs, count * outputs);
        const Index units = architecture.width(l);
        if (architecture.biases == Biases::trained) {
            end -= units;
            backend->jacobian_block(delta, std::as_const(ones).view(), 0, units, std::sqrt(architecture.bias_gradient_variance()),
                                    result.view().col_range(end, units));
        }
        end -= units * architecture.width(l - 1);
        backend->jacobian_block(delta, pass.activation(l - 1).row_range(first, count), 0, units,
                                std::sqrt(architecture.weight_gradient_variance(l)),
                                result.view().col_range(end, units * architecture.width(l - 1)));
    });
    return result;
}

#define NTKCUDA_INSTANTIATE(Real)                                                                                                    \
    template FiniteKernels<Real> finite_kernels(const Network<Real>&, ConstMatrixView<Real>, const EmpiricalOptions&);               \
    template Matrix<Real> empirical_ntk(const Network<Real>&, ConstMatrixView<Real>, const EmpiricalOptions&,                        \
                                        const Progress<Index, Index>&);                                                              \
    template Matrix<Real> empirical_ntk(const Network<Real>&, ConstMatrixView<Real>, ConstMatrixView<Real>, const EmpiricalOptions&, \
                                        const Progress<Index, Index>&);                                                              \
    template void empirical_ntk_into(MatrixView<Real>, const Network<Real>&, ConstMatrixView<Real>, const EmpiricalOptions&,         \
                                     const Progress<Index, Index>&);                                                                 \
    template void empirical_ntk_into(MatrixView<Real>, const Network<Real>&, ConstMatrixView<Real>, ConstMatrixView<Real>,           \
                                     const EmpiricalOptions&, const Progress<Index, Index>&);                                        \
    template void empirical_ntk_into(MatrixView<Real>, const Network<Real>&, ConstMatrixView<Real>, ConstMatrixView<Real>,           \
                                     std::span<const KernelPiece>, const EmpiricalOptions&, const Progress<Index, Index>&,           \
                                     const PassGroups&);                                                                             \
    template void empirical_nngp_into(MatrixView<Real>, const Network<Real>&, ConstMatrixView<Real>, ConstMatrixView<Real>,          \
                                      std::span<const KernelPiece>, const PassGroups&);                                              \
    template Matrix<Real> empirical_nngp(const Network<Real>&, ConstMatrixView<Real>);                                               \
    template Matrix<Real> empirical_nngp(const Network<Real>&, ConstMatrixView<Real>, ConstMatrixView<Real>);                        \
    template Matrix<Real> jacobian(const Network<Real>&, ConstMatrixView<Real>);                                                     \
    template Matrix<Real> jacobian_rows(const Network<Real>&, ConstMatrixView<Real>, Index, Index)
NTKCUDA_INSTANTIATE(float);
NTKCUDA_INSTANTIATE(double);
#undef NTKCUDA_INSTANTIATE

}  // namespace ntk

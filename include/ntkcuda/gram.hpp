#pragma once

/// \file gram.hpp
/// Kernels of a finite network: the empirical NTK (layerwise, or by its Jacobian) and the empirical NNGP.
///
///     Theta(x,o; x',o') = sum_l ( s_l <a^{l-1}(x), a^{l-1}(x')> + t ) <delta^l_o(x), delta^l_o'(x')>
///
/// with s_l, t of network.hpp (Novak et al. 2022, 2206.08720).

#include <ntkcuda/kernel_blocks.hpp>
#include <ntkcuda/network.hpp>
#include <ntkcuda/progress.hpp>
#include <ntkcuda/ranks.hpp>

#include <functional>
#include <optional>
#include <span>

namespace ntk {

/// full: (n O) x (n O), row = sample * O + output; trace: (1/O) sum over outputs, n x n; diag: n x O, the diagonal.
enum class Block { full, trace, diag };
/// layerwise: two Gram matrices a layer; jacobian: J J^T over blocks of columns of J, the cross-check.
enum class Method { layerwise, jacobian };

/// How the layerwise method forms the two products of a layer; networks and passes are always in the precision of the backend.
/// exact: in that precision. half: from operands rounded to FP16 row by row, summed in float32, multiplied and added in float64
/// (Backend::half_gram_sum): an entry moves by about 2^-11 of the root of its two diagonals at most for each of the four operands.
enum class GramPrecision { exact, half };

/// The smallest eigenvalue, over the mean of the diagonal, that an n x n kernel of GramPrecision::half resolves: 2^-21 sqrt(n). Sums in
/// float32 move an entry by some 3e-7 of the diagonal, and n^2 independent such errors an eigenvalue by about sqrt(n) times their size;
/// kernels with eigenvalues of 1e-15 show 2e-7 at n = 256, 1.3e-6 at 1024 and 2.9e-6 at 2048 instead, a tenth of this.
/// What the rounding of the operands does is not in it: it leaves the kernel a Gram matrix, that of features which differ by 2^-11.
[[nodiscard]] double half_gram_resolution(Index n);

/// Which numbers of the kernel, and how they are computed.
struct EmpiricalOptions {
    Block block = Block::trace;
    Method method = Method::layerwise;
    /// Block::diag is always exact; Method::jacobian takes exact alone.
    GramPrecision gram = GramPrecision::exact;
    /// Bytes that one block of the Jacobian may take (Method::jacobian).
    std::int64_t jacobian_block_bytes = std::int64_t{256} << 20;
    /// If set, called with (l, term) for l = 1 .. L in some order: the l-th term of the sum, in the shape of the result.
    std::function<void(Index layer, const HostMatrix<double>& term)> per_layer{};
};

/// The ranks that have the same rows x1 and the same columns x2 of a cross kernel: on a grid those of its own row, and of its own column.
/// Each passes its share of them (pass_shares) through the network, and gathers the activations and signals of a layer when that is added:
///
///     passes of n1 / c + n2 / r samples instead of n1 + n2, and (n1 (c - 1) / c + n2 (r - 1) / r) sum_l n_l (1 + O) numbers received
///
/// through the memory of the hosts. Every rank of a group makes the same call with the same samples. One rank each: computed where needed.
/// On the CPU in float64 both are the same bits; in float32, and on a CUDA device, products of fewer rows are summed in other tiles, and
/// what follows differs by a few units in the last place of the largest.
struct PassGroups {
    Ranks& rows = one_rank();
    Ranks& cols = one_rank();
};

/// The symmetric empirical NTK of the rows of x (n x d). O(n^2 O^2 w) per layer (full), O(n^2 O w) (trace).
/// `progress(done, total)` counts layers, on a CUDA device those given to it.
/// Throws Error(shape_mismatch) if x does not fit the network, Error(invalid_argument) for Method::jacobian with GramPrecision::half, and
/// Error(cancelled).
template <class Real>
[[nodiscard]] Matrix<Real> empirical_ntk(const Network<Real>& network, InputView<Real> x, const EmpiricalOptions& options = {},
                                         const Progress<Index, Index>& progress = {});

/// The cross kernel: rows are x1, columns x2. Throws Error(invalid_argument) with Block::diag.
template <class Real>
[[nodiscard]] Matrix<Real> empirical_ntk(const Network<Real>& network, InputView<Real> x1, InputView<Real> x2,
                                         const EmpiricalOptions& options = {}, const Progress<Index, Index>& progress = {});

/// The same kernels written to `out`, memory of the network's backend in the shape of the result: on the CPU any memory of the caller, so
/// that no n x n matrix is made. Throws Error(shape_mismatch) for another shape. `out` is undefined after an Error.
template <class Real>
void empirical_ntk_into(MatrixView<Real> out, const Network<Real>& network, InputView<Real> x, const EmpiricalOptions& options = {},
                        const Progress<Index, Index>& progress = {});
template <class Real>
void empirical_ntk_into(MatrixView<Real> out, const Network<Real>& network, InputView<Real> x1, InputView<Real> x2,
                        const EmpiricalOptions& options = {}, const Progress<Index, Index>& progress = {});

/// The parts of the cross kernel that `pieces` name, from one pass over x1 and one over x2; the rest of `out` is 0. With
/// GramPrecision::half and with a term of a layer for options.per_layer likewise, but half computes every entry. Throws as the cross
/// kernel. Every method and precision takes passes that `groups` share.
template <class Real>
void empirical_ntk_into(MatrixView<Real> out, const Network<Real>& network, InputView<Real> x1, InputView<Real> x2,
                        std::span<const KernelPiece> pieces, const EmpiricalOptions& options = {},
                        const Progress<Index, Index>& progress = {}, const PassGroups& groups = {});

/// Empirical NNGP (conjugate kernel): sigma_w^2/n_{L-1} <a^{L-1}(x), a^{L-1}(x')> + sigma_b^2, n1 x n2 (it is the same for every output).
template <class Real>
[[nodiscard]] Matrix<Real> empirical_nngp(const Network<Real>& network, InputView<Real> x);
/// The cross kernel: rows are x1, columns x2.
template <class Real>
[[nodiscard]] Matrix<Real> empirical_nngp(const Network<Real>& network, InputView<Real> x1, InputView<Real> x2);

/// The parts that `pieces` name; the rest of `out` (x1.rows() x x2.rows()) is 0. Of shared passes a^{L-1} alone is gathered.
template <class Real>
void empirical_nngp_into(MatrixView<Real> out, const Network<Real>& network, InputView<Real> x1, InputView<Real> x2,
                         std::span<const KernelPiece> pieces, const PassGroups& groups = {});

/// The per-sample Jacobian: (n O) x P, rows sample * O + output, columns W^1 (row-major), b^1, W^2, ... as derivatives with respect to
/// (omega, beta) or (W, b) according to the parametrization; biases only when trained.
template <class Real>
[[nodiscard]] Matrix<Real> jacobian(const Network<Real>& network, InputView<Real> x);

}  // namespace ntk

#pragma once

/// \file kernel_sampler.hpp
/// Kernels of many random networks of one architecture on a few inputs: the values of which ensemble.hpp makes moments.
///
/// For network number k of a seed, over the n rows x of the inputs,
///
///     Theta(x,o; x',o') = sum_l ( s_l <a^{l-1}(x), a^{l-1}(x')> + t ) <delta^l_o(x), delta^l_o'(x')>       (network.hpp, gram.hpp)
///     NNGP(x, x') = sigma_w^2 / n_{L-1} <a^{L-1}(x), a^{L-1}(x')> + sigma_b^2
///
/// by one of two samplers of the same law:
///   weights      draws every weight: network k is draw_network(seed, k), the same path.                n_l n_{l-1} normals a layer
///   conditional  never draws a matrix between two hidden layers. Given the activations A (n x n_{l-1}) the preactivations
///                H = A W^T are Gaussian with covariance sigma_w^2/n_{l-1} A A^T, so they are drawn; going back, given H,
///                    delta W = delta H^T (A A^T)^+ A + N (I - P_A),   N Gaussian with row covariance sigma_w^2/n_{l-1} delta delta^T,
///                where P_A projects on the rows of A.                                                (1 + O) n n_l normals a layer
///                Exact at finite width up to rounding; it pays where n O is far below the widths. Its own path for a seed.
///
/// The path of the conditional sampler, in float64 whatever Real. Biases are one more column of A, sigma_b sqrt(n_{l-1}) / sigma_w, that
/// nothing goes back through. With the Cholesky factor A A^T = C C^T in the order of the rows (a row that depends on those before it has a
/// zero column in C and a zero row in Q), A = C Q, s = sigma_w / sqrt(n_{l-1}), delta delta^T = D D^T likewise:
///     H = s C G,       delta W = s [ (delta G^T - D M Q^T) Q + D M ]
/// with G (n x n_l) from forward_stream(l), M (n O x n_{l-1}) from backward_stream(l), its column of the bias (1 x n O) from
/// backward_bias_stream(l). Where n_{l-1} <= n, and in the output layer, the weights themselves are drawn, as by the other sampler.
/// A row counts as dependent when its pivot is at most conditional_pivot_tolerance times the number of rows times its diagonal entry, which
/// is the rounding of the sums before it. So samples that are equal, proportional or zero, units that are dead and Gram matrices of any
/// rank are exact to rounding; where samples are nearly dependent, with a pivot p relative to the diagonal, the law of the component by
/// which they differ (sqrt(p) of the sample) is off by about 1e-16 / p of itself, and below the tolerance this component is left out.

#include <ntkcuda/gram.hpp>

#include <memory>

namespace ntk {

/// How networks are drawn (above).
enum class Sampler { weights, conditional };

/// Streams of the normals of the conditional sampler: G, N and the column of the bias of N.
[[nodiscard]] constexpr std::uint32_t forward_stream(Index layer) { return 0x40000000U + static_cast<std::uint32_t>(2 * layer); }
[[nodiscard]] constexpr std::uint32_t backward_stream(Index layer) { return 0x40000001U + static_cast<std::uint32_t>(2 * layer); }
[[nodiscard]] constexpr std::uint32_t backward_bias_stream(Index layer) { return 0x80000000U + static_cast<std::uint32_t>(layer); }

/// 2^-44.
inline constexpr double conditional_pivot_tolerance = 0x1p-44;

/// Which networks, and which numbers of each.
struct KernelSamplerOptions {
    Architecture architecture{};
    Sampler sampler = Sampler::weights;
    std::uint64_t seed = 1;
    Block block = Block::full;
    bool per_layer = false;  ///< also the L terms of Theta, one a layer
};

/// Where the numbers of one network are in its row.
struct KernelLayout {
    Index tangent = 0;  ///< entries of Theta from column 0 on. full, trace: lower triangle with the diagonal, row by row; diag: (x, o)
    Index nngp = 0;     ///< n (n + 1) / 2 entries of the NNGP, lower triangle row by row, from column `tangent` on
    Index layers = 0;   ///< then, for l = 1 .. layers, the `tangent` entries of the term of layer l; 0 without them

    [[nodiscard]] Index columns() const { return tangent + nngp + layers * tangent; }
};
/// Throws Error(out_of_memory) if a row is more than can be addressed.
[[nodiscard]] KernelLayout kernel_layout(const KernelSamplerOptions& options, Index samples);

/// Made by Backend::kernel_sampler, which it keeps alive. One caller at a time.
template <class Real>
class KernelSampler {
public:
    KernelSampler() = default;
    KernelSampler(const KernelSampler&) = delete;
    KernelSampler& operator=(const KernelSampler&) = delete;
    virtual ~KernelSampler() = default;

    [[nodiscard]] virtual KernelLayout layout() const = 0;
    /// Row r of out (count x layout().columns(), memory of the backend) = the numbers of network first + r. On one device each row is the
    /// same bits whatever `first`, `count` and the number of threads; other devices differ by rounding.
    /// Throws Error(shape_mismatch) if out has other columns, Error(invalid_argument) if a network number passes 2^32 - 1.
    virtual void sample(std::uint32_t first, MatrixView<Real> out) = 0;
};

}  // namespace ntk

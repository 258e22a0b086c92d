#pragma once

// What the passes of the samplers do with matrices as small as the samples are few: Gram matrices, their factors and the kernels. Written
// for numbers of `lanes` networks (lanes.hpp), one among them.

#include "arena.hpp"
#include "lanes.hpp"
#include "sampler_task.hpp"

#include <vector>

namespace ntk {

template <class Real>
struct PassArrays {
    struct Layer {
        Real* gram = nullptr;           ///< a^l a^l^T (n x n, lower triangle), l < L
        Real* factor = nullptr;         ///< C (n x n, zeros above the diagonal) of a^{l-1}, where the weights of l are not drawn
        Real* inverse_pivot = nullptr;  ///< 1 / C(i, i); 0 for a row that depends on those before
    };
    std::vector<Layer> layer;    ///< 0 .. L
    Real* delta_gram = nullptr;  ///< delta_gram_rows() squared, or n O for Block::diag
    Real* kernels = nullptr;     ///< layout.columns(): the result
    // The backward pass of the conditional sampler:
    Real *delta_factor = nullptr, *delta_inverse_pivot = nullptr;  ///< D (n O x n O)
    Real* noise = nullptr;                                         ///< A M^T, then Q M^T (n x n O)
    Real* mean = nullptr;                                          ///< G delta^T (n x n O), then what of the rows of A is added
    float* noise_bias = nullptr;                                   ///< the column of the bias of M (n O, and up to 3 more)

    void place(Arena& arena, const SamplerTask<Real>& task) {
        const Index n = task.samples, rows = task.delta_rows(), depth = task.depth();
        layer.assign(static_cast<std::size_t>(depth + 1), {});
        for (Index l = 0; l <= depth; ++l) {
            Layer& at = layer[static_cast<std::size_t>(l)];
            if (l < depth) at.gram = arena.take<Real>(n * n);
            if (l == 0 || task.draws_weights(l)) continue;
            at.factor = arena.take<Real>(n * n);
            at.inverse_pivot = arena.take<Real>(n);
        }
        delta_gram = arena.take<Real>(task.options.block == Block::diag ? rows : task.delta_gram_rows() * task.delta_gram_rows());
        kernels = arena.take<Real>(task.layout.columns());
        if (task.options.sampler == Sampler::weights) return;
        delta_factor = arena.take<Real>(rows * rows);
        delta_inverse_pivot = arena.take<Real>(rows);
        noise = arena.take<Real>(n * rows);
        mean = arena.take<Real>(rows * n);
        noise_bias = arena.take<float>(whole_normal_blocks(rows));
    }
};

template <class Real, int lanes>
class SmallPass {
protected:
    using Vector = Lanes<Real, lanes>;

    NTK_INLINE SmallPass(const SamplerTask<Real>& given, PassArrays<Real>& arrays)
        : task(given), small(arrays), n(given.samples), rows(given.delta_rows()) {}

    NTK_INLINE static Vector& at(Real* array, Index e) { return lanes_at<lanes>(array, e); }
    NTK_INLINE typename PassArrays<Real>::Layer& small_layer(Index l) { return small.layer[static_cast<std::size_t>(l)]; }

    /// sum_k x[k] y[k] as eight partial sums, for the vectors that one network leaves unused.
    NTK_INLINE static Real partial_dot(const Real* x, const Real* y, Index length) {
        Real sum[8] = {};
        Index k = 0;
        for (; k + 8 <= length; k += 8)
            for (int part = 0; part < 8; ++part) sum[part] += x[k + part] * y[k + part];
        for (; k < length; ++k) sum[k % 8] += x[k] * y[k];
        return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
    }

    /// gram + shift (count x count, lower triangle; may be `factor`) = factor factor^T in the order of the rows; one that depends on those
    /// before it has a zero column.
    NTK_INLINE void cholesky(Index count, const Real* gram, double shift, Real* factor, Real* inverse) {
        const Real tolerance = static_cast<Real>(conditional_pivot_tolerance * static_cast<double>(count));
        for (Index i = 0; i < count; ++i)
            for (Index j = 0; j <= i; ++j) {
                const Vector entry = lanes_at<lanes>(gram, i * count + j) + static_cast<Real>(shift);
                Vector rest = entry;
                if constexpr (lanes == 1)
                    rest -= partial_dot(factor + i * count, factor + j * count, j);
                else
                    for (Index k = 0; k < j; ++k) rest -= at(factor, i * count + k) * at(factor, j * count + k);
                if (j < i) {
                    at(factor, i * count + j) = rest * at(inverse, j);
                    at(factor, j * count + i) = Vector{};
                    continue;
                }
                Real *pivot = factor + (i * count + i) * lanes, *reciprocal = inverse + i * lanes;
                at(factor, i * count + i) = rest;
                at(inverse, i) = tolerance * entry;
                for (int lane = 0; lane < lanes; ++lane) {
                    const bool independent = pivot[lane] > reciprocal[lane];
                    const Real root = std::sqrt(independent ? pivot[lane] : Real{1});
                    pivot[lane] = independent ? root : 0;
                    reciprocal[lane] = independent ? 1 / root : 0;
                }
            }
    }

    NTK_INLINE void factorise_inputs(Index l) {
        const double entry = task.bias_entry(l);
        cholesky(n, small_layer(l - 1).gram, entry * entry, small_layer(l).factor, small_layer(l).inverse_pivot);
    }

    /// The Gram matrix of all rows of delta: delta_gram has it unless it is summed over outputs, or of the diagonal alone.
    NTK_INLINE bool knows_delta_gram() const {
        return task.options.block == Block::full || (task.options.block == Block::trace && task.outputs() == 1);
    }

    /// From noise = A M^T without the bias and mean = G delta^T to mean = C^{-T} (G delta^T - Q M^T D^T), the transpose of what of A is
    /// added to D M. Q = C^{-1} A is never formed. Innermost are the rows of delta, which lie side by side and do not wait for each other.
    NTK_INLINE void solve_backward(Index l) {
        const Real *factor = small_layer(l).factor, *inverse = small_layer(l).inverse_pivot;
        const Real bias = static_cast<Real>(task.bias_entry(l));
        for (Index i = 0; i < n; ++i) {
            Real* noise = small.noise + i * rows * lanes;
            if (task.has_bias())
                for (Index r = 0; r < rows; ++r) {
                    Vector entry;
                    read_lanes<lanes>(small.noise_bias, r, entry);
                    at(noise, r) += bias * entry;
                }
            for (Index j = 0; j < i; ++j) subtract_row(lanes_at<lanes>(factor, i * n + j), small.noise + j * rows * lanes, noise);
            scale_row(lanes_at<lanes>(inverse, i), noise);
        }
        for (Index i = n; i-- > 0;) {
            Real *noise = small.noise + i * rows * lanes, *mean = small.mean + i * rows * lanes;
            for (Index k = 0; k < rows; ++k) {
                const Vector entry = at(noise, k);
                for (Index r = k; r < rows; ++r) at(mean, r) -= at(small.delta_factor, r * rows + k) * entry;
            }
            for (Index j = i + 1; j < n; ++j) subtract_row(lanes_at<lanes>(factor, j * n + i), small.mean + j * rows * lanes, mean);
            scale_row(lanes_at<lanes>(inverse, i), mean);
        }
    }

    /// Theta += (s_l <a^{l-1}, a^{l-1}'> + t) <delta^l, delta^l'>.
    NTK_INLINE void add_layer(Index l) {
        const Block block = task.options.block;
        const bool identity = l == task.depth();
        const double mean = block == Block::trace && !identity ? 1 / static_cast<double>(task.outputs()) : 1;
        const Real scale = static_cast<Real>(task.architecture().weight_gradient_variance(l) * mean),
                   shift = static_cast<Real>(task.architecture().bias_gradient_variance() * mean);
        Real* term = task.layout.layers ? small.kernels + (task.layout.nngp + l * task.layout.tangent) * lanes : nullptr;
        const Index r = block == Block::trace ? 1 : task.outputs(), stride = task.delta_gram_rows();
        for (Index i = 0, entry = 0; i < n; ++i)
            for (Index o = 0; o < r; ++o)
                for (Index j = block == Block::diag ? i : 0; j <= i; ++j) {
                    const Vector product = scale * at(small_layer(l - 1).gram, i * n + j) + shift;
                    const Index last = j == i ? o : r - 1;
                    for (Index p = block == Block::diag ? o : 0; p <= last; ++p, ++entry) {
                        Vector value = o == p ? product : Vector{};
                        if (!identity)
                            value = product * at(small.delta_gram, block == Block::diag ? entry : (i * r + o) * stride + j * r + p);
                        at(small.kernels, entry) += value;
                        if (term) at(term, entry) = value;
                    }
                }
    }

    NTK_INLINE void add_nngp() {
        const double factor = task.weight_factor(task.depth()), bias = task.architecture().bias_std;
        const Real scale = static_cast<Real>(factor * factor), shift = static_cast<Real>(bias * bias);
        for (Index i = 0, entry = task.layout.tangent; i < n; ++i)
            for (Index j = 0; j <= i; ++j, ++entry)
                at(small.kernels, entry) = scale * at(small_layer(task.depth() - 1).gram, i * n + j) + shift;
    }

    const SamplerTask<Real>& task;
    PassArrays<Real>& small;
    const Index n, rows;  ///< samples, and with outputs

private:
    NTK_INLINE void subtract_row(const Vector& factor, Real* from, Real* row) {
        for (Index r = 0; r < rows; ++r) at(row, r) -= factor * at(from, r);
    }
    NTK_INLINE void scale_row(const Vector& factor, Real* row) {
        for (Index r = 0; r < rows; ++r) at(row, r) *= factor;
    }
};

}  // namespace ntk

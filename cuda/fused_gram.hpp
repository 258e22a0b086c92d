#pragma once

// The kernel that adds several layers of FP16 operands to theta at once, on devices of compute capability 9.0.

#include "context.hpp"

#include <ntkcuda/matrix.hpp>

#include <cuda_fp16.h>

namespace ntk::cuda {

/// A layer: its operands in panels (half_rows.hpp) and its factors, scale 4^scale_exponent and shift 4^shift_exponent. The output layer has
/// no panels of deltas.
struct GramLayer {
    const __half *a1, *a2, *d1, *d2;
    int a_panels, d_panels;
    float scale, shift;
    int scale_exponent, shift_exponent;
};

constexpr int most_gram_layers = 32;

/// A parameter of kernels.
struct GramLayers {
    int count = 0;
    GramLayer layer[most_gram_layers];
};

/// The powers of two of the rows of one side. Its row i is counted in units of 2^units[i]; in these, the samples' part of a product of
/// layer l has the factor (l, i).x and its deltas' part, which the shift multiplies, (l, i).y.
struct GramSide {
    ConstMatrixView<float2> factors;  ///< layers x rows, padded as panels are
    const int* units;                 ///< as long
};

/// theta(i, j) += 2^(units1[i] + units2[j]) sum over layers ((scale f1(l, i).x f2(l, j).x <a1_i, a2_j> + shift f1(l, i).y f2(l, j).y)
/// <d1_i, d2_j>) with float32 sums; with `lower` for j <= i alone. (n1 n2 sum (k + w)) 2 flops, half of it with `lower`.
template <class Real>
void fused_gram(Context& context, const GramLayers& layers, const GramSide& rows, const GramSide& cols, MatrixView<Real> theta, bool lower);

}  // namespace ntk::cuda

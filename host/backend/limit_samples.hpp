#pragma once

#include <ntkcuda/formulas/input_pair.hpp>
#include <ntkcuda/matrix.hpp>

namespace ntk {

/// Samples as functions of pairs take them: rows divided by a power of two, so that no square over- or underflows.
struct LimitSamples {
    Index count = 0, inputs = 0;
    const double* values = nullptr;        ///< count x inputs
    const double* norm = nullptr;          ///< |x| of the scaled row; 1 for a zero row
    const double* squared_norm = nullptr;  ///< |x|^2 of the scaled row
    const double* mean_square = nullptr;   ///< |x|^2 / d, not scaled
    const int* exponent = nullptr;         ///< row = 2^exponent scaled row
};

/// The angle between two samples whose |cosine| is above formulas::near_line, from the product of their scaled rows.
NTK_HD formulas::InputPair near_line_pair_of(const LimitSamples& rows, Index i, const LimitSamples& cols, Index j, double product) {
    return formulas::near_line_pair(rows.values + i * rows.inputs, cols.values + j * rows.inputs, rows.inputs, product,
                                    rows.squared_norm[i], cols.squared_norm[j], cols.exponent[j] - rows.exponent[i]);
}

}  // namespace ntk

#pragma once

// Operands of layer Grams in FP16: rows divided by a power of two each and rounded (formulas/half_rounding.hpp).

#include "context.hpp"

#include <ntkcuda/matrix.hpp>

#include <cuda_fp16.h>

namespace ntk::cuda {

/// Rows of FP16 numbers with the power of two that each is to be multiplied by. Rows start at multiples of 16 bytes; what lies between
/// is zero.
struct HalfView {
    ConstMatrixView<__half> values;
    const double* scales = nullptr;

    [[nodiscard]] HalfView row_range(Index first, Index count) const {
        return values.empty() ? HalfView{} : HalfView{values.row_range(first, count), scales + first};
    }
};

/// Memory for one operand at a time.
class HalfRows {
public:
    explicit HalfRows(Context& context) : context_(context), values_(context), scales_(context) {}
    /// Valid until the next call. An empty x gives an empty view.
    template <class Real>
    [[nodiscard]] HalfView round(ConstMatrixView<Real> x);

private:
    Context& context_;
    Buffer values_, scales_;
};

}  // namespace ntk::cuda

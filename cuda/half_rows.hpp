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

// The same in the layout of the fused kernel: panels of 64 columns one after another, each with rows to a multiple of 128. A row of a
// panel is 128 bytes, whose eight chunks of 16 bytes are exchanged as wgmma's 128-byte swizzle has them. So a tile of 128 rows is a piece
// of memory, to be copied as it is.

constexpr int panel_rows = 128, panel_cols = 64;

inline constexpr Index padded_rows(Index rows) { return ceil_divide(rows, panel_rows) * panel_rows; }

/// Panels of an operand; what lies beside its rows and columns is zero. At least one.
inline constexpr Index panel_count(Index cols) { return std::max<Index>(ceil_divide(cols, panel_cols), 1); }

/// Where (row, col) is in a panel.
inline constexpr Index panel_offset(Index row, Index col) {
    constexpr Index chunk = 8;
    return row * panel_cols + (col / chunk ^ row % chunk) * chunk + col % chunk;
}

/// The exponent of a row of zeros: far below any other, and twice as much is still an int.
constexpr int zero_row_exponent = -(1 << 20);

/// Rounds x into panel_count(x.cols()) panels; exponents (x.rows()) are those of the powers of two.
template <class Real>
void round_to_panels(Context& context, ConstMatrixView<Real> x, __half* panels, int* exponents);

}  // namespace ntk::cuda

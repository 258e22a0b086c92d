#include <ntkcuda/kernel_blocks.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace ntk {
namespace {

/// Of the transpose of a block, what is made at a time.
constexpr Index transposed_bytes = Index{16} << 20;

Index pieces(Index samples, Index side) { return (samples + side - 1) / side; }

/// to = from^T, by squares that stay in cache.
template <class Real>
void transpose(ConstMatrixView<Real> from, MatrixView<Real> to) {
    constexpr Index square = 32;
    for (Index i = 0; i < from.rows(); i += square)
        for (Index j = 0; j < from.cols(); j += square)
            for (Index col = j; col < std::min(j + square, from.cols()); ++col)
                for (Index row = i; row < std::min(i + square, from.rows()); ++row)
                    to.data()[col * to.stride() + row] = from.data()[row * from.stride() + col];
}

}  // namespace

Index KernelBlocks::count() const {
    if (side < 1) throw Error(ErrorCode::invalid_argument, fmt::format("the blocks of a kernel need a side >= 1, not {}", side));
    const Index down = pieces(rows, side), across = pieces(cols, side);
    return symmetric ? down * (down + 1) / 2 : down * across;
}

template <class Real>
void visit_transpose(Index row, Index col, InputView<Real> entries, const VisitEntries<Real>& visit) {
    const Index row_bytes = entries.rows() * static_cast<Index>(sizeof(Real));
    const Index most = std::clamp<Index>(transposed_bytes / row_bytes, 1, entries.cols());
    HostMatrix<Real> memory(most, entries.rows());
    for (Index first = 0; first < entries.cols(); first += most) {
        const ConstMatrixView<Real> part = entries.col_range(first, std::min(most, entries.cols() - first));
        const MatrixView<Real> transposed(memory.data(), part.cols(), part.rows());
        transpose(part, transposed);
        visit(col + first, row, transposed);
    }
}

template <class Real>
void for_each_kernel_block(Backend<Real>& backend, const KernelBlocks& blocks, const ComputeBlock<Real>& compute,
                           const VisitEntries<Real>& visit) {
    if (blocks.count() == 0) return;
    const auto staging = backend.host_staging();
    for (Index row = 0; row < blocks.rows; row += blocks.side)
        for (Index col = 0; col < (blocks.symmetric ? row + 1 : blocks.cols); col += blocks.side) {
            const SampleBlock block{row, std::min(blocks.side, blocks.rows - row), col, std::min(blocks.side, blocks.cols - col)};
            Matrix<Real> entries = compute(block);
            const Index first_row = row * (entries.rows() / block.rows), first_col = col * (entries.cols() / block.cols);
            const bool mirrored = blocks.symmetric && !block.on_diagonal();
            staging->put(std::move(entries), [&visit, first_row, first_col, mirrored](Index first, ConstMatrixView<Real> part) {
                visit(first_row + first, first_col, part);
                if (mirrored) visit_transpose<Real>(first_row + first, first_col, part, visit);
            });
        }
    staging->finish();
}

template void visit_transpose(Index, Index, ConstMatrixView<float>, const VisitEntries<float>&);
template void visit_transpose(Index, Index, ConstMatrixView<double>, const VisitEntries<double>&);
template void for_each_kernel_block(Backend<float>&, const KernelBlocks&, const ComputeBlock<float>&, const VisitEntries<float>&);
template void for_each_kernel_block(Backend<double>&, const KernelBlocks&, const ComputeBlock<double>&, const VisitEntries<double>&);

}  // namespace ntk

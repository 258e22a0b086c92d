#include "mpi_call.hpp"

#include <ntkcuda/mpi.hpp>

#include <algorithm>

namespace ntk {
namespace {

/// The mirror image of block row I below the diagonal, block by block: what one rank sends and receives of it.
template <class Real>
class MirroredRow {
public:
    MirroredRow(MpiRanks& ranks, const DistributedLayout& layout, MatrixView<Real> part)
        : ranks_(ranks),
          grid_(layout.grid),
          axis_(layout.rows),
          row_(grid_.row_of(ranks.rank())),
          col_(grid_.col_of(ranks.rank())),
          part_(part) {}

    void move(Index block) {
        const Index rows = std::min(axis_.side, axis_.size - block * axis_.side);
        const int from_row = static_cast<int>(block % grid_.rows), to_col = static_cast<int>(block % grid_.cols);
        std::vector<MPI_Request> requests;
        std::vector<std::vector<Real>> sent, received;
        if (col_ == to_col)
            for (int col = 0; col < grid_.cols; ++col) {
                received.emplace_back(static_cast<std::size_t>(blocks_between(block, row_, col) * axis_.side * rows));
                if (!received.back().empty()) start(requests, received.back(), grid_.rank(from_row, col), false);
            }
        if (row_ == from_row)
            for (int row = 0; row < grid_.rows; ++row) {
                sent.push_back(pack(block, rows, row));
                if (!sent.back().empty()) start(requests, sent.back(), grid_.rank(row, to_col), true);
            }
        mpi_call("MPI_Waitall", MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE));
        for (std::size_t col = 0; col < received.size(); ++col) unpack(block, rows, static_cast<int>(col), received[col]);
    }

private:
    /// The blocks J < block with J mod r = row and J mod c = col, which are on column `col` of block row `block`, and go to row `row`.
    template <class Visit>
    void for_each_between(Index block, int row, int col, const Visit& visit) const {
        for (Index j = col; j < block; j += grid_.cols)
            if (j % grid_.rows == row) visit(j);
    }
    [[nodiscard]] Index blocks_between(Index block, int row, int col) const {
        Index count = 0;
        for_each_between(block, row, col, [&](Index) { ++count; });
        return count;
    }

    [[nodiscard]] std::vector<Real> pack(Index block, Index rows, int to_row) const {
        std::vector<Real> values;
        const Index first = block / grid_.rows * axis_.side;
        for_each_between(block, to_row, col_, [&](Index j) {
            const Real* from = part_.data() + first * part_.stride() + j / grid_.cols * axis_.side;
            for (Index col = 0; col < axis_.side; ++col)
                for (Index row = 0; row < rows; ++row) values.push_back(from[row * part_.stride() + col]);
        });
        return values;
    }
    void unpack(Index block, Index rows, int from_col, const std::vector<Real>& values) {
        const Real* next = values.data();
        const Index first = block / grid_.cols * axis_.side;
        for_each_between(block, row_, from_col, [&](Index j) {
            Real* to = part_.data() + j / grid_.rows * axis_.side * part_.stride() + first;
            for (Index row = 0; row < axis_.side; ++row, next += rows) std::copy_n(next, rows, to + row * part_.stride());
        });
    }
    void start(std::vector<MPI_Request>& requests, std::vector<Real>& values, int other, bool send) {
        constexpr int tag = 1;
        requests.emplace_back();
        const int count = static_cast<int>(values.size());
        mpi_call(send ? "MPI_Isend" : "MPI_Irecv",
                 send ? MPI_Isend(values.data(), count, mpi_type<Real>(), other, tag, ranks_.communicator(), &requests.back())
                      : MPI_Irecv(values.data(), count, mpi_type<Real>(), other, tag, ranks_.communicator(), &requests.back()));
    }

    MpiRanks& ranks_;
    RankGrid grid_;
    CyclicAxis axis_;
    int row_, col_;
    MatrixView<Real> part_;
};

/// Of the blocks on the diagonal, the upper triangle.
template <class Real>
void mirror_diagonal_blocks(const DistributedLayout& layout, int rank, MatrixView<Real> part) {
    for (const KernelPiece& piece : kernel_pieces(layout, rank)) {
        if (!piece.own) continue;
        Real* block = part.data() + piece.row * part.stride() + piece.col;
        for (Index i = 0; i < piece.rows; ++i)
            for (Index j = 0; j < i; ++j) block[j * part.stride() + i] = block[i * part.stride() + j];
    }
}

}  // namespace

template <class Real>
void mirror_lower(MpiRanks& ranks, const DistributedLayout& layout, MatrixView<Real> part) {
    mirror_diagonal_blocks(layout, ranks.rank(), part);
    MirroredRow<Real> row(ranks, layout, part);
    for (Index block = 1; block * layout.rows.side < layout.rows.size; ++block) row.move(block);
}

template void mirror_lower(MpiRanks&, const DistributedLayout&, MatrixView<float>);
template void mirror_lower(MpiRanks&, const DistributedLayout&, MatrixView<double>);

}  // namespace ntk

#include "mirrored_blocks.hpp"
#include "mpi_call.hpp"

#include <ntkcuda/mpi.hpp>

namespace ntk {
namespace {

/// The mirror image of a block row, through MPI.
template <class Real>
class MirroredRow {
public:
    MirroredRow(MpiRanks& ranks, const MirroredBlocks& blocks, Index row, MatrixView<Real> part)
        : ranks_(ranks), blocks_(blocks), row_(row), part_(part) {}

    void move() {
        blocks_.for_each_sender(row_, [&](int from, std::vector<Index> blocks) {
            std::vector<Real> values(blocks.size() * static_cast<std::size_t>(blocks_.target(part_, row_, blocks.front()).size()));
            received_.push_back({std::move(blocks), std::move(values)});
            start(received_.back().values, from, false);
        });
        blocks_.for_each_receiver(row_, [&](int to, const std::vector<Index>& blocks) {
            sent_.push_back({blocks, transposed(blocks)});
            start(sent_.back().values, to, true);
        });
        mpi_call("MPI_Waitall", MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE));
        for (const Message& message : received_) put(message);
    }

private:
    /// Transposed blocks of this block row, one after the other.
    struct Message {
        std::vector<Index> blocks;
        std::vector<Real> values;
    };

    [[nodiscard]] std::vector<Real> transposed(const std::vector<Index>& blocks) const {
        std::vector<Real> values;
        for (const Index j : blocks) {
            const MatrixView<Real> block = blocks_.source(part_, row_, j);
            for (Index col = 0; col < block.cols(); ++col)
                for (Index row = 0; row < block.rows(); ++row) values.push_back(block.data()[row * block.stride() + col]);
        }
        return values;
    }
    void put(const Message& message) {
        const Real* next = message.values.data();
        for (const Index j : message.blocks) {
            const MatrixView<Real> block = blocks_.target(part_, row_, j);
            for (Index row = 0; row < block.rows(); ++row, next += block.cols())
                std::copy_n(next, block.cols(), block.data() + row * block.stride());
        }
    }
    void start(std::vector<Real>& values, int other, bool send) {
        constexpr int tag = 1;
        requests_.emplace_back();
        const int count = static_cast<int>(values.size());
        mpi_call(send ? "MPI_Isend" : "MPI_Irecv",
                 send ? MPI_Isend(values.data(), count, mpi_type<Real>(), other, tag, ranks_.communicator(), &requests_.back())
                      : MPI_Irecv(values.data(), count, mpi_type<Real>(), other, tag, ranks_.communicator(), &requests_.back()));
    }

    MpiRanks& ranks_;
    const MirroredBlocks& blocks_;
    Index row_;
    MatrixView<Real> part_;
    std::vector<MPI_Request> requests_;
    std::vector<Message> sent_, received_;
};

/// Of the blocks on the diagonal, the upper triangle.
template <class Real>
void mirror_diagonal_blocks(const DistributedLayout& layout, int rank, MatrixView<Real> part) {
    for (const KernelPiece& piece : diagonal_pieces(layout, rank)) {
        const MatrixView<Real> block = block_of(part, piece);
        for (Index i = 0; i < block.rows(); ++i)
            for (Index j = 0; j < i; ++j) block.data()[j * block.stride() + i] = block.data()[i * block.stride() + j];
    }
}

}  // namespace

template <class Real>
void mirror_lower(MpiRanks& ranks, const DistributedLayout& layout, MatrixView<Real> part) {
    mirror_diagonal_blocks(layout, ranks.rank(), part);
    const MirroredBlocks blocks(layout, ranks.rank());
    for (Index row = 1; row < blocks.count(); ++row) MirroredRow<Real>(ranks, blocks, row, part).move();
}

template void mirror_lower(MpiRanks&, const DistributedLayout&, MatrixView<float>);
template void mirror_lower(MpiRanks&, const DistributedLayout&, MatrixView<double>);

}  // namespace ntk

// mirror_lower() of parts that lie on devices: what host/mpi/mirror.cpp sends through MPI goes through NCCL here.

#include "group.hpp"

#include "cuda/distributed_part.hpp"
#include "host/mpi/mirrored_blocks.hpp"

namespace ntk::nvidia {
namespace {

/// Transposed blocks of a block row, one below the other, and the rank at the other end.
template <class Real>
struct Message {
    int rank;
    std::vector<Index> blocks;
    Matrix<Real> values;

    [[nodiscard]] MatrixView<Real> block(std::size_t k, Index side) { return values.view().row_range(static_cast<Index>(k) * side, side); }
};

template <class Real>
void mirror_row(const Group<Real>& group, const MirroredBlocks& blocks, Index row, Index side, MatrixView<Real> part) {
    const auto message = [&](int rank, std::vector<Index> columns) {
        const auto rows = static_cast<Index>(columns.size()) * side;
        return Message<Real>{rank, std::move(columns), Matrix<Real>(group.backend(), rows, blocks.rows_of(row))};
    };
    std::vector<Message<Real>> sent, received;
    blocks.for_each_receiver(row, [&](int rank, std::vector<Index> columns) {
        Message<Real>& next = sent.emplace_back(message(rank, std::move(columns)));
        for (std::size_t k = 0; k < next.blocks.size(); ++k)
            cuda::transpose<Real>(group.context(), blocks.source(part, row, next.blocks[k]), next.block(k, side));
    });
    blocks.for_each_sender(row, [&](int rank, std::vector<Index> columns) { received.push_back(message(rank, std::move(columns))); });
    group.exchange([&] {
        for (const Message<Real>& each : sent) group.send(each.values.view(), each.rank);
        for (Message<Real>& each : received) group.receive(each.values.view(), each.rank);
    });
    for (Message<Real>& each : received)
        for (std::size_t k = 0; k < each.blocks.size(); ++k)
            group.backend()->copy(each.block(k, side), blocks.target(part, row, each.blocks[k]));
}

}  // namespace

template <class Real>
void Group<Real>::mirror_lower(const DistributedLayout& layout, MatrixView<Real> part) {
    for (const KernelPiece& piece : diagonal_pieces(layout, ranks_.rank())) backend_->mirror_lower(block_of(part, piece));
    const MirroredBlocks blocks(layout, ranks_.rank());
    for (Index row = 1; row < blocks.count(); ++row) mirror_row(*this, blocks, row, layout.rows.side, part);
    backend_->synchronize();
}

template void Group<float>::mirror_lower(const DistributedLayout&, MatrixView<float>);
template void Group<double>::mirror_lower(const DistributedLayout&, MatrixView<double>);

}  // namespace ntk::nvidia

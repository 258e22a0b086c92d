#include "jacobian_share.hpp"

#include <algorithm>

namespace ntk::cli {
namespace {

constexpr double comfortable_bytes = 0x1p26;

/// Half as many samples, still in pieces that begin or end where products may be cut.
Index fewer(Index samples) {
    const Index half = samples / 2;
    return half > uncut_rows ? half / uncut_rows * uncut_rows : samples > uncut_rows ? uncut_rows : half;
}

}  // namespace

JacobianPiece jacobian_piece(Index samples, Index first, Index count) {
    JacobianPiece piece;
    piece.first = std::min(samples, first);
    piece.samples = std::min(count, samples - piece.first);
    if (piece.samples == 0) return piece;
    const Index end = piece.first + piece.samples;
    piece.first_pass = piece.first / uncut_rows * uncut_rows;
    piece.passes = std::min(samples, (end + uncut_rows - 1) / uncut_rows * uncut_rows) - piece.first_pass;
    return piece;
}

JacobianShare jacobian_share(const Architecture& architecture, Index samples, int ranks, int rank) {
    const Index side = std::max<Index>(1, (samples + ranks - 1) / ranks), cols = architecture.parameters();
    const DistributedLayout rows{{ranks, 1}, {samples, side, ranks}, {cols, std::max<Index>(1, cols), 1}, false};
    return {rows.repeated(architecture.outputs, 1), jacobian_piece(samples, rank * side, rows.local_rows(rank))};
}

JacobianPlan plan_jacobian(const KernelMemory& memory, const Architecture& architecture, Index samples, int ranks, double available) {
    const double row = static_cast<double>(architecture.outputs) * static_cast<double>(architecture.parameters()) * memory.real_bytes();
    const double fixed = memory.fixed(samples);
    JacobianPlan plan;
    if (ranks > 1) {
        for (int rank = 0; rank < ranks; ++rank) {
            const JacobianPiece piece = jacobian_share(architecture, samples, ranks, rank).piece;
            plan.samples = std::max(plan.samples, piece.samples);
            plan.bytes = std::max(plan.bytes, fixed + memory.making(piece.passes, 0) + static_cast<double>(piece.samples) * row);
        }
        return plan;
    }
    const auto bytes = [&](Index count) {
        const double pieces = count < samples && !memory.on_cpu() ? 2 : 1;  // one goes to the host while the next one is made
        return fixed + memory.making(jacobian_piece(samples, 0, count).passes, 0) + pieces * static_cast<double>(count) * row;
    };
    const auto comfortable = static_cast<Index>(comfortable_bytes / row);
    plan.samples = comfortable >= samples ? samples : std::min(samples, std::max<Index>(1, comfortable / uncut_rows) * uncut_rows);
    while (plan.samples > 1 && bytes(plan.samples) > available) plan.samples = fewer(plan.samples);
    plan.bytes = bytes(plan.samples);
    return plan;
}

}  // namespace ntk::cli

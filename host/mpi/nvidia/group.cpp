#include "group.hpp"

#include "device_factor.hpp"

#include <fmt/format.h>

namespace ntk::nvidia {
namespace {

int version_of(const Libraries& nvidia, cusolverMpHandle_t solver) {
    int version = 0;
    cuda::check(nvidia.cusolverMpGetVersion(solver, &version), "cusolverMpGetVersion");
    return version;
}

std::string version_text(int version) { return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100); }

}  // namespace

Communicator new_communicator(const Libraries& nvidia, const MpiRanks& ranks, const ncclUniqueId& id) {
    ncclComm_t communicator = nullptr;
    check(nvidia, nvidia.ncclCommInitRank(&communicator, ranks.size(), id, ranks.rank()), "ncclCommInitRank");
    return Communicator(communicator, {nvidia.ncclCommDestroy, nvidia.ncclCommAbort});
}

Solver new_solver(const Libraries& nvidia, const cuda::Context& context) {
    cusolverMpHandle_t made = nullptr;
    cuda::check(nvidia.cusolverMpCreate(&made, context.device(), context.stream()), "cusolverMpCreate");
    Solver solver(made, {nvidia.cusolverMpDestroy});
    if (const int version = version_of(nvidia, made); version < 700)
        throw Error(ErrorCode::device_unavailable,
                    fmt::format("cuSOLVERMp is {}, and 0.7 or later is needed, which takes communicators of NCCL", version_text(version)));
    return solver;
}

Grid new_grid(const Libraries& nvidia, cusolverMpHandle_t solver, ncclComm_t communicator, const RankGrid& grid) {
    cusolverMpGrid_t made = nullptr;
    cuda::check(nvidia.cusolverMpCreateDeviceGrid(solver, &made, communicator, grid.cols, grid.rows, CUSOLVERMP_GRID_MAPPING_COL_MAJOR),
                "cusolverMpCreateDeviceGrid");
    return Grid(made, {nvidia.cusolverMpDestroyGrid});
}

template <class Real>
std::string Group<Real>::libraries() const {
    int nccl = 0;
    check_nccl(nvidia_.ncclGetVersion(&nccl), "ncclGetVersion");
    return fmt::format("NCCL {}, cuSOLVERMp {}", version_text(nccl), version_text(version_of(nvidia_, solver())));
}

template <class Real>
std::unique_ptr<DistributedFactor<Real>> Group<Real>::factor(const DistributedLayout& layout, Matrix<Real> part) {
    return std::make_unique<DeviceFactor<Real>>(*this, layout, std::move(part));
}

template <class Real>
void Group<Real>::exchange(const std::function<void()>& transfers) const {
    check_nccl(nvidia_.ncclGroupStart(), "ncclGroupStart");
    transfers();
    check_nccl(nvidia_.ncclGroupEnd(), "ncclGroupEnd");
}

template <class Real>
void Group<Real>::send(ConstMatrixView<Real> contiguous, int to) const {
    if (contiguous.empty()) return;
    check_nccl(nvidia_.ncclSend(contiguous.data(), static_cast<std::size_t>(contiguous.size()), nccl_type<Real>, to, communicator_.get(),
                                context().stream()),
               "ncclSend");
}

template <class Real>
void Group<Real>::receive(MatrixView<Real> contiguous, int from) const {
    if (contiguous.empty()) return;
    check_nccl(nvidia_.ncclRecv(contiguous.data(), static_cast<std::size_t>(contiguous.size()), nccl_type<Real>, from, communicator_.get(),
                                context().stream()),
               "ncclRecv");
}

template <class Real>
Description Group<Real>::describe(const DistributedLayout& layout, Index local_cols) const {
    const RankGrid expected = rank_grid(ranks_.size());
    if (layout.grid.rows != expected.rows || layout.grid.cols != expected.cols)
        throw Error(ErrorCode::invalid_argument, fmt::format("a kernel on a grid of {} x {} ranks, where that of the group is {} x {}",
                                                             layout.grid.rows, layout.grid.cols, expected.rows, expected.cols));
    cusolverMpMatrixDescriptor_t made = nullptr;
    cuda::check(nvidia_.cusolverMpCreateMatrixDesc(&made, grid_.get(), cuda::data_type<Real>, layout.cols.size, layout.rows.size,
                                                   layout.cols.side, layout.rows.side, 0, 0, std::max<Index>(1, local_cols)),
                "cusolverMpCreateMatrixDesc");
    return Description(made, {nvidia_.cusolverMpDestroyMatrixDesc, nvidia_.cusolverMpDestroyMatrixDesc});
}

template class Group<float>;
template class Group<double>;

}  // namespace ntk::nvidia

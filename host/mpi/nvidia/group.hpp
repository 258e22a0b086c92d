#pragma once

#include "handles.hpp"

#include "cuda/cuda_backend.hpp"
#include "cuda/solver_work.hpp"

#include <ntkcuda/mpi.hpp>

#include <functional>

namespace ntk::nvidia {

/// The GPUs of the ranks. Everything is in the order of the backend's stream.
template <class Real>
class Group final : public DeviceGroup<Real> {
public:
    /// `grid` is that of rank_grid(), in which parts of kernels lie (distributed_layout.hpp); `memory` is the backend.
    Group(MpiRanks& ranks, const Libraries& nvidia, std::shared_ptr<Backend<Real>> backend, cuda::CudaMemory<Real>& memory,
          Communicator communicator, Solver solver, Grid grid)
        : ranks_(ranks),
          nvidia_(nvidia),
          backend_(std::move(backend)),
          memory_(memory),
          communicator_(std::move(communicator)),
          solver_(std::move(solver)),
          grid_(std::move(grid)) {}

    [[nodiscard]] MpiRanks& ranks() const override { return ranks_; }
    [[nodiscard]] std::string libraries() const override;
    void mirror_lower(const DistributedLayout& layout, MatrixView<Real> part) override;
    [[nodiscard]] std::unique_ptr<DistributedFactor<Real>> factor(const DistributedLayout& layout, Matrix<Real> part) override;

    [[nodiscard]] const Libraries& nvidia() const { return nvidia_; }
    [[nodiscard]] const std::shared_ptr<Backend<Real>>& backend() const { return backend_; }
    [[nodiscard]] cuda::Context& context() const { return memory_.context(); }
    [[nodiscard]] cusolverMpHandle_t solver() const { return solver_.get(); }

    /// Everything that send() and receive() are asked for by `transfers`, at once; what one rank sends another, that receives.
    void exchange(const std::function<void()>& transfers) const;
    void send(ConstMatrixView<Real> contiguous, int to) const;
    void receive(MatrixView<Real> contiguous, int from) const;

    /// Of a part that is row-major with `local_cols` columns. Throws Error(invalid_argument) where the layout has another grid.
    [[nodiscard]] Description describe(const DistributedLayout& layout, Index local_cols) const;

private:
    void check_nccl(ncclResult_t status, const char* call) const { check(nvidia_, status, call, communicator_.get()); }

    MpiRanks& ranks_;
    const Libraries& nvidia_;
    std::shared_ptr<Backend<Real>> backend_;
    cuda::CudaMemory<Real>& memory_;
    Communicator communicator_;
    Solver solver_;
    Grid grid_;
};

[[nodiscard]] Communicator new_communicator(const Libraries& nvidia, const MpiRanks& ranks, const ncclUniqueId& id);
[[nodiscard]] Solver new_solver(const Libraries& nvidia, const cuda::Context& context);
/// Ours transposed (host/mpi/scalapack.hpp), whose ranks then follow one another by columns.
[[nodiscard]] Grid new_grid(const Libraries& nvidia, cusolverMpHandle_t solver, ncclComm_t communicator, const RankGrid& grid);

/// What NCCL calls the numbers.
template <class Real>
constexpr ncclDataType_t nccl_type = std::is_same_v<Real, float> ? ncclFloat : ncclDouble;

}  // namespace ntk::nvidia

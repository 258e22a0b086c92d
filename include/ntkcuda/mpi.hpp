#pragma once

/// \file mpi.hpp
/// Kernels and closed forms on several ranks of MPI: target ntkcuda::mpi, which plain libntkcuda does not need. The caller initialises MPI
/// and ends it. All functions here are collective: every rank of the communicator makes the same calls in the same order. A rank that
/// throws leaves the others waiting, so that the caller ends them (MPI_Abort).

#include <ntkcuda/distributed_layout.hpp>
#include <ntkcuda/kernel_spectrum.hpp>
#include <ntkcuda/ranks.hpp>

#include <mpi.h>

#include <memory>
#include <string>

namespace ntk {

class FileAside;

/// The processes of a communicator. Throws Error(device_failure) where MPI returns an error.
class MpiRanks final : public Ranks {
public:
    /// Works on a duplicate of `group`, so that its messages meet no others.
    explicit MpiRanks(MPI_Comm group = MPI_COMM_WORLD);
    ~MpiRanks() override;

    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }
    [[nodiscard]] std::vector<std::vector<std::byte>> all_gather(std::span<const std::byte> mine) override;
    [[nodiscard]] std::vector<std::byte> broadcast(std::span<const std::byte> of_root) override;
    /// Each value is added up by one rank in the order of the ranks: about twice the values are sent and received by each.
    void sum(std::span<double> values) override;
    void sum(std::span<float> values) override;

    [[nodiscard]] MPI_Comm communicator() const { return group_; }
    /// Of the ranks on this machine: which this one is, and how many they are.
    [[nodiscard]] int local_rank() const { return local_rank_; }
    [[nodiscard]] int local_size() const { return local_size_; }

private:
    MPI_Comm group_ = MPI_COMM_NULL;
    int rank_ = 0, size_ = 1, local_rank_ = 0, local_size_ = 1;
};

/// Makes a symmetric matrix whole, of which each rank has its blocks on and below the diagonal (of those on it the lower triangle):
/// the blocks above come from their mirror images, a block row at a time. `part` is local_rows x local_cols of the layout.
template <class Real>
void mirror_lower(MpiRanks& ranks, const DistributedLayout& layout, MatrixView<Real> part);

/// A .npy file that all ranks write together through MPI-IO, the same bytes as NpyFile's. It has a name of its own beside `path` until
/// finish(), and is removed by each rank that does not come to that. Functions throw Error(io).
template <class Real>
class MpiNpyFile {
public:
    /// Every rank must see the file by its name. Makes sure that it can be written and that the disk has room for all of it.
    MpiNpyFile(MpiRanks& ranks, const std::string& path, const std::vector<Index>& shape);
    ~MpiNpyFile();
    MpiNpyFile(const MpiNpyFile&) = delete;
    MpiNpyFile& operator=(const MpiNpyFile&) = delete;
    /// This rank's part of a matrix of that layout, whose first row is row `first` of the array (its last axis by the product of the
    /// others). `part` is contiguous, in memory of the host.
    void write(Index first, const DistributedLayout& layout, ConstMatrixView<Real> part);
    void finish();

private:
    MpiRanks& ranks_;
    std::string path_, name_;
    Index cols_ = 1, start_ = 0;
    std::unique_ptr<FileAside> aside_;  ///< the root's
    MPI_File file_ = MPI_FILE_NULL;
};

template <class Real>
class DistributedFactor;

/// The GPUs of the ranks, one each: parts of kernels stay in their memory, NCCL carries what they exchange, and cuSOLVERMp factorises. For
/// backends of one type of number. The ranks must outlive it.
template <class Real>
class DeviceGroup {
public:
    /// Joins the device of this rank's backend with those of the others. Returns none, and says in `why_not` why, the same on every rank,
    /// where this library was built without NCCL and cuSOLVERMp, where a rank cannot load them or has no GPU, where two ranks share one,
    /// and where NCCL cannot join them.
    [[nodiscard]] static std::unique_ptr<DeviceGroup> join(MpiRanks& ranks, const std::shared_ptr<Backend<Real>>& backend,
                                                           std::string& why_not);
    DeviceGroup() = default;
    DeviceGroup(const DeviceGroup&) = delete;
    DeviceGroup& operator=(const DeviceGroup&) = delete;
    virtual ~DeviceGroup() = default;

    [[nodiscard]] virtual MpiRanks& ranks() const = 0;
    /// The libraries, with their versions.
    [[nodiscard]] virtual std::string libraries() const = 0;
    /// mirror_lower() of parts that are in the memory of the backends: the same numbers received, a block row at a time.
    virtual void mirror_lower(const DistributedLayout& layout, MatrixView<Real> part) = 0;
    /// For DistributedKernelSystem.
    [[nodiscard]] virtual std::unique_ptr<DistributedFactor<Real>> factor(const DistributedLayout& layout, Matrix<Real> part) = 0;
};

/// KernelSystem on several ranks, by ScaLAPACK on the hosts or cuSOLVERMp on the GPUs: n^3 / (3 ranks) flops on each,
/// n^2 / 2 (1 / r + 1 / c) numbers received. y and the results are the same on every rank, and so are exceptions.
template <class Real>
class DistributedKernelSystem {
public:
    /// Takes this rank's part of the kernel (mirror_lower) in memory of the host and factorises K + ridge I in place. Throws as
    /// KernelSystem, whose words it has up to 4000 rows; beyond, what is said of a refused system is its pivot and a ridge. Throws
    /// Error(out_of_memory) where a part has 2^31 entries or more, which ScaLAPACK cannot count.
    DistributedKernelSystem(MpiRanks& ranks, const DistributedLayout& layout, HostMatrix<Real> part, double ridge);
    /// The same from parts in the memory of the group's backends, where the factor stays; of any number of entries. The group must outlive
    /// this. Right-hand sides are solved one by one, as cuSOLVERMp has them: 2 n^2 / ranks flops each, and so are the tests of
    /// posterior_variance.
    DistributedKernelSystem(DeviceGroup<Real>& devices, const DistributedLayout& layout, Matrix<Real> part, double ridge);
    ~DistributedKernelSystem();
    DistributedKernelSystem(DistributedKernelSystem&&) noexcept;
    DistributedKernelSystem& operator=(DistributedKernelSystem&&) noexcept;

    [[nodiscard]] const SystemReport& report() const { return report_; }
    /// (K + ridge I)^{-1} y for y (n x targets).
    [[nodiscard]] HostMatrix<Real> solve(const HostMatrix<Real>& y) const;
    /// Posterior variance (tests x 1) from this rank's part of the cross kernel, whose columns lie as those of the kernel and whose rows
    /// are blocks of any side on the same grid, and the tests' own diagonal (tests x 1). Throws as KernelSystem::posterior_variance.
    [[nodiscard]] HostMatrix<Real> posterior_variance(const DistributedLayout& cross_layout, HostMatrix<Real> cross,
                                                      const HostMatrix<Real>& test_diagonal) const;
    /// The same from a part on this rank's device.
    [[nodiscard]] HostMatrix<Real> posterior_variance(const DistributedLayout& cross_layout, const Matrix<Real>& cross,
                                                      const HostMatrix<Real>& test_diagonal) const;

private:
    void factorise(double ridge);
    void require_cross(const DistributedLayout& layout, Index rows, Index cols, const HostMatrix<Real>& test_diagonal) const;
    [[nodiscard]] HostMatrix<Real> remaining(const HostMatrix<Real>& explained, const HostMatrix<Real>& test_diagonal) const;

    std::unique_ptr<DistributedFactor<Real>> factor_;
    SystemReport report_;
};

}  // namespace ntk

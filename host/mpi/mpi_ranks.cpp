#include "mpi_call.hpp"

#include <ntkcuda/mpi.hpp>

#include <algorithm>

namespace ntk {
namespace {

/// MPI counts in int: what goes through one call.
constexpr std::size_t most_bytes = std::size_t{1} << 28;

/// values[i] = sum over ranks, of up to most_bytes: each rank adds its share in the order of the ranks and gives it to the others.
template <class Real>
void sum_slice(MPI_Comm group, int size, int rank, std::span<Real> values) {
    const std::size_t share = (values.size() + static_cast<std::size_t>(size) - 1) / static_cast<std::size_t>(size);
    std::vector<int> counts, starts;
    for (std::size_t first = 0; counts.size() < static_cast<std::size_t>(size); first = std::min(first + share, values.size())) {
        starts.push_back(static_cast<int>(first));
        counts.push_back(static_cast<int>(std::min(share, values.size() - first)));
    }
    const auto mine = static_cast<std::size_t>(counts[static_cast<std::size_t>(rank)]);
    std::vector<Real> received(mine * static_cast<std::size_t>(size));
    std::vector<int> received_counts(static_cast<std::size_t>(size), static_cast<int>(mine)), received_starts;
    for (int from = 0; from < size; ++from) received_starts.push_back(from * static_cast<int>(mine));
    mpi_call("MPI_Alltoallv", MPI_Alltoallv(values.data(), counts.data(), starts.data(), mpi_type<Real>(), received.data(),
                                            received_counts.data(), received_starts.data(), mpi_type<Real>(), group));
    Real* total = values.data() + starts[static_cast<std::size_t>(rank)];
    std::copy_n(received.begin(), mine, total);
    for (std::size_t from = 1; from < static_cast<std::size_t>(size); ++from)
        for (std::size_t i = 0; i < mine; ++i) total[i] += received[from * mine + i];
    mpi_call("MPI_Allgatherv",
             MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, values.data(), counts.data(), starts.data(), mpi_type<Real>(), group));
}

template <class Real>
void sum_values(MPI_Comm group, int size, int rank, std::span<Real> values) {
    if (size == 1) return;
    constexpr std::size_t slice = most_bytes / sizeof(Real);
    for (std::size_t first = 0; first < values.size(); first += slice)
        sum_slice(group, size, rank, values.subspan(first, std::min(slice, values.size() - first)));
}

void broadcast_bytes(MPI_Comm group, int root, std::span<std::byte> bytes) {
    for (std::size_t first = 0; first < bytes.size(); first += most_bytes)
        mpi_call("MPI_Bcast",
                 MPI_Bcast(bytes.data() + first, static_cast<int>(std::min(most_bytes, bytes.size() - first)), MPI_BYTE, root, group));
}

}  // namespace

MpiRanks::MpiRanks(MPI_Comm group) {
    mpi_call("MPI_Comm_dup", MPI_Comm_dup(group, &group_));
    MPI_Comm_set_errhandler(group_, MPI_ERRORS_RETURN);
    mpi_call("MPI_Comm_rank", MPI_Comm_rank(group_, &rank_));
    mpi_call("MPI_Comm_size", MPI_Comm_size(group_, &size_));
    MPI_Comm here = MPI_COMM_NULL;
    mpi_call("MPI_Comm_split_type", MPI_Comm_split_type(group_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &here));
    mpi_call("MPI_Comm_rank", MPI_Comm_rank(here, &local_rank_));
    mpi_call("MPI_Comm_size", MPI_Comm_size(here, &local_size_));
    MPI_Comm_free(&here);
}

MpiRanks::~MpiRanks() { MPI_Comm_free(&group_); }

std::vector<std::vector<std::byte>> MpiRanks::all_gather(std::span<const std::byte> mine) {
    const auto size = static_cast<std::uint64_t>(mine.size());
    std::vector<std::uint64_t> sizes(static_cast<std::size_t>(size_));
    mpi_call("MPI_Allgather", MPI_Allgather(&size, 1, MPI_UINT64_T, sizes.data(), 1, MPI_UINT64_T, group_));
    std::vector<std::vector<std::byte>> all;
    for (const std::uint64_t bytes : sizes) all.emplace_back(bytes);
    std::copy(mine.begin(), mine.end(), all[static_cast<std::size_t>(rank_)].begin());
    for (int from = 0; from < size_; ++from) broadcast_bytes(group_, from, all[static_cast<std::size_t>(from)]);
    return all;
}

void MpiRanks::all_gather_rows(std::span<std::byte> all, std::size_t row_bytes, std::span<const std::int64_t> counts) {
    const std::int64_t most = *std::max_element(counts.begin(), counts.end());
    const auto slice =
        static_cast<std::int64_t>(std::max<std::size_t>(1, most_bytes / std::max<std::size_t>(1, row_bytes) / counts.size()));
    const MpiType row(mpi_row(row_bytes, MPI_BYTE));  // one element, so that places past 2^31 bytes are counted in int
    // Rows of each rank [first, first + slice) at a time.
    for (std::int64_t first = 0; first < most; first += slice) {
        std::vector<int> sizes, places;
        std::int64_t place = 0;
        for (const std::int64_t count : counts) {
            sizes.push_back(static_cast<int>(std::clamp<std::int64_t>(count - first, 0, slice)));
            places.push_back(static_cast<int>(place + std::min(first, count)));
            place += count;
        }
        mpi_call("MPI_Allgatherv",
                 MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all.data(), sizes.data(), places.data(), row.get(), group_));
    }
}

std::unique_ptr<MpiRanks> MpiRanks::split(int group) const {
    MPI_Comm part = MPI_COMM_NULL;
    mpi_call("MPI_Comm_split", MPI_Comm_split(group_, group, rank_, &part));
    auto ranks = std::make_unique<MpiRanks>(part);
    MPI_Comm_free(&part);
    return ranks;
}

void MpiRanks::gather(std::span<const std::byte> mine, int to,
                      const std::function<void(int from, std::span<const std::byte> bytes)>& receive) {
    constexpr int size_tag = 1, slice_tag = 2;
    if (rank_ != to) {
        const auto size = static_cast<std::uint64_t>(mine.size());
        mpi_call("MPI_Send", MPI_Send(&size, 1, MPI_UINT64_T, to, size_tag, group_));
        for (std::size_t first = 0; first < mine.size(); first += most_bytes)
            mpi_call("MPI_Send", MPI_Send(mine.data() + first, static_cast<int>(std::min(most_bytes, mine.size() - first)), MPI_BYTE, to,
                                          slice_tag, group_));
        return;
    }
    for (int from = 0; from < size_; ++from) {
        if (from == rank_) {
            receive(from, mine);
            continue;
        }
        std::uint64_t size = 0;
        mpi_call("MPI_Recv", MPI_Recv(&size, 1, MPI_UINT64_T, from, size_tag, group_, MPI_STATUS_IGNORE));
        std::vector<std::byte> bytes(size);
        for (std::size_t first = 0; first < bytes.size(); first += most_bytes)
            mpi_call("MPI_Recv", MPI_Recv(bytes.data() + first, static_cast<int>(std::min(most_bytes, bytes.size() - first)), MPI_BYTE,
                                          from, slice_tag, group_, MPI_STATUS_IGNORE));
        receive(from, bytes);
    }
}

std::vector<std::byte> MpiRanks::broadcast(std::span<const std::byte> of_root) {
    auto size = static_cast<std::uint64_t>(of_root.size());
    mpi_call("MPI_Bcast", MPI_Bcast(&size, 1, MPI_UINT64_T, 0, group_));
    std::vector<std::byte> bytes(of_root.begin(), of_root.end());
    bytes.resize(size);
    broadcast_bytes(group_, 0, bytes);
    return bytes;
}

void MpiRanks::sum(std::span<double> values) { sum_values(group_, size_, rank_, values); }
void MpiRanks::sum(std::span<float> values) { sum_values(group_, size_, rank_, values); }

}  // namespace ntk

// NCCL on MPI: all ranks of MPI_COMM_WORLD, a device each. What a group is asked for is one piece of work of its stream, in which every
// message of the rank is under way at once.

#include "handles.hpp"

#include <nccl.h>

#include <algorithm>
#include <utility>

using namespace emulated;

namespace {

struct Transfer {
    bool send;
    void* memory;
    int bytes, peer;
};

/// What is between ncclGroupStart and ncclGroupEnd.
struct OpenGroup {
    int depth = 0;
    ncclComm_t group = nullptr;
    cudaStream_t stream = nullptr;
    std::vector<Transfer> transfers;
};
OpenGroup& open_group() {
    static auto& group = *new OpenGroup;
    return group;
}

void run(MPI_Comm ranks, const std::vector<Transfer>& transfers) {
    std::vector<MPI_Request> requests;
    for (const Transfer& t : transfers) {
        touch(t.memory, static_cast<std::size_t>(t.bytes), !t.send);
        requests.emplace_back();
        if (t.send)
            MPI_Isend(t.memory, t.bytes, MPI_BYTE, t.peer, 0, ranks, &requests.back());
        else
            MPI_Irecv(t.memory, t.bytes, MPI_BYTE, t.peer, 0, ranks, &requests.back());
    }
    MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
}

ncclResult_t close_group() {
    OpenGroup closed = std::exchange(open_group(), {});
    if (closed.transfers.empty()) return ncclSuccess;
    enqueue(closed.stream,
            [ranks = existing_handle(closed.group).ranks, transfers = std::move(closed.transfers)] { run(ranks, transfers); });
    return ncclSuccess;
}

ncclResult_t add(bool send, void* memory, std::size_t count, ncclDataType_t type, int peer, ncclComm_t group, cudaStream_t stream) {
    if (fails(send ? "ncclSend" : "ncclRecv")) return ncclUnhandledCudaError;
    const ncclComm& found = existing_handle(group);
    (void)existing_here(stream);
    int size = 0;
    MPI_Comm_size(found.ranks, &size);
    if (type != ncclFloat && type != ncclDouble) return ncclInvalidArgument;
    const std::size_t bytes = count * (type == ncclFloat ? sizeof(float) : sizeof(double));
    if (peer < 0 || peer >= size || bytes > INT32_MAX) return ncclInvalidArgument;
    if (found.device != current_device()) return ncclInvalidUsage;
    if (bytes > 0 && !on_device(memory, bytes)) fault("NCCL is given what is no memory of the device", memory);
    OpenGroup& open = open_group();
    if (open.depth == 0) return ncclInvalidUsage;  // the library allows it; between two ranks it would wait for the other
    if (!open.transfers.empty() && (open.group != group || open.stream != stream)) return ncclInvalidUsage;
    open.group = group;
    open.stream = stream;
    open.transfers.push_back({send, memory, static_cast<int>(bytes), peer});
    return ncclSuccess;
}

/// Whether all ranks have the root's id.
bool same_id(const ncclUniqueId& id) {
    ncclUniqueId of_root = id;
    MPI_Bcast(&of_root, sizeof of_root, MPI_BYTE, 0, MPI_COMM_WORLD);
    int same = std::memcmp(&id, &of_root, sizeof id) == 0;
    MPI_Allreduce(MPI_IN_PLACE, &same, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    return same;
}

/// Devices are told apart by their numbers alone: the ranks are on one machine.
bool devices_differ(int size) {
    std::vector<int> devices(static_cast<std::size_t>(size));
    const int mine = current_device();
    MPI_Allgather(&mine, 1, MPI_INT, devices.data(), 1, MPI_INT, MPI_COMM_WORLD);
    std::sort(devices.begin(), devices.end());
    return std::adjacent_find(devices.begin(), devices.end()) == devices.end();
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
    *version = 22809;
    return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
    if (fails("ncclGetUniqueId")) return ncclSystemError;
    static int count = 0;
    std::memset(id, ++count, sizeof *id);
    return ncclSuccess;
}

/// Fails on all ranks alike.
ncclResult_t ncclCommInitRank(ncclComm_t* group, int ranks, ncclUniqueId id, int rank) {
    int failed = fails("ncclCommInitRank"), size = 0, mine = 0;
    MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    if (failed) return ncclSystemError;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_rank(MPI_COMM_WORLD, &mine);
    if (!same_id(id) || ranks != size || rank != mine) return ncclInvalidArgument;
    if (!devices_differ(size)) return ncclInvalidUsage;
    *group = create(ncclComm{MPI_COMM_NULL, current_device()});
    MPI_Comm_dup(MPI_COMM_WORLD, &(*group)->ranks);
    return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t group) {
    finish_all();
    MPI_Comm_free(&existing_handle(group).ranks);
    destroy(group);
    return ncclSuccess;
}

/// Waits for no other rank, and what works with it is of no more use.
ncclResult_t ncclCommAbort(ncclComm_t group) {
    existing_handle(group).users = 0;
    destroy(group);
    return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) { return result == ncclSuccess ? "no error" : "an emulated error"; }
const char* ncclGetLastError(ncclComm_t) { return ""; }

ncclResult_t ncclGroupStart() {
    ++open_group().depth;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
    if (open_group().depth == 0) return ncclInvalidUsage;
    if (fails("ncclGroupEnd")) return ncclSystemError;
    return --open_group().depth == 0 ? close_group() : ncclSuccess;
}

ncclResult_t ncclSend(const void* from, size_t count, ncclDataType_t type, int peer, ncclComm_t group, cudaStream_t stream) {
    return add(true, const_cast<void*>(from), count, type, peer, group, stream);
}

ncclResult_t ncclRecv(void* to, size_t count, ncclDataType_t type, int peer, ncclComm_t group, cudaStream_t stream) {
    return add(false, to, count, type, peer, group, stream);
}
}

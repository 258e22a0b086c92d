// Whether the GPUs of all ranks can be joined: every step is agreed on by all of them before the next, since a rank that goes on alone
// waits.

#include "group.hpp"

#include "cuda/distributed_part.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ntk {
namespace {

using namespace nvidia;

/// Whether `step` succeeds on every rank; else what the first says on which it did not.
bool all_succeed(MpiRanks& ranks, std::string& why_not, const std::function<void()>& step) {
    std::string mine;
    try {
        step();
    } catch (const Error& error) {
        mine = error.what();
    }
    const auto all = ranks.all_gather(std::as_bytes(std::span(mine)));
    const auto first = std::find_if(all.begin(), all.end(), [](const auto& text) { return !text.empty(); });
    if (first == all.end()) return true;
    why_not.assign(reinterpret_cast<const char*>(first->data()), first->size());
    if (std::any_of(all.begin(), all.end(), [&](const auto& text) { return text != *first; }))
        why_not = fmt::format("rank {}: {}", first - all.begin(), why_not);
    return false;
}

/// NCCL refuses a GPU that two ranks have.
void require_one_each(MpiRanks& ranks, int device) {
    const cuda::DeviceIdentity mine = cuda::identity_of(device);
    const auto all = ranks.all_gather(std::as_bytes(std::span(mine)));
    for (auto first = all.begin(); first != all.end(); ++first)
        if (const auto second = std::find(first + 1, all.end(), *first); second != all.end())
            throw Error(ErrorCode::invalid_argument, fmt::format("ranks {} and {} share a GPU, and NCCL takes one rank a GPU",
                                                                 first - all.begin(), second - all.begin()));
}

ncclUniqueId broadcast(MpiRanks& ranks, const ncclUniqueId& of_root) {
    const auto bytes = ranks.broadcast(std::as_bytes(std::span(of_root.internal)));
    ncclUniqueId id;
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::byte*>(id.internal));
    return id;
}

}  // namespace

template <class Real>
std::unique_ptr<DeviceGroup<Real>> DeviceGroup<Real>::join(MpiRanks& ranks, const std::shared_ptr<Backend<Real>>& backend,
                                                           std::string& why_not) {
    cuda::CudaMemory<Real>* memory = nullptr;
    const Libraries* nvidia = nullptr;
    const bool loaded = all_succeed(ranks, why_not, [&] {
        memory = dynamic_cast<cuda::CudaMemory<Real>*>(backend.get());
        if (!memory) throw Error(ErrorCode::invalid_argument, "its device is the CPU");
        nvidia = &nvidia::libraries();
    });
    if (!loaded || !all_succeed(ranks, why_not, [&] { require_one_each(ranks, memory->context().device()); })) return nullptr;
    ncclUniqueId id{};
    const auto new_id = [&] {
        if (ranks.root()) check(*nvidia, nvidia->ncclGetUniqueId(&id), "ncclGetUniqueId");
    };
    if (!all_succeed(ranks, why_not, new_id)) return nullptr;
    id = broadcast(ranks, id);
    Communicator communicator;
    if (!all_succeed(ranks, why_not, [&] { communicator = new_communicator(*nvidia, ranks, id); })) {
        communicator.get_deleter().destroy = nvidia->ncclCommAbort;
        return nullptr;
    }
    Solver solver;
    if (!all_succeed(ranks, why_not, [&] { solver = new_solver(*nvidia, memory->context()); })) return nullptr;
    Grid grid;
    const auto join_grid = [&] { grid = new_grid(*nvidia, solver.get(), communicator.get(), rank_grid(ranks.size())); };
    if (!all_succeed(ranks, why_not, join_grid)) {
        grid.get_deleter().destroy = nullptr;
        communicator.get_deleter().destroy = nvidia->ncclCommAbort;
        return nullptr;
    }
    return std::make_unique<Group<Real>>(ranks, *nvidia, backend, *memory, std::move(communicator), std::move(solver), std::move(grid));
}

template std::unique_ptr<DeviceGroup<float>> DeviceGroup<float>::join(MpiRanks&, const std::shared_ptr<Backend<float>>&, std::string&);
template std::unique_ptr<DeviceGroup<double>> DeviceGroup<double>::join(MpiRanks&, const std::shared_ptr<Backend<double>>&, std::string&);

}  // namespace ntk

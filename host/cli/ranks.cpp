#include "ranks.hpp"

#include "distribution.hpp"

namespace ntk::cli {
namespace {

Distribution* together = nullptr;
int idle = 0;

int gpus() { return static_cast<int>(devices().size()) - 1; }  // the CPU is the first device

}  // namespace

Ranks& ranks() { return together ? together->ranks() : one_rank(); }
Distribution* distribution() { return together; }
void distribute(Distribution& all) { together = all.ranks().size() > 1 ? &all : nullptr; }

int idle_ranks() { return idle; }
int local_ranks() { return together ? together->local_ranks() : 1; }

std::string own_device(const std::string& device) {
    if (!together || (device != "auto" && device != "cuda")) return device;
    const int count = gpus();
    return count > 0 ? "cuda:" + std::to_string(together->local_rank() % count) : device;
}

int ranks_on_device(const DeviceInfo& device) {
    if (device.kind == DeviceKind::cpu) return local_ranks();
    const int count = gpus();
    return (local_ranks() + count - 1) / count;
}

Alone::Alone() : all_(together), idle_(idle) {
    if (all_) idle = all_->ranks().size() - 1;
    together = nullptr;
}

Alone::~Alone() {
    together = all_;
    idle = idle_;
}

}  // namespace ntk::cli

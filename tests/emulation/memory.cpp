// Device memory: pages of one address range that the host cannot touch, except while queued work runs. New memory is all ones (NaN
// and -1), so that unset values are seen; freed addresses are never used again; what is written past an end is found at the latest when
// the memory is freed.

#include "state.hpp"
#include "sanitizers.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>

#include <sys/mman.h>

namespace emulated {

std::size_t library_handles_and_streams();

namespace {

constexpr std::size_t page = 4096, arena_bytes = std::size_t{1} << 38;
constexpr int poison = 0xFF;

struct Allocation {
    std::size_t bytes;
    int device;
};

/// Of all devices.
struct Arena {
    char* base = nullptr;
    std::size_t top = 0;
    int unlocked = 0;
    std::map<char*, Allocation> live;
    std::map<int, std::size_t> used;  ///< bytes on each device
};

Arena& arena() {
    static auto& one = *new Arena;
    return one;
}

std::size_t page_span(std::size_t bytes) { return (bytes + page - 1) / page * page; }

/// The allocation that holds p, or nullptr.
const std::pair<char* const, Allocation>* allocation(const void* p) {
    auto& live = arena().live;
    auto after = live.upper_bound(static_cast<char*>(const_cast<void*>(p)));
    if (after == live.begin()) return nullptr;
    const auto& found = *--after;
    return static_cast<const char*>(p) < found.first + found.second.bytes ? &found : nullptr;
}

void on_segmentation_fault(int, siginfo_t* info, void*) {
    if (!is_device_address(info->si_addr)) {
        std::signal(SIGSEGV, SIG_DFL);  // not ours: crash as usual
        return;
    }
    fault(allocation(info->si_addr) ? "the host touched device memory" : "access to freed or never allocated device memory", info->si_addr);
}

void reserve_arena() {
    void* base = mmap(nullptr, arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) fault("no address range for device memory");
    arena().base = static_cast<char*>(base);
    struct sigaction action {};
    action.sa_sigaction = on_segmentation_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &action, nullptr);
}

}  // namespace

void fault(const char* what, const void* where) {
    std::fprintf(stderr, "emulated device: %s %p\n", what, where);
    std::fflush(stderr);
    std::_Exit(86);
}

void touch(const void* p, std::size_t bytes, bool write) {
    if (!__tsan_read_range || bytes == 0) return;
    (write ? __tsan_write_range : __tsan_read_range)(const_cast<void*>(p), bytes);
}

Unlocked::Unlocked() {
    const Lock lock(device_mutex());
    if (arena().unlocked++) return;
    for (const auto& [p, a] : arena().live) mprotect(p, page_span(a.bytes), PROT_READ | PROT_WRITE);
}

Unlocked::~Unlocked() {
    const Lock lock(device_mutex());
    if (--arena().unlocked == 0 && arena().base) mprotect(arena().base, arena().top, PROT_NONE);
}

void* allocate(std::size_t bytes) {
    const Lock lock(device_mutex());
    Arena& a = arena();
    std::size_t& used = a.used[current_device()];
    if (bytes > settings.memory || used > settings.memory - bytes) return nullptr;
    if (!a.base) reserve_arena();
    const std::size_t span = page_span(bytes);
    if (a.top + span + page > arena_bytes) fault("the address range of device memory is used up");
    char* p = a.base + a.top;
    a.top += span + page;  // an unreadable page between allocations
    used += bytes;
    mprotect(p, span, PROT_READ | PROT_WRITE);
    std::memset(p, poison, span);
    if (__asan_poison_memory_region) __asan_poison_memory_region(p + bytes, span - bytes);
    a.live[p] = {bytes, current_device()};
    if (!a.unlocked) mprotect(p, span, PROT_NONE);
    return p;
}

void unset(void* p, std::size_t bytes) {
    touch(p, bytes, true);
    std::memset(p, poison, bytes);
}

void deallocate(void* memory) {
    const Lock lock(device_mutex());
    const Unlocked open;
    Arena& a = arena();
    char* p = static_cast<char*>(memory);
    const auto [bytes, device] = a.live.at(p);
    const std::size_t span = page_span(bytes);
    if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(p + bytes, span - bytes);
    for (const char* q = p + bytes; q < p + span; ++q)
        if (*q != static_cast<char>(poison)) fault("something wrote past the end of", p);
    mprotect(p, span, PROT_NONE);
    madvise(p, span, MADV_DONTNEED);
    a.used[device] -= bytes;
    a.live.erase(p);
}

bool is_allocation(const void* p) {
    const Lock lock(device_mutex());
    const auto found = arena().live.find(static_cast<char*>(const_cast<void*>(p)));
    return found != arena().live.end() && found->second.device == current_device();
}

bool is_device_address(const void* p) {
    const Arena& a = arena();
    return a.base && p >= a.base && p < a.base + arena_bytes;
}

bool in_allocation(const void* p, std::size_t bytes) {
    const auto* found = allocation(p);
    return found && found->second.device == current_device() && static_cast<const char*>(p) + bytes <= found->first + found->second.bytes;
}

bool on_device(const void* p, std::size_t bytes) {
    const Lock lock(device_mutex());
    return in_allocation(p, bytes);
}

std::size_t memory_used(int device) {
    const Lock lock(device_mutex());
    return arena().used[device];
}

std::size_t live_objects() {
    const Lock lock(device_mutex());
    return arena().live.size() + library_handles_and_streams();
}

}  // namespace emulated

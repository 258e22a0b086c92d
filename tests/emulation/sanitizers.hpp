#pragma once

// Hooks of AddressSanitizer and ThreadSanitizer; null where the program is linked without them.

#include <cstddef>

extern "C" {
[[gnu::weak]] void* __tsan_create_fiber(unsigned);
[[gnu::weak]] void* __tsan_get_current_fiber();
[[gnu::weak]] void __tsan_switch_to_fiber(void*, unsigned);
[[gnu::weak]] void __tsan_acquire(void*);
[[gnu::weak]] void __tsan_release(void*);
[[gnu::weak]] void __tsan_read_range(void*, std::size_t);
[[gnu::weak]] void __tsan_write_range(void*, std::size_t);
[[gnu::weak]] void __tsan_java_init(std::size_t, std::size_t);
[[gnu::weak]] void __tsan_java_alloc(std::size_t, std::size_t);
[[gnu::weak]] void __sanitizer_start_switch_fiber(void**, const void*, std::size_t);
[[gnu::weak]] void __sanitizer_finish_switch_fiber(void*, const void**, std::size_t*);
[[gnu::weak]] void __asan_poison_memory_region(const volatile void*, std::size_t);
[[gnu::weak]] void __asan_unpoison_memory_region(const volatile void*, std::size_t);
}

namespace emulated {

inline bool race_detector() { return __tsan_create_fiber != nullptr; }
/// What happened before a release of `p` happened before what follows an acquire of it.
inline void acquire(void* p) {
    if (__tsan_acquire) __tsan_acquire(p);
}
inline void release(void* p) {
    if (__tsan_release) __tsan_release(p);
}

/// The clocks of a barrier: who leaves a phase of it knows what all who arrived knew.
struct BarrierClocks {
    char arrivals = 0, departures[2] = {};

    void arrive() { release(&arrivals); }
    void open(unsigned phase) {
        acquire(&arrivals);
        release(&departures[phase % 2]);
    }
    void depart(unsigned phase) { acquire(&departures[phase % 2]); }
};

}  // namespace emulated

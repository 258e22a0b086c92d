// Kernels. Blocks run one after another; a CUDA thread is a fiber, and a new fiber is only started when an earlier thread waits, so
// that a kernel without barriers is a plain loop. For ThreadSanitizer every CUDA thread is a fiber of its own, synchronised with
// the others by barriers and warp operations alone.

#include "state.hpp"
#include "sanitizers.hpp"

#include <sys/mman.h>
#include <ucontext.h>

#include <vector>

extern char __bss_start, _end;  // kernels' shared memory lies between

namespace emulated {
namespace {

constexpr std::size_t page = 4096, stack_bytes = std::size_t{1} << 18;
constexpr unsigned warp_lanes = 32, most_warps = 32, race_detector_fibers = 2048;

struct Fiber {
    ucontext_t context;
    const void* stack = nullptr;
    std::size_t size = 0;
    void* identity = nullptr;  ///< for the race detector
    bool busy = false;
};

/// A warp in the middle of a shuffle: who is still running, who has brought a value, and what each lane gets.
struct Warp {
    unsigned alive, arrived;
    Lanes brought;
    Lanes received[warp_lanes];
};

/// The block that this host thread runs.
struct Block {
    Fiber scheduler;
    Fiber* current = nullptr;
    std::vector<std::unique_ptr<Fiber>> fibers;
    Work* work = nullptr;
    unsigned threads = 0, next = 0, alive = 0;
    unsigned rank = 0;                      ///< of the running thread
    unsigned at_barrier = 0, barriers = 0;  ///< threads waiting at the barrier, barriers passed
    std::source_location barrier;
    BarrierClocks clocks;
    unsigned long progress = 0;  ///< changes whenever something happens; a round without is a deadlock
    unsigned first_fiber = 0;    ///< rotates, so that threads of successive blocks are different to the race detector

    ~Block() {
        for (const auto& fiber : fibers) munmap(const_cast<void*>(fiber->stack), stack_bytes);
    }
};

thread_local Block block;
Warp warps[most_warps];
alignas(1024) std::byte dynamic_memory[most_shared_bytes];

void jump(Fiber& from, Fiber& to) {
    void* fake_stack = nullptr;
    if (__sanitizer_start_switch_fiber) __sanitizer_start_switch_fiber(&fake_stack, to.stack, to.size);
    if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(to.identity, 1);  // 1: a switch is no synchronisation
    swapcontext(&from.context, &to.context);
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
}

/// Lets the other threads of the block run.
void yield() {
    const unsigned rank = block.rank;
    const uint3 index = threadIdx;
    jump(*block.current, block.scheduler);
    block.rank = rank;
    threadIdx = index;
}

void open_barrier() {
    block.clocks.open(block.barriers);
    block.at_barrier = 0;
    ++block.barriers;
    ++block.progress;
}

void start_thread() {
    block.rank = settings.reverse ? block.threads - 1 - block.next : block.next;
    ++block.next;
    const unsigned rank = block.rank, x = blockDim.x, y = blockDim.y;
    threadIdx = {rank % x, rank / x % y, rank / (x * y)};
    acquire(&block.work->started);
    if (block.work->previous) acquire(&block.work->previous->finished);
}

void end_thread() {
    release(&block.work->finished);
    ++block.progress;
    warps[block.rank / warp_lanes].alive &= ~(1U << block.rank % warp_lanes);
    if (--block.alive && block.at_barrier == block.alive) open_barrier();
}

void run_threads() {
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(nullptr, &block.scheduler.stack, &block.scheduler.size);
    for (;;) {
        Fiber& self = *block.current;
        while (block.next < block.threads) {
            start_thread();
            block.work->run();
            end_thread();
            if (race_detector()) break;
        }
        self.busy = false;
        jump(self, block.scheduler);
    }
}

std::unique_ptr<Fiber> new_fiber() {
    auto fiber = std::make_unique<Fiber>();
    char* stack =
        static_cast<char*>(mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    mprotect(stack, page, PROT_NONE);
    fiber->stack = stack;
    fiber->size = stack_bytes;
    if (race_detector()) fiber->identity = __tsan_create_fiber(0);
    getcontext(&fiber->context);
    fiber->context.uc_stack = {stack, 0, stack_bytes};
    makecontext(&fiber->context, run_threads, 0);
    return fiber;
}

/// The i-th fiber of the block. For the race detector all are made at the start: one made later would know what its maker knows.
Fiber& fiber(unsigned i) {
    const unsigned index = race_detector() ? (block.first_fiber + i) % race_detector_fibers : i;
    const unsigned wanted = race_detector() ? race_detector_fibers : index + 1;
    while (block.fibers.size() < wanted) block.fibers.push_back(new_fiber());
    return *block.fibers[index];
}

void resume(Fiber& fiber) {
    block.current = &fiber;
    jump(block.scheduler, fiber);
}

/// What the last block did in its shared memory is no race with this one.
void forget_shared_accesses() {
    if (!race_detector()) return;
    static const auto begin = reinterpret_cast<std::size_t>(&__bss_start) & ~std::size_t{7};
    static const auto bytes = (reinterpret_cast<std::size_t>(&_end) - begin + 7) & ~std::size_t{7};
    static const bool once = (__tsan_java_init(begin, bytes), true);
    if (once) __tsan_java_alloc(begin, bytes);
    block.scheduler.identity = __tsan_get_current_fiber();
}

void unset_dynamic_memory(std::size_t bytes) {
    unset(dynamic_memory, bytes);
    forget_shared_accesses();
}

void begin_block(Work& work, unsigned threads) {
    block.work = &work;
    block.threads = block.alive = threads;
    block.next = block.at_barrier = block.barriers = 0;
    block.first_fiber += threads;
    for (unsigned first = 0; first < threads; first += warp_lanes) {
        const unsigned lanes = std::min(threads - first, warp_lanes);
        warps[first / warp_lanes].alive = lanes == warp_lanes ? ~0U : (1U << lanes) - 1;
        warps[first / warp_lanes].arrived = 0;
    }
    begin_asynchronous_work();
    forget_shared_accesses();
    if (work.shared_bytes > 0) unset_dynamic_memory(work.shared_bytes);
}

void run_block(Work& work, unsigned threads) {
    begin_block(work, threads);
    unsigned used = 0;
    while (block.next < threads) {
        Fiber& started = fiber(used++);
        started.busy = true;
        resume(started);
    }
    for (bool waiting = true; waiting;) {
        waiting = false;
        const auto before = block.progress;
        for (unsigned i = 0; i < used; ++i)
            if (fiber(i).busy) waiting = true, resume(fiber(i));
        if (waiting && block.progress == before) fault("threads of a block wait for others that never come");
    }
    end_asynchronous_work();
}

/// For AddressSanitizer: what the launch did not ask for is no memory.
class SharedMemoryLimit {
public:
    explicit SharedMemoryLimit(std::size_t bytes) : end_(dynamic_memory + bytes), rest_(most_shared_bytes - bytes) {
        if (__asan_poison_memory_region) __asan_poison_memory_region(end_, rest_);
    }
    ~SharedMemoryLimit() {
        if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(end_, rest_);
    }
    SharedMemoryLimit(const SharedMemoryLimit&) = delete;
    SharedMemoryLimit& operator=(const SharedMemoryLimit&) = delete;

private:
    std::byte* end_;
    std::size_t rest_;
};

bool same(const std::source_location& a, const std::source_location& b) {
    return a.line() == b.line() && a.column() == b.column() && a.file_name() == b.file_name();
}

/// All lanes of the mask have arrived: hands each what all brought.
void complete_gather(Warp& warp, unsigned lanes) {
    acquire(&warp.brought);
    for (unsigned i = 0; i < warp_lanes; ++i) {
        if (!(lanes >> i & 1)) continue;
        warp.received[i] = warp.brought;
        release(&warp.received[i]);
    }
    warp.arrived &= ~lanes;
    ++block.progress;
}

}  // namespace

void run_kernel(Work& work) {
    const SharedMemoryLimit limit(work.shared_bytes);
    gridDim = work.grid;
    blockDim = work.block;
    const std::uint64_t x = gridDim.x, y = gridDim.y, blocks = x * y * gridDim.z;
    for (std::uint64_t i = 0; i < blocks; ++i) {
        const std::uint64_t b = settings.reverse ? blocks - 1 - i : i;
        blockIdx = {static_cast<unsigned>(b % x), static_cast<unsigned>(b / x % y), static_cast<unsigned>(b / (x * y))};
        run_block(work, blockDim.x * blockDim.y * blockDim.z);
    }
}

unsigned lane() { return block.rank % warp_lanes; }
unsigned thread_rank() { return block.rank; }
unsigned long& block_progress() { return block.progress; }
std::byte* shared_memory() { return dynamic_memory; }
std::size_t shared_bytes() { return block.work->shared_bytes; }

void wait_until(const std::function<bool()>& ready) {
    while (!ready()) yield();
}

void synchronize_block(std::source_location where) {
    if (block.at_barrier && !same(where, block.barrier)) fault("threads of a block meet at different __syncthreads");
    block.barrier = where;
    const unsigned barrier = block.barriers;
    block.clocks.arrive();
    if (++block.at_barrier == block.alive) {
        open_barrier();
    } else {
        while (block.barriers == barrier) yield();
    }
    block.clocks.depart(barrier);
}

const Lanes& gather(unsigned mask, std::uint64_t value) {
    Warp& warp = warps[block.rank / warp_lanes];
    const unsigned lane = block.rank % warp_lanes, bit = 1U << lane;
    if (!(mask & bit)) fault("a lane outside its own mask");
    warp.brought[lane] = value;
    warp.arrived |= bit;
    release(&warp.brought);
    while (warp.arrived & bit) {
        const unsigned lanes = mask & warp.alive;
        if ((warp.arrived & lanes) == lanes) {
            complete_gather(warp, lanes);
        } else {
            yield();
        }
    }
    acquire(&warp.received[lane]);
    return warp.received[lane];
}

}  // namespace emulated

// Preloaded into the program, makes one allocation fail: number NTKCUDA_FAILING_ALLOCATION, counted from the start of main(). With
// NTKCUDA_COUNT_ALLOCATIONS the number of all is written to the file of that name at the end. Counted are those of the program and of
// libzip and zlib for it; OpenBLAS and the OpenMP runtime end the process themselves when they get no memory.

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
}

namespace {

std::atomic<long> count{0};
long failing = 0;
bool armed = false;
int (*real_main)(int, char**, char**) = nullptr;

bool fails() { return armed && ++count == failing; }

bool is_counted(const void* caller) {
    Dl_info info;
    if (!armed || !dladdr(caller, &info) || !info.dli_fname) return false;
    const char* slash = std::strrchr(info.dli_fname, '/');
    const char* name = slash ? slash + 1 : info.dli_fname;
    for (const char* counted : {"ntkcuda", "libntkcuda", "libzip.", "libz."})
        if (std::strncmp(name, counted, std::strlen(counted)) == 0) return true;
    return false;
}

bool fails_for(const void* caller) { return is_counted(caller) && fails(); }

void* refuse() {
    errno = ENOMEM;
    return nullptr;
}

void* take(std::size_t bytes, std::size_t alignment) {
    return fails() ? refuse() : alignment ? __libc_memalign(alignment, bytes) : __libc_malloc(bytes);
}

void* take_or_throw(std::size_t bytes, std::size_t alignment = 0) {
    if (void* block = take(bytes, alignment)) return block;
    throw std::bad_alloc();
}

void report() {
    armed = false;
    const char* file = std::getenv("NTKCUDA_COUNT_ALLOCATIONS");
    if (!file) return;
    if (std::FILE* out = std::fopen(file, "w")) {
        std::fprintf(out, "%ld", count.load());
        std::fclose(out);
    }
}

int counted_main(int arguments, char** values, char** environment) {
    if (const char* number = std::getenv("NTKCUDA_FAILING_ALLOCATION")) failing = std::atol(number);
    unsetenv("LD_PRELOAD");  // gnuplot is not the matter
    std::atexit(report);
    armed = true;
    return real_main(arguments, values, environment);
}

}  // namespace

extern "C" {

int __libc_start_main(int (*main)(int, char**, char**), int arguments, char** values, void (*init)(), void (*fini)(), void (*loader)(),
                      void* stack_end) {
    using Start = int (*)(int (*)(int, char**, char**), int, char**, void (*)(), void (*)(), void (*)(), void*);
    real_main = main;
    return reinterpret_cast<Start>(dlsym(RTLD_NEXT, "__libc_start_main"))(counted_main, arguments, values, init, fini, loader, stack_end);
}

void* malloc(std::size_t bytes) { return fails_for(__builtin_return_address(0)) ? refuse() : __libc_malloc(bytes); }
void* calloc(std::size_t items, std::size_t bytes) {
    return fails_for(__builtin_return_address(0)) ? refuse() : __libc_calloc(items, bytes);
}
void* realloc(void* block, std::size_t bytes) { return fails_for(__builtin_return_address(0)) ? refuse() : __libc_realloc(block, bytes); }
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
    return fails_for(__builtin_return_address(0)) ? refuse() : __libc_memalign(alignment, bytes);
}
int posix_memalign(void** block, std::size_t alignment, std::size_t bytes) {
    if (fails_for(__builtin_return_address(0))) return ENOMEM;
    *block = __libc_memalign(alignment, bytes);
    return *block ? 0 : ENOMEM;
}

}  // extern "C"

void* operator new(std::size_t bytes) { return take_or_throw(bytes); }
void* operator new[](std::size_t bytes) { return take_or_throw(bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment) { return take_or_throw(bytes, static_cast<std::size_t>(alignment)); }
void* operator new[](std::size_t bytes, std::align_val_t alignment) { return take_or_throw(bytes, static_cast<std::size_t>(alignment)); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return take(bytes, 0); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return take(bytes, 0); }

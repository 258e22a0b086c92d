#include "libraries.hpp"

#include <dlfcn.h>
#include <unistd.h>

namespace ntk::nvidia {
namespace {

/// Where the library was when this was built, or else where the loader finds it. It stays loaded.
void* open(const char* path, const char* name) {
    void* const library = dlopen(access(path, R_OK) == 0 ? path : name, RTLD_NOW | RTLD_LOCAL);
    if (!library) throw Error(ErrorCode::device_unavailable, dlerror());
    return library;
}

Libraries load() {
    void* const nccl = open(NTKCUDA_NCCL_LIBRARY, "libnccl.so.2");
    void* const solver = open(NTKCUDA_CUSOLVERMP_LIBRARY, "libcusolverMp.so.0");
    const auto find = [&](auto& function, const char* name) {
        void* address = dlsym(nccl, name);
        if (!address) address = dlsym(solver, name);
        if (!address) throw Error(ErrorCode::device_unavailable, dlerror());
        function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(address);
    };
    Libraries found;
#define NTKCUDA_FIND(name) find(found.name, #name);
    NTKCUDA_NVIDIA_FUNCTIONS(NTKCUDA_FIND)
#undef NTKCUDA_FIND
    return found;
}

}  // namespace

const Libraries& libraries() {
    static const Libraries loaded = load();
    return loaded;
}

}  // namespace ntk::nvidia

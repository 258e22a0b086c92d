#include "memory_limit.hpp"

#include "backend/system_memory.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <new>

namespace ntk {

Index checked_product(const std::vector<Index>& sizes, Index bytes_each, const std::string& what) {
    Index nonzero = bytes_each;
    bool zero = false;
    for (const Index size : sizes) {
        if (size == 0) {
            zero = true;
        } else if (__builtin_mul_overflow(nonzero, size, &nonzero)) {
            throw Error(ErrorCode::out_of_memory, fmt::format("{}: {} values of {} bytes are more than can be addressed (2^63 - 1 bytes)",
                                                              what, fmt::join(sizes, " x "), bytes_each));
        }
    }
    return zero ? 0 : nonzero / bytes_each;
}

void require_memory(std::uint64_t bytes, const std::string& what) {
    if (const std::uint64_t there = system_memory().total; bytes > there)
        throw Error(ErrorCode::out_of_memory,
                    fmt::format("{} needs {} bytes ({:.1f} GiB) of memory, and this machine has {} bytes ({:.1f} GiB)", what, bytes,
                                static_cast<double>(bytes) / 0x1p30, there, static_cast<double>(there) / 0x1p30));
}

HostMatrix<double> make_host_matrix(Index rows, Index cols, const std::string& what) {
    const auto bytes = static_cast<std::uint64_t>(checked_product({rows, cols}, sizeof(double), what)) * sizeof(double);
    require_memory(bytes, what);
    try {
        return {rows, cols};
    } catch (const std::bad_alloc&) {
        throw Error(ErrorCode::out_of_memory, fmt::format("{} needs {} bytes of memory, which the system refused", what, bytes));
    }
}

}  // namespace ntk

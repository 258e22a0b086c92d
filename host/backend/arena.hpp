#pragma once

// Scratch memory of one thread as one piece: consecutive arrays, each from the start of a cache line.

#include "host/memory_limit.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>

namespace ntk {

/// Hands out arrays of numbers of `lanes` values each; without memory it only counts the bytes. Throws Error(out_of_memory) past 2^63 - 1.
class Arena {
public:
    Arena(std::byte* memory, int lanes) : memory_(memory), lanes_(lanes) {}

    template <class Value>
    [[nodiscard]] Value* take(Index numbers) {
        std::byte* start = memory_ ? memory_ + used_ : nullptr;
        const Index bytes = checked_product({numbers, lanes_}, sizeof(Value), what) * static_cast<Index>(sizeof(Value));
        used_ = checked_product({used_ / line + (bytes + line - 1) / line}, line, what) * line;
        return reinterpret_cast<Value*>(start);
    }
    [[nodiscard]] Index used() const { return used_; }

    static constexpr Index line = 64;
    static constexpr const char* what = "the memory of a kernel sampler";

private:
    std::byte* memory_;
    Index lanes_, used_ = 0;
};

/// Memory for an arena.
class ArenaMemory {
public:
    ArenaMemory() = default;
    /// Throws Error(out_of_memory) naming the bytes when there are not as many.
    explicit ArenaMemory(Index bytes) {
        require_memory(static_cast<std::uint64_t>(bytes), Arena::what);
        memory_.reset(static_cast<std::byte*>(std::aligned_alloc(Arena::line, static_cast<std::size_t>(std::max(bytes, Arena::line)))));
        if (!memory_)
            throw Error(ErrorCode::out_of_memory,
                        std::string(Arena::what) + " is " + std::to_string(bytes) + " bytes, which the system refused");
    }
    [[nodiscard]] std::byte* get() const { return memory_.get(); }

private:
    struct Free {
        void operator()(std::byte* p) const { std::free(p); }
    };
    std::unique_ptr<std::byte, Free> memory_;
};

}  // namespace ntk

#pragma once

// Scratch memory of one thread as one piece: consecutive arrays, each from the start of a cache line.

#include <ntkcuda/matrix.hpp>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace ntk {

/// Hands out arrays of numbers of `lanes` values each; without memory it only counts the bytes.
class Arena {
public:
    Arena(std::byte* memory, int lanes) : memory_(memory), lanes_(lanes) {}

    template <class Value>
    [[nodiscard]] Value* take(Index numbers) {
        std::byte* start = memory_ ? memory_ + used_ : nullptr;
        used_ += (numbers * lanes_ * static_cast<Index>(sizeof(Value)) + line - 1) / line * line;
        return reinterpret_cast<Value*>(start);
    }
    [[nodiscard]] Index used() const { return used_; }

    static constexpr Index line = 64;

private:
    std::byte* memory_;
    Index lanes_, used_ = 0;
};

/// Memory for an arena.
class ArenaMemory {
public:
    explicit ArenaMemory(Index bytes) : memory_(static_cast<std::byte*>(std::aligned_alloc(Arena::line, static_cast<std::size_t>(bytes)))) {
        if (!memory_) throw std::bad_alloc();
    }
    [[nodiscard]] std::byte* get() const { return memory_.get(); }

private:
    struct Free {
        void operator()(std::byte* p) const { std::free(p); }
    };
    std::unique_ptr<std::byte, Free> memory_;
};

}  // namespace ntk

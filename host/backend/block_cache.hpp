#pragma once

// Blocks of memory that were released, kept for the next matrix of about the same size: memory fresh from the system costs a page fault
// and a cleared page every 4 KiB, as much as a tenth of a whole kernel.

#include <cstddef>
#include <map>
#include <mutex>

namespace ntk {

class BlockCache {
public:
    /// Keeps at most `limit` bytes.
    explicit BlockCache(std::size_t limit) : limit_(limit) {}
    ~BlockCache() { clear(); }
    BlockCache(const BlockCache&) = delete;
    BlockCache& operator=(const BlockCache&) = delete;

    /// A kept block of `bytes` or at most an eighth more, or nullptr.
    [[nodiscard]] void* take(std::size_t bytes);
    /// Takes a block of malloc's over: keeps it, or frees it if it is small or would be too much.
    void give(void* block) noexcept;
    /// Frees blocks, the largest first, until at most `bytes` are kept.
    void shrink(std::size_t bytes) noexcept;
    /// Frees all; true if there was any.
    bool clear() noexcept;

private:
    const std::size_t limit_;
    std::mutex mutex_;
    std::size_t kept_ = 0;
    std::multimap<std::size_t, void*> blocks_;  ///< by their size
};

}  // namespace ntk

#include "block_cache.hpp"

#include <malloc.h>

#include <cstdlib>
#include <iterator>
#include <new>

namespace ntk {
namespace {

/// Smaller ones malloc keeps itself.
constexpr std::size_t smallest = std::size_t{128} << 10;

}  // namespace

void* BlockCache::take(std::size_t bytes) {
    if (bytes < smallest) return nullptr;
    const std::lock_guard lock(mutex_);
    const auto found = blocks_.lower_bound(bytes);
    if (found == blocks_.end() || found->first > bytes + bytes / 8) return nullptr;
    void* block = found->second;
    kept_ -= found->first;
    blocks_.erase(found);
    return block;
}

void BlockCache::give(void* block) noexcept {
    const std::size_t bytes = block ? malloc_usable_size(block) : 0;
    if (bytes >= smallest && bytes <= limit_) {
        const std::lock_guard lock(mutex_);
        if (kept_ + bytes <= limit_) try {
                blocks_.emplace(bytes, block);
                kept_ += bytes;
                return;
            } catch (const std::bad_alloc&) {  // freed below, as a block that is not kept
            }
    }
    std::free(block);
}

void BlockCache::shrink(std::size_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    while (kept_ > bytes) {
        const auto largest = std::prev(blocks_.end());
        std::free(largest->second);
        kept_ -= largest->first;
        blocks_.erase(largest);
    }
}

bool BlockCache::clear() noexcept {
    const std::lock_guard lock(mutex_);
    const bool any = !blocks_.empty();
    for (const auto& [bytes, block] : blocks_) std::free(block);
    blocks_.clear();
    kept_ = 0;
    return any;
}

}  // namespace ntk

#include "host/backend/block_cache.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace ntk {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

TEST(BlockCache, GivesABlockOfTheSizeAgain) {
    BlockCache cache(8 * mib);
    void* block = std::malloc(2 * mib);
    cache.give(block);
    EXPECT_EQ(cache.take(3 * mib), nullptr) << "too small a block";
    EXPECT_EQ(cache.take(mib), nullptr) << "twice the size would be wasted";
    EXPECT_EQ(cache.take(2 * mib), block);
    EXPECT_EQ(cache.take(2 * mib), nullptr) << "it was given away";
    std::free(block);
}

TEST(BlockCache, KeepsNoMoreThanItsLimitAndNothingSmall) {
    BlockCache cache(3 * mib);
    void *first = std::malloc(2 * mib), *second = std::malloc(2 * mib), *small = std::malloc(1024);
    cache.give(first);
    cache.give(second);  // freed: both would be above the limit
    cache.give(small);
    cache.give(nullptr);
    EXPECT_EQ(cache.take(1024), nullptr);
    void* kept = cache.take(2 * mib);
    EXPECT_EQ(kept, first);
    EXPECT_EQ(cache.take(2 * mib), nullptr);
    std::free(kept);
}

TEST(BlockCache, ShrinksByItsLargestBlocks) {
    BlockCache cache(8 * mib);
    void* small = std::malloc(mib);
    cache.give(small);
    cache.give(std::malloc(4 * mib));
    cache.shrink(8 * mib);
    cache.shrink(2 * mib);
    EXPECT_EQ(cache.take(4 * mib), nullptr);
    EXPECT_EQ(cache.take(mib), small);
    std::free(small);
}

TEST(BlockCache, ClearsItself) {
    BlockCache cache(8 * mib);
    EXPECT_FALSE(cache.clear());
    cache.give(std::malloc(2 * mib));
    EXPECT_TRUE(cache.clear());
    EXPECT_EQ(cache.take(2 * mib), nullptr);
}

}  // namespace
}  // namespace ntk

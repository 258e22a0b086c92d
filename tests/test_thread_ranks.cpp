// The ranks that other tests are done on keep the promises of ranks.hpp.

#include "support/thread_ranks.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

namespace ntk {
namespace {

using namespace testing;

std::vector<std::byte> bytes_of(const std::string& text) {
    const auto view = std::as_bytes(std::span(text));
    return {view.begin(), view.end()};
}

TEST(ThreadRanks, GatherBytesOfAnyLengthInTheOrderOfTheRanks) {
    on_ranks(4, [](Ranks& ranks) {
        EXPECT_EQ(ranks.size(), 4);
        EXPECT_EQ(ranks.root(), ranks.rank() == 0);
        for (int round = 0; round < 50; ++round) {
            const auto all = ranks.all_gather(bytes_of(std::string(static_cast<std::size_t>(ranks.rank()), 'x')));
            ASSERT_EQ(all.size(), 4U);
            for (std::size_t r = 0; r < 4; ++r) EXPECT_EQ(all[r], bytes_of(std::string(r, 'x')));
        }
    });
}

TEST(ThreadRanks, GatherRowsWhereTheyBelong) {
    on_ranks(3, [](Ranks& ranks) {
        const std::array<std::int64_t, 3> counts{2, 0, 1};
        std::array<char, 6> rows{};
        const std::string mine = ranks.root() ? "abcd" : ranks.rank() == 1 ? "" : "ef";
        std::copy(mine.begin(), mine.end(), rows.begin() + (ranks.root() ? 0 : 4));
        ranks.all_gather_rows(std::as_writable_bytes(std::span(rows)), 2, counts);
        EXPECT_EQ(std::string(rows.begin(), rows.end()), "abcdef");
    });
}

TEST(ThreadRanks, GatherToOneRankInTheOrderOfTheRanks) {
    on_ranks(4, [](Ranks& ranks) {
        for (int to = 0; to < 4; ++to) {
            int next = 0;
            ranks.gather(bytes_of(std::string(static_cast<std::size_t>(ranks.rank()), 'x')), to,
                         [&](int from, std::span<const std::byte> bytes) {
                             EXPECT_EQ(from, next++);
                             EXPECT_EQ(bytes.size(), static_cast<std::size_t>(from));
                         });
            EXPECT_EQ(next, ranks.rank() == to ? 4 : 0);
        }
    });
}

TEST(ThreadRanks, BroadcastWhatTheRootSaysAndSum) {
    on_ranks(3, [](Ranks& ranks) {
        EXPECT_EQ(ranks.broadcast(bytes_of(ranks.root() ? "of the root" : "")), bytes_of("of the root"));
        std::array<double, 2> values{1.0 + ranks.rank(), 0.25};
        ranks.sum(values);
        EXPECT_EQ(values, (std::array<double, 2>{6, 0.75}));
        std::array<float, 1> floats{0.5F};
        ranks.sum(floats);
        EXPECT_EQ(floats[0], 1.5F);
    });
}

TEST(ThreadRanks, OneThatFailsEndsTheOthers) {
    EXPECT_THROW(on_ranks(3,
                          [](Ranks& ranks) {
                              if (ranks.rank() == 1) throw std::domain_error("mine");
                              (void)ranks.all_gather({});
                          }),
                 std::domain_error);
}

TEST(ThreadRanks, CallsThatDifferAreFound) {
    EXPECT_THROW(on_ranks(2,
                          [](Ranks& ranks) {
                              if (ranks.root()) {
                                  (void)ranks.all_gather({});
                              } else {
                                  (void)ranks.broadcast({});
                              }
                          }),
                 std::runtime_error);
}

}  // namespace
}  // namespace ntk

// Items of a sweep on several workers and ranks, with items that are numbers: who computes what, the order of the records, failures and
// stops.

#include "support/thread_ranks.hpp"

#include "host/sweep_rounds.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>

namespace ntk {
namespace {

using namespace testing;
using ::testing::HasSubstr;

Workers<double> workers(int count, Ranks& ranks = one_rank()) {
    std::vector<std::shared_ptr<Backend<double>>> backends;
    for (int i = 0; i < count; ++i) backends.push_back(make_backend<double>("cpu", 1));
    return Workers<double>(backends, ranks);
}

/// What one rank sees of a sweep whose record of item i is the text of i.
struct Seen {
    std::vector<Index> collected;
    std::set<Index> found;
};

using Compute = std::function<std::string(std::size_t, Index, const std::stop_token&)>;

SweepWork<std::string> work_of(Index items, Seen& seen, Compute compute) {
    SweepWork<std::string> work;
    work.items = items;
    work.compute = std::move(compute);
    work.collect = [&seen](Index item, const std::string& record, bool found) {
        EXPECT_EQ(record, std::to_string(item));
        seen.collected.push_back(item);
        if (found) seen.found.insert(item);
    };
    return work;
}

std::string text_of(std::size_t, Index item, const std::stop_token&) { return std::to_string(item); }

std::vector<Index> first_items(Index count) {
    std::vector<Index> items(static_cast<std::size_t>(count));
    for (Index i = 0; i < count; ++i) items[static_cast<std::size_t>(i)] = i;
    return items;
}

TEST(SweepRounds, EveryItemIsComputedOnceAndCollectedInOrderOnEveryRank) {
    for (const int size : {1, 2, 4})
        for (const int each : {1, 3})
            for (const Index items : {0, 1, 5, 97}) {
                SCOPED_TRACE(::testing::Message() << size << " ranks of " << each << " workers, " << items << " items");
                std::vector<std::atomic<int>> computed(static_cast<std::size_t>(items));
                on_ranks(size, [&](Ranks& ranks) {
                    Seen seen;
                    const auto work = work_of(items, seen, [&](std::size_t worker, Index item, const std::stop_token& stop) {
                        EXPECT_LT(worker, static_cast<std::size_t>(each));
                        ++computed[static_cast<std::size_t>(item)];
                        return text_of(worker, item, stop);
                    });
                    const auto team = Team(workers(each, ranks));
                    SweepRounds<std::string>(team, work, {}).run();
                    EXPECT_EQ(seen.collected, first_items(items));
                    EXPECT_TRUE(seen.found.empty());
                });
                for (const auto& times : computed) EXPECT_EQ(times, 1);
            }
}

TEST(SweepRounds, RanksMayHaveDifferentNumbersOfWorkers) {
    std::mutex mutex;
    std::map<int, Index> computed;
    on_ranks(3, [&](Ranks& ranks) {
        Seen seen;
        const auto work = work_of(600, seen, [&](std::size_t, Index item, const std::stop_token&) {
            const std::lock_guard lock(mutex);
            ++computed[ranks.rank()];
            return std::to_string(item);
        });
        const auto team = Team(workers(ranks.rank() + 1, ranks));
        EXPECT_EQ(team.all(), 6U);
        SweepRounds<std::string>(team, work, {}).run();
        EXPECT_EQ(seen.collected, first_items(600));
    });
    EXPECT_EQ(computed, (std::map<int, Index>{{0, 100}, {1, 200}, {2, 300}}));
}

TEST(SweepRounds, WhatTheRootHasIsNotComputedAgain) {
    for (const int size : {1, 3}) {
        const auto there = [](Index item) { return item % 3 != 1 || item > 200; };
        on_ranks(size, [&](Ranks& ranks) {
            Seen seen;
            auto work = work_of(400, seen, [&](std::size_t worker, Index item, const std::stop_token& stop) {
                EXPECT_FALSE(there(item));
                return text_of(worker, item, stop);
            });
            work.find = [&](Index item) {
                EXPECT_TRUE(ranks.root());
                return there(item) ? std::optional(std::to_string(item)) : std::nullopt;
            };
            const auto team = Team(workers(2, ranks));
            SweepRounds<std::string>(team, work, {}).run();
            EXPECT_EQ(seen.collected, first_items(400));
            for (Index item = 0; item < 400; ++item) EXPECT_EQ(seen.found.contains(item), there(item));
        });
    }
}

/// Runs on each rank and expects the same error there; returns its message.
std::string error_on_ranks(int size, ErrorCode code, const std::function<void(Ranks&)>& run) {
    std::mutex mutex;
    std::set<std::string> messages;
    on_ranks(size, [&](Ranks& ranks) {
        try {
            run(ranks);
            ADD_FAILURE() << "nothing was thrown on rank " << ranks.rank();
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), code) << error.what();
            const std::lock_guard lock(mutex);
            messages.insert(error.what());
        }
    });
    EXPECT_EQ(messages.size(), 1U);
    return messages.empty() ? "" : *messages.begin();
}

TEST(SweepRounds, AFailureOfOneWorkerEndsAllRanksWithItsMessage) {
    for (const int size : {1, 2, 3})
        for (const Index bad : {0, 7, 96}) {
            SCOPED_TRACE(::testing::Message() << size << " ranks, item " << bad);
            const std::string message = error_on_ranks(size, ErrorCode::not_positive_definite, [&](Ranks& ranks) {
                Seen seen;
                const auto work = work_of(97, seen, [&](std::size_t, Index item, const std::stop_token&) {
                    if (item == bad) throw Error(ErrorCode::not_positive_definite, "no pivot");
                    return std::to_string(item);
                });
                const auto team = Team(workers(2, ranks));
                try {
                    SweepRounds<std::string>(team, work, {}).run();
                } catch (const Error&) {
                    EXPECT_LE(std::ssize(seen.collected), bad);  // nothing behind the gap
                    EXPECT_EQ(seen.collected, first_items(std::ssize(seen.collected)));
                    throw;
                }
            });
            EXPECT_THAT(message, HasSubstr("cpu: no pivot"));  // which device, and with several ranks
            EXPECT_EQ(message.starts_with("rank "), size > 1) << message;
        }
}

TEST(SweepRounds, AFailureOfOneWorkerStopsWhatTheOthersAreDoing) {
    const auto team = Team(workers(2));
    Seen seen;
    std::atomic<bool> waiting = false;
    const auto work = work_of(2, seen, [&](std::size_t, Index item, const std::stop_token& stop) -> std::string {
        if (item == 1) {
            while (!waiting) std::this_thread::yield();
            throw Error(ErrorCode::device_failure, "gone");
        }
        waiting = true;
        while (!stop.stop_requested()) std::this_thread::yield();  // for ever, if nobody says so
        throw Error(ErrorCode::cancelled, "as asked");
    });
    try {
        SweepRounds<std::string>(team, work, {}).run();
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::device_failure) << error.what();
    }
}

TEST(SweepRounds, FailuresOfTheStoreEndAllRanks) {
    for (const bool finding : {true, false})
        for (const Index bad : {0, 5, 96}) {
            SCOPED_TRACE(::testing::Message() << (finding ? "finding " : "saving ") << bad);
            const std::string message = error_on_ranks(3, ErrorCode::io, [&](Ranks& ranks) {
                Seen seen;
                auto work = work_of(97, seen, text_of);
                const auto fail_at = [&](Index item) {
                    if (ranks.root() && item == bad) throw Error(ErrorCode::io, "disk full");
                };
                if (finding) {
                    work.find = [&](Index item) {
                        fail_at(item);
                        return std::optional<std::string>();
                    };
                } else {
                    work.collect = [&](Index item, const std::string&, bool) { fail_at(item); };
                }
                const auto team = Team(workers(1, ranks));
                SweepRounds<std::string>(team, work, {}).run();
            });
            EXPECT_EQ(message, "rank 0: disk full");
        }
}

TEST(SweepRounds, WhatTheRootSaysIsHeardByAllItsFailureToo) {
    on_ranks(3, [](Ranks& ranks) {
        EXPECT_EQ(from_root<std::string>(ranks,
                                         [&] {
                                             EXPECT_TRUE(ranks.root());
                                             return "said";
                                         }),
                  "said");
    });
    const std::string message = error_on_ranks(3, ErrorCode::out_of_memory, [](Ranks& ranks) {
        (void)from_root<std::string>(ranks, []() -> std::string { throw std::bad_alloc(); });
    });
    EXPECT_EQ(message, "rank 0: the host is out of memory");
}

TEST(SweepRounds, AStopOnOneRankEndsAll) {
    error_on_ranks(3, ErrorCode::cancelled, [&](Ranks& ranks) {
        Seen seen;
        std::stop_source stop;
        auto work = work_of(1000, seen, text_of);
        work.collect = [&](Index item, const std::string&, bool) {
            if (ranks.rank() == 1 && item == 20) stop.request_stop();
        };
        const auto team = Team(workers(2, ranks));
        SweepRounds<std::string>(team, work, stop.get_token()).run();
    });
}

TEST(SweepRounds, OneWorkerAloneCollectsEachRecordAtOnceOnTheCallersThread) {
    const auto team = Team(workers(1));
    Seen seen;
    const auto caller = std::this_thread::get_id();
    const auto work = work_of(50, seen, [&](std::size_t, Index item, const std::stop_token&) {
        EXPECT_EQ(std::this_thread::get_id(), caller);
        EXPECT_EQ(std::ssize(seen.collected), item);
        return std::to_string(item);
    });
    SweepRounds<std::string>(team, work, {}).run();
    EXPECT_EQ(seen.collected, first_items(50));
}

TEST(SweepRounds, OtherExceptionsComeOutAsTheyAre) {
    struct Own {};
    const auto team = Team(workers(3));
    Seen seen;
    auto work = work_of(20, seen, text_of);
    work.collect = [](Index item, const std::string&, bool) {
        if (item == 3) throw Own();
    };
    EXPECT_THROW(SweepRounds<std::string>(team, work, {}).run(), Own);
}

TEST(SweepRounds, WorkersMustBeThere) {
    EXPECT_THROW((void)Workers<double>(std::vector<std::shared_ptr<Backend<double>>>{}), Error);
    EXPECT_THROW((void)Workers<double>(std::shared_ptr<Backend<double>>{}), Error);
}

struct Everything {
    double number = 0;
    std::string text;
    std::vector<float> floats;
    std::optional<double> unset, set;
    std::vector<std::vector<double>> nested;
    bool operator==(const Everything&) const = default;
};
template <class Archive, class Value>
requires std::same_as<std::remove_const_t<Value>, Everything>
void fields(Archive& archive, Value& value) { archive(value.number, value.text, value.floats, value.unset, value.set, value.nested); }

TEST(ByteArchive, GivesBackWhatWasWrittenAndFindsAnEarlyEnd) {
    const Everything written{0.1, std::string("a\0b", 3), {1.5F, -0.0F}, {}, 2.5, {{}, {1, 2}, {3}}};
    ByteWriter writer;
    writer(written, Index{7});
    Everything read{1, "before", {1}, 3, {}, {{5}}};
    Index seven = 0;
    ByteReader{writer.bytes()}(read, seven);
    EXPECT_EQ(read, written);
    EXPECT_EQ(seven, 7);
    for (std::size_t size = 0; size < writer.bytes().size(); ++size)
        EXPECT_THROW((ByteReader{std::span(writer.bytes()).first(size)}(read, seven)), Error) << size;
}

}  // namespace
}  // namespace ntk

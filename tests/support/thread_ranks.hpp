#pragma once

// Ranks that are threads of this process.

#include <ntkcuda/ranks.hpp>

#include <barrier>
#include <functional>
#include <thread>
#include <vector>

namespace ntk::testing {

class ThreadRanks final : public Ranks {
public:
    /// What the threads share.
    struct Group {
        explicit Group(int threads) : barrier(threads), bytes(static_cast<std::size_t>(threads)) {}
        std::barrier<> barrier;
        std::vector<std::vector<std::byte>> bytes;
    };
    ThreadRanks(Group& group, int rank) : group_(group), rank_(rank) {}

    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return static_cast<int>(group_.bytes.size()); }
    [[nodiscard]] std::vector<std::vector<std::byte>> all_gather(std::span<const std::byte> mine) override {
        group_.bytes[static_cast<std::size_t>(rank_)].assign(mine.begin(), mine.end());
        group_.barrier.arrive_and_wait();
        auto all = group_.bytes;
        group_.barrier.arrive_and_wait();
        return all;
    }
    [[nodiscard]] std::vector<std::byte> broadcast(std::span<const std::byte> of_root) override { return all_gather(of_root).front(); }
    void sum(std::span<double> values) override { add(values); }
    void sum(std::span<float> values) override { add(values); }

private:
    template <class Real>
    void add(std::span<Real> values) {
        const auto all = all_gather(std::as_bytes(values));
        for (Real& value : values) value = 0;
        for (const auto& bytes : all) {
            const auto* theirs = reinterpret_cast<const Real*>(bytes.data());
            for (std::size_t i = 0; i < values.size(); ++i) values[i] += theirs[i];
        }
    }

    Group& group_;
    int rank_;
};

/// Calls work(ranks) in one thread a rank. `work` must throw in all of them or in none.
inline void on_ranks(int count, const std::function<void(Ranks&)>& work) {
    ThreadRanks::Group group(count);
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < count; ++rank)
        threads.emplace_back([&group, &work, rank] {
            ThreadRanks ranks(group, rank);
            work(ranks);
        });
}

}  // namespace ntk::testing

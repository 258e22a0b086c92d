#pragma once

// Ranks that are threads of one process: what works on several ranks is tested without MPI.

#include <ntkcuda/ranks.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace ntk::testing {

/// What the threads of one group share. A thread that ends by an exception, or calls another operation than the rest, ends the waiting of
/// all; so does a thread that does not come within a minute.
class ThreadGroup {
public:
    explicit ThreadGroup(int size) : slots_(static_cast<std::size_t>(size)) {}

    /// The bytes of every rank that called `operation`; all must have.
    std::vector<std::vector<std::byte>> exchange(int rank, const std::string& operation, std::span<const std::byte> mine) {
        std::unique_lock lock(mutex_);
        if (arrived_ == 0) operation_ = operation;
        if (operation_ != operation) give_up("one rank calls " + operation + ", another " + operation_);
        slots_[static_cast<std::size_t>(rank)].assign(mine.begin(), mine.end());
        meet(lock);
        auto all = slots_;
        meet(lock);
        return all;
    }
    void abandon() {
        const std::lock_guard lock(mutex_);
        give_up("another rank has failed", false);
    }

private:
    void meet(std::unique_lock<std::mutex>& lock) {
        const long round = round_;
        if (++arrived_ == slots_.size()) {
            arrived_ = 0;
            ++round_;
            changed_.notify_all();
        } else if (!changed_.wait_for(lock, std::chrono::minutes(1), [&] { return round_ != round || !reason_.empty(); })) {
            give_up("the other ranks do not come to " + operation_);
        }
        if (round_ == round && !reason_.empty()) throw std::runtime_error(reason_);
    }
    void give_up(const std::string& reason, bool here = true) {
        if (reason_.empty()) reason_ = reason;
        changed_.notify_all();
        if (here) throw std::runtime_error(reason);
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::vector<std::byte>> slots_;
    std::string operation_, reason_;
    std::size_t arrived_ = 0;
    long round_ = 0;
};

class ThreadRanks final : public Ranks {
public:
    ThreadRanks(ThreadGroup& group, int rank, int size) : group_(group), rank_(rank), size_(size) {}

    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }
    [[nodiscard]] std::vector<std::vector<std::byte>> all_gather(std::span<const std::byte> mine) override {
        return group_.exchange(rank_, "all_gather", mine);
    }
    void all_gather_rows(std::span<std::byte> all, std::size_t row_bytes, std::span<const std::int64_t> counts) override {
        const auto bytes = [&](int rank) { return static_cast<std::size_t>(counts[static_cast<std::size_t>(rank)]) * row_bytes; };
        std::size_t first = 0;
        for (int rank = 0; rank < rank_; ++rank) first += bytes(rank);
        auto place = all.begin();
        for (const auto& rows : group_.exchange(rank_, "all_gather_rows", all.subspan(first, bytes(rank_))))
            place = std::copy(rows.begin(), rows.end(), place);
        if (place != all.end()) throw std::logic_error("the rows of all ranks are not as many as their counts");
    }
    void gather(std::span<const std::byte> mine, int to,
                const std::function<void(int from, std::span<const std::byte> bytes)>& receive) override {
        const auto all = group_.exchange(rank_, "gather to " + std::to_string(to), mine);
        for (int from = 0; rank_ == to && from < size_; ++from) receive(from, all[static_cast<std::size_t>(from)]);
    }
    [[nodiscard]] std::vector<std::byte> broadcast(std::span<const std::byte> of_root) override {
        return group_.exchange(rank_, "broadcast", root() ? of_root : std::span<const std::byte>()).front();
    }
    void sum(std::span<double> values) override { sum_of(values); }
    void sum(std::span<float> values) override { sum_of(values); }

private:
    template <class Real>
    void sum_of(std::span<Real> values) {
        const auto all = group_.exchange(rank_, "sum of " + std::to_string(values.size()), std::as_bytes(values));
        for (Real& value : values) value = 0;
        for (const auto& bytes : all) {
            const auto* of_rank = reinterpret_cast<const Real*>(bytes.data());
            for (std::size_t i = 0; i < values.size(); ++i) values[i] += of_rank[i];
        }
    }

    ThreadGroup& group_;
    int rank_, size_;
};

/// Calls work(Ranks&) on each of `size` ranks at once, and throws what was thrown first.
template <class Work>
void on_ranks(int size, const Work& work) {
    ThreadGroup group(size);
    std::exception_ptr first;
    std::mutex mutex;
    {
        std::vector<std::jthread> threads;
        for (int rank = 0; rank < size; ++rank)
            threads.emplace_back([&, rank] {
                ThreadRanks ranks(group, rank, size);
                try {
                    work(static_cast<Ranks&>(ranks));
                } catch (...) {
                    const std::lock_guard lock(mutex);
                    if (!first) first = std::current_exception();
                    group.abandon();
                }
            });
    }
    if (first) std::rethrow_exception(first);
}

}  // namespace ntk::testing

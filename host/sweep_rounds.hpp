#pragma once

// The items of a sweep on several workers and ranks (workers.hpp): each is found among what was done before or computed by one worker, and
// all are collected on every rank in their order. Work goes in rounds, the only times at which ranks talk: the root tells what it has found
// and what is to be computed, each rank computes its share, and records and failures go to all. So ranks need nothing but collective calls,
// a failure anywhere ends every rank with the same message, and nobody waits for a rank that has given up.

#include "byte_archive.hpp"

#include <ntkcuda/backend.hpp>
#include <ntkcuda/matrix.hpp>
#include <ntkcuda/workers.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <stop_token>

namespace ntk {

/// The workers of all ranks, without their backends.
class Team {
public:
    /// Throws Error(invalid_argument) if they are of different kinds, which would make the result depend on who computes what.
    template <class Real>
    explicit Team(const Workers<Real>& workers) : ranks_(&workers.ranks()) {
        std::vector<DeviceInfo> devices;
        for (const auto& backend : workers.backends()) devices.push_back(backend->info());
        meet(devices);
    }

    [[nodiscard]] Ranks& ranks() const { return *ranks_; }
    [[nodiscard]] bool several_ranks() const { return ranks_->size() > 1; }
    /// Workers of this rank.
    [[nodiscard]] std::size_t here() const { return devices_.size(); }
    /// Workers of all ranks.
    [[nodiscard]] std::size_t all() const { return owners_.size(); }
    /// Which of `items` this rank computes: they are dealt out one by one, so that neighbours, which cost about the same, go to different
    /// workers.
    [[nodiscard]] std::vector<std::size_t> share(const std::vector<std::size_t>& items) const;
    /// Calls work(worker, item, stop) for each item, on all workers of this rank. Their first failure, and a stop, end the others at their
    /// next step and are thrown here when all have ended, with the name of the device where there are several.
    void compute(const std::vector<std::size_t>& items, const std::stop_token& stop,
                 const std::function<void(std::size_t worker, std::size_t item, const std::stop_token& stop)>& work) const;

private:
    void meet(const std::vector<DeviceInfo>& devices);
    /// The exception in flight.
    [[nodiscard]] std::exception_ptr failure_of(std::size_t worker) const;

    Ranks* ranks_;
    std::vector<std::string> devices_;  ///< of this rank
    std::vector<int> owners_;           ///< the rank of each worker, the first workers of all ranks before the second ones
};

/// How many items a round has: with several workers as many as keep all of them busy for a while, so that a round's end, when some wait for
/// others, is rare; with one worker a single one.
class RoundSize {
public:
    explicit RoundSize(const Team& team) : workers_(team.all()) {}
    [[nodiscard]] std::size_t items() const { return workers_ * each_; }
    /// After a round that took so long on the slowest rank.
    void adapt(double seconds);

private:
    std::size_t workers_, each_ = 1;
};

/// A failure as it goes from rank to rank.
struct RankFailure {
    ErrorCode code{};
    std::string message;
};
template <class Archive, class Value>
requires std::same_as<std::remove_const_t<Value>, RankFailure>
void fields(Archive& archive, Value& failure) { archive(failure.code, failure.message); }
[[nodiscard]] std::optional<RankFailure> describe_failure(const std::exception_ptr& failure, const Ranks& ranks);

/// What `make` gives on the root, on every rank; its failure likewise.
template <class Value, class Make>
[[nodiscard]] Value from_root(Ranks& ranks, const Make& make) {
    Value value{};
    std::exception_ptr failure;
    if (ranks.root()) try {
            value = make();
        } catch (...) {
            failure = std::current_exception();
        }
    ByteWriter told;
    told(describe_failure(failure, ranks), value);
    const auto heard = ranks.broadcast(told.bytes());
    std::optional<RankFailure> said;
    ByteReader{heard}(said, value);
    if (said) throw Error(said->code, said->message);
    return value;
}

/// What is to be done for each item.
template <class Record>
struct SweepWork {
    Index items = 0;
    /// The record of an earlier run; asked on the root alone.
    std::function<std::optional<Record>(Index item)> find;
    /// On the thread of a worker of this rank, by its number.
    std::function<Record(std::size_t worker, Index item, const std::stop_token& stop)> compute;
    /// On the caller's thread of every rank, in the order of the items, while no worker is computing.
    std::function<void(Index item, Record record, bool found)> collect;
};

template <class Record>
class SweepRounds {
public:
    SweepRounds(const Team& team, const SweepWork<Record>& work, std::stop_token stop)
        : team_(team), work_(work), stop_(std::move(stop)), size_(team) {}

    /// Throws what the first rank that failed says; the items before the first missing one are collected by then.
    void run() {
        while (next_ < work_.items) {
            find();
            const double seconds = compute();
            finish(seconds);
            collect();
        }
        finish(0);  // the last round may have been collected in vain
    }

private:
    using Clock = std::chrono::steady_clock;

    /// Fills round_ with what was done before, and with gaps for what is to be computed.
    void find() {
        constexpr std::size_t most_found = 64;  // they wait in memory
        round_.clear();
        missing_.clear();
        if (team_.ranks().root())
            attempt([&] {
                for (Index item = next_;
                     item < work_.items && missing_.size() < size_.items() && round_.size() < size_.items() + most_found; ++item) {
                    round_.push_back(work_.find ? work_.find(item) : std::nullopt);
                    if (!round_.back()) missing_.push_back(round_.size() - 1);
                }
            });
        if (team_.several_ranks()) {
            ByteWriter told;
            if (team_.ranks().root()) told(round_, missing_);
            const auto heard = team_.ranks().broadcast(told.bytes());
            if (!team_.ranks().root()) ByteReader{heard}(round_, missing_);
        }
        found_.assign(round_.size(), true);
        for (const std::size_t place : missing_) found_[place] = false;
    }

    /// The seconds that this rank took for its share.
    double compute() {
        const auto begin = Clock::now();
        share_ = team_.share(missing_);
        attempt([&] {
            team_.compute(share_, stop_, [&](std::size_t worker, std::size_t place, const std::stop_token& stop) {
                round_[place] = work_.compute(worker, next_ + static_cast<Index>(place), stop);
            });
        });
        return std::chrono::duration<double>(Clock::now() - begin).count();
    }

    /// Tells the others, and hears from them.
    void finish(double seconds) {
        double slowest = seconds;
        if (team_.several_ranks()) {
            ByteWriter told;
            told(describe_failure(failure_, team_.ranks()), seconds, share_);
            for (const std::size_t place : share_) told(round_[place]);
            failure_ = nullptr;
            for (const auto& bytes : team_.ranks().all_gather(told.bytes())) {
                ByteReader heard(bytes);
                std::optional<RankFailure> failure;
                std::vector<std::size_t> places;
                heard(failure, seconds, places);
                slowest = std::max(slowest, seconds);
                for (const std::size_t place : places) heard(round_.at(place));
                if (failure && !failure_) failure_ = std::make_exception_ptr(Error(failure->code, failure->message));
            }
        }
        share_.clear();
        size_.adapt(slowest);
        if (failure_) {
            const std::exception_ptr failure = std::exchange(failure_, nullptr);
            collect();
            std::rethrow_exception(failure);
        }
    }

    void collect() {
        const auto all = [&] {
            for (std::size_t i = 0; i < round_.size() && round_[i]; ++i)
                work_.collect(next_ + static_cast<Index>(i), std::move(*round_[i]), found_[i]);
        };
        attempt(all);
        next_ += static_cast<Index>(round_.size());
        round_.clear();
        if (failure_ && !team_.several_ranks()) std::rethrow_exception(failure_);
    }

    /// A failure is kept until the ranks talk; then nothing more is attempted.
    template <class Step>
    void attempt(const Step& step) {
        if (failure_) return;
        try {
            step();
        } catch (...) {
            failure_ = std::current_exception();
        }
    }

    const Team& team_;
    const SweepWork<Record>& work_;
    std::stop_token stop_;
    RoundSize size_;
    Index next_ = 0;                            ///< the first item of the round
    std::vector<std::optional<Record>> round_;  ///< records of the round's items, as far as they are known
    std::vector<std::size_t> missing_, share_;  ///< places in the round to be computed: by all, and by this rank
    std::vector<bool> found_;
    std::exception_ptr failure_;
};

}  // namespace ntk

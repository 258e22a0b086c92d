#include "sweep_rounds.hpp"

#include <ntkcuda/progress.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <thread>

namespace ntk {

void Team::meet(const std::vector<DeviceInfo>& devices) {
    for (const DeviceInfo& device : devices) devices_.push_back(device.id());
    ByteWriter mine;
    mine(devices.size(), devices.front().kind);
    bool alike = std::all_of(devices.begin(), devices.end(), [&](const DeviceInfo& d) { return d.kind == devices.front().kind; });
    std::vector<std::size_t> workers;
    for (const auto& bytes : ranks_->all_gather(mine.bytes())) {
        DeviceKind kind{};
        ByteReader{bytes}(workers.emplace_back(), kind);
        alike = alike && kind == devices.front().kind;
    }
    if (!alike)
        throw Error(ErrorCode::invalid_argument, "workers: some are CPUs and some CUDA devices, whose bits differ: take one kind for all");
    const std::size_t most = *std::max_element(workers.begin(), workers.end());
    for (std::size_t worker = 0; worker < most; ++worker)
        for (std::size_t rank = 0; rank < workers.size(); ++rank)
            if (worker < workers[rank]) owners_.push_back(static_cast<int>(rank));
}

std::vector<std::size_t> Team::share(const std::vector<std::size_t>& items) const {
    std::vector<std::size_t> mine;
    for (std::size_t i = 0; i < items.size(); ++i)
        if (owners_[i % owners_.size()] == ranks_->rank()) mine.push_back(items[i]);
    return mine;
}

void Team::compute(const std::vector<std::size_t>& items, const std::stop_token& stop,
                   const std::function<void(std::size_t, std::size_t, const std::stop_token&)>& work) const {
    std::stop_source end;
    const std::stop_callback requested(stop, [&] { end.request_stop(); });
    std::atomic<std::size_t> next = 0;
    std::mutex mutex;
    std::exception_ptr failure;
    const auto run = [&](std::size_t worker) {
        try {
            for (std::size_t i = next++; i < items.size(); i = next++) {
                Progress<>(stop).check();
                if (end.stop_requested()) return;
                work(worker, items[i], end.get_token());
            }
        } catch (...) {
            const std::lock_guard lock(mutex);
            if (!failure) failure = failure_of(worker);
            end.request_stop();
        }
    };
    {
        std::vector<std::jthread> threads;  // a worker without an item needs none
        for (std::size_t worker = 1; worker < std::min(here(), items.size()); ++worker) threads.emplace_back(run, worker);
        run(0);
    }
    if (failure) std::rethrow_exception(failure);
}

std::exception_ptr Team::failure_of(std::size_t worker) const {
    if (here() > 1) try {
            throw;
        } catch (const Error& error) {
            if (error.code() != ErrorCode::cancelled)
                return std::make_exception_ptr(Error(error.code(), devices_[worker] + ": " + error.what()));
        } catch (...) {  // nothing to add to it
        }
    return std::current_exception();
}

void RoundSize::adapt(double seconds) {
    constexpr double short_round = 0.25, long_round = 2;
    constexpr std::size_t most_each = 16;  // their records wait in memory
    if (workers_ == 1) return;
    if (seconds < short_round && each_ < most_each) each_ *= 2;
    if (seconds > long_round && each_ > 1) each_ /= 2;
}

std::optional<RankFailure> describe_failure(const std::exception_ptr& failure, const Ranks& ranks) {
    if (!failure) return std::nullopt;
    const auto said = [&](ErrorCode code, const char* message) {
        return RankFailure{code, fmt::format("rank {}: {}", ranks.rank(), message)};
    };
    try {
        std::rethrow_exception(failure);
    } catch (const Error& error) {
        return said(error.code(), error.what());
    } catch (const std::bad_alloc&) {
        return said(ErrorCode::out_of_memory, "the host is out of memory");
    } catch (const std::exception& error) {
        return said(ErrorCode::device_failure, error.what());
    } catch (...) {
        return said(ErrorCode::device_failure, "unknown failure");
    }
}

}  // namespace ntk

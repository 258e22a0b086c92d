#pragma once

// How far long work is: on a terminal a bar that is kept up to date also between two steps, a line now and then in a file or pipe.

#include <ntkcuda/matrix.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>

namespace ntk::cli {

class ProgressBar {
public:
    struct Timing {
        double after = 2, bar_every = 0.2, line_every = 10;  ///< seconds; shorter work than `after` shows nothing
    };

    /// `what` is counted: "networks". Without steps it shows the time taken so far.
    ProgressBar(std::string what, bool silent, std::FILE* to, Timing timing);
    ProgressBar(std::string what, bool silent, std::FILE* to = stderr) : ProgressBar(std::move(what), silent, to, Timing()) {}
    /// Erases the bar; in a file or pipe says how long all of it took.
    ~ProgressBar();
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    void operator()(Index done, Index total);
    /// With an estimate of one's own of the seconds that are left.
    void operator()(Index done, Index total, double left);
    /// What is counted from here on.
    void rename(std::string what);
    /// Makes room for a line of something else.
    void erase();
    [[nodiscard]] double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

private:
    using Clock = std::chrono::steady_clock;

    void set(Index done, Index total);
    /// Steps a second; 0 while nothing is known.
    [[nodiscard]] double rate() const;
    void keep_showing(const std::stop_token& stop);
    void show();
    void wipe();
    [[nodiscard]] std::string status() const;

    std::FILE* const to_;
    const bool terminal_;
    const Timing timing_;
    const Clock::time_point start_ = Clock::now();

    std::mutex mutex_;  ///< of what follows
    std::string what_;
    std::condition_variable_any changed_;
    Index done_ = 0, total_ = 0, first_done_ = 0;
    double first_at_ = -1;          ///< when first_done_ were done: the rate is measured from there
    double left_ = 0, set_at_ = 0;  ///< seconds that were left, and when
    std::size_t width_ = 0;         ///< of the bar on the terminal
    std::jthread shower_;
};

}  // namespace ntk::cli

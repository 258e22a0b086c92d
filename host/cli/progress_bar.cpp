#include "progress_bar.hpp"

#include "terminal.hpp"
#include "units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace ntk::cli {

ProgressBar::ProgressBar(std::string what, bool silent, std::FILE* to, Timing timing)
    : to_(to), terminal_(is_terminal(to)), timing_(timing), what_(std::move(what)) {
    if (!silent) try {
            shower_ = std::jthread([this](const std::stop_token& stop) { keep_showing(stop); });
        } catch (const std::system_error&) {  // no thread to be had: the work goes on unwatched
        }
}

ProgressBar::~ProgressBar() {
    if (!shower_.joinable()) return;
    shower_.request_stop();
    shower_.join();
    wipe();
    if (!terminal_ && total_ > 0 && done_ == total_ && elapsed() >= timing_.after)
        std::fputs(fmt::format("{} {}/{} in {}\n", what_, done_, total_, readable_time(elapsed())).c_str(), to_);
}

void ProgressBar::operator()(Index done, Index total) {
    const std::lock_guard lock(mutex_);
    set(done, total);
    left_ = rate() > 0 ? static_cast<double>(total - done) / rate() : 0;
}

void ProgressBar::operator()(Index done, Index total, double left) {
    const std::lock_guard lock(mutex_);
    set(done, total);
    left_ = left;
}

void ProgressBar::set(Index done, Index total) {
    done_ = done;
    total_ = total;
    set_at_ = elapsed();
    // What is there at once was found, not made.
    if (first_at_ >= 0 && set_at_ > timing_.after / 4) return;
    first_done_ = done;
    first_at_ = set_at_;
}

double ProgressBar::rate() const {
    if (done_ > first_done_) return static_cast<double>(done_ - first_done_) / (set_at_ - first_at_);
    return done_ > 0 && first_at_ > timing_.after / 4 ? 1 / set_at_ : 0;  // of the first step
}

void ProgressBar::rename(std::string what) {
    const std::lock_guard lock(mutex_);
    what_ = std::move(what);
}

void ProgressBar::erase() {
    const std::lock_guard lock(mutex_);
    wipe();
}

void ProgressBar::keep_showing(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    const auto never = [] { return false; };
    const auto wait = [&](double seconds) { changed_.wait_for(lock, stop, std::chrono::duration<double>(seconds), never); };
    wait(terminal_ ? timing_.after : std::max(timing_.after, timing_.line_every));
    while (!stop.stop_requested()) {
        show();
        wait(terminal_ ? timing_.bar_every : timing_.line_every);
    }
}

void ProgressBar::show() {
    if (!terminal_) {
        std::fputs((status() + "\n").c_str(), to_);
        return;
    }
    constexpr Index length = 30;
    const Index filled = total_ > 0 ? std::clamp<Index>(done_ * length / total_, 0, length) : 0;
    std::string bar =
        total_ > 0 ? fmt::format("[{:<{}}] {}", std::string(static_cast<std::size_t>(filled), '#'), length, status()) : status();
    const std::size_t before = std::exchange(width_, bar.size());
    bar.resize(std::max(before, bar.size()), ' ');  // over what is left of a longer one
    std::fputs(("\r" + bar).c_str(), to_);
    std::fflush(to_);
}

void ProgressBar::wipe() {
    if (width_ == 0) return;
    std::fputs(("\r" + std::string(std::exchange(width_, 0), ' ') + "\r").c_str(), to_);
    std::fflush(to_);
}

std::string ProgressBar::status() const {
    const double now = elapsed();
    if (total_ == 0) return fmt::format("{}, {} so far", what_, readable_time(now));
    if (rate() == 0) return fmt::format("{} {}/{}, {} so far", what_, done_, total_, readable_time(now));
    return fmt::format("{} {}/{}, {}, about {} left", what_, done_, total_, readable_rate(rate()),
                       readable_time(std::max(0.0, left_ - (now - set_at_))));
}

}  // namespace ntk::cli

#include "progress_bar.hpp"

#include "terminal.hpp"
#include "units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace ntk::cli {

ProgressBar::ProgressBar(std::string what, bool silent, std::FILE* to, Timing timing)
    : what_(std::move(what)), to_(to), terminal_(is_terminal(to)), timing_(timing) {
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
    if (first_ < 0) first_ = done - 1;
    set(done, total, elapsed() / static_cast<double>(std::max<Index>(1, done - first_)) * static_cast<double>(total - done));
}

void ProgressBar::operator()(Index done, Index total, double left) {
    const std::lock_guard lock(mutex_);
    if (first_ < 0) first_ = 0;
    set(done, total, left);
}

void ProgressBar::set(Index done, Index total, double left) {
    done_ = done;
    total_ = total;
    left_ = left;
    set_at_ = elapsed();
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
    const Index steps = done_ - first_;
    if (total_ == 0) return fmt::format("{}, {} so far", what_, readable_time(now));
    if (done_ == 0 || steps <= 0) return fmt::format("{} {}/{}, {} so far", what_, done_, total_, readable_time(now));
    return fmt::format("{} {}/{}, {}, about {} left", what_, done_, total_, readable_rate(static_cast<double>(steps) / set_at_),
                       readable_time(std::max(0.0, left_ - (now - set_at_))));
}

}  // namespace ntk::cli

#pragma once

/// \file progress.hpp
/// How long work says how far it is, and how it is ended early: the argument `progress` of empirical_ntk, compare, ensemble, depth_limit,
/// how_deep and verify.

#include <ntkcuda/error.hpp>

#include <concepts>
#include <functional>
#include <stop_token>
#include <utility>

namespace ntk {

/// A callable that is told how far the work is, a stop token, both or neither:
///
///     compare(backend, train, test, options, [](Index done, Index total) { .. });
///     compare(backend, train, test, options, {[](Index done, Index total) { .. }, stop.get_token()});
///     compare(backend, train, test, options, stop.get_token());
///
/// The callable runs now and then, one call at a time, and delays the work as long as it takes. It may request the stop itself. Once a stop
/// is requested, by any thread, the work ends at its next step with Error(cancelled): what was saved in a store stays, and the same
/// call goes on from there.
template <class... Where>
class Progress {
public:
    Progress() = default;
    template <std::invocable<Where...> Report>
    Progress(Report report, std::stop_token stop = {})  // NOLINT(google-explicit-constructor): a lambda is passed as it is
        : report_(std::move(report)), stop_(std::move(stop)) {}
    Progress(std::stop_token stop) : stop_(std::move(stop)) {}  // NOLINT(google-explicit-constructor)

    /// Says how far the work is.
    void operator()(Where... where) const {
        if (report_) report_(where...);
    }
    /// Throws Error(cancelled) if a stop is requested: called before each step.
    void check() const {
        if (stop_.stop_requested()) throw Error(ErrorCode::cancelled, "stopped before the end, as requested");
    }
    [[nodiscard]] const std::stop_token& stop() const { return stop_; }

private:
    std::function<void(Where...)> report_;
    std::stop_token stop_;
};

}  // namespace ntk

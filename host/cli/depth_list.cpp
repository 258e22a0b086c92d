#include "depth_list.hpp"

#include "value_list.hpp"

#include <ntkcuda/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace ntk::cli {
namespace {

constexpr Index most_layers = 1'000'000'000, most_per_decade = 1000;

Error bad(const std::string& text, const std::string& why) {
    return {ErrorCode::invalid_argument,
            fmt::format("--depths '{}': {}; expected depths such as 1,2,5,10 or 1,2,5,..,1e6 or 1:1e6:log (five a decade)", text, why)};
}

Index parse_depth(const std::string& text, const std::string& item) {
    double value = 0;
    const auto [stop, error] = std::from_chars(item.data(), item.data() + item.size(), value);
    if (error != std::errc{} || stop != item.data() + item.size() || !(value >= 1) || value > static_cast<double>(most_layers) ||
        value != std::rint(value))
        throw bad(text, fmt::format("'{}' is not a whole number from 1 to {}", item, most_layers));
    return static_cast<Index>(value);
}

/// The next of 1, 2, 5, 10, 20, 50, .. after `depth`.
Index next_step(Index depth) {
    for (Index decade = 1;; decade *= 10)
        for (const Index step : {1, 2, 5})
            if (step * decade > depth) return step * decade;
}

void add_logarithmic(const std::string& text, const std::vector<std::string>& range, std::vector<Index>& depths) {
    if (range.size() < 3 || range.size() > 4 || range[2] != "log") throw bad(text, "a range is FIRST:LAST:log or FIRST:LAST:log:N");
    const Index first = parse_depth(text, range[0]), last = parse_depth(text, range[1]);
    const Index per_decade = range.size() == 4 ? parse_depth(text, range[3]) : 5;
    if (per_decade > most_per_decade)
        throw bad(text, fmt::format("{} depths a decade, and at most {} are taken", per_decade, most_per_decade));
    if (last < first) throw bad(text, fmt::format("the range {}:{} is empty", range[0], range[1]));
    const double step = 1 / static_cast<double>(per_decade), start = std::log10(static_cast<double>(first));
    for (Index k = 0;; ++k) {
        const auto depth = static_cast<Index>(std::llround(std::pow(10, start + static_cast<double>(k) * step)));
        if (depth >= last) break;
        depths.push_back(depth);
    }
    depths.push_back(last);
}

}  // namespace

std::vector<Index> parse_depths(const std::string& text) {
    std::vector<Index> depths;
    bool go_on = false;  // after ".."
    for (const std::string& item : fields(text, ',')) {
        if (item == "..") {
            if (depths.empty()) throw bad(text, "'..' needs a depth before it");
            go_on = true;
            continue;
        }
        if (item.find(':') != std::string::npos) {
            add_logarithmic(text, fields(item, ':'), depths);
            continue;
        }
        const Index depth = parse_depth(text, item);
        if (go_on)
            for (Index between = next_step(depths.back()); between < depth; between = next_step(between)) depths.push_back(between);
        depths.push_back(depth);
        go_on = false;
    }
    if (depths.empty()) throw bad(text, "no depth is given");
    if (go_on) throw bad(text, "'..' needs a depth after it");
    std::sort(depths.begin(), depths.end());
    depths.erase(std::unique(depths.begin(), depths.end()), depths.end());
    return depths;
}

}  // namespace ntk::cli

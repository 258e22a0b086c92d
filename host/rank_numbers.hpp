#pragma once

// Numbers that every rank has one of.

#include <ntkcuda/ranks.hpp>

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

namespace ntk {

/// One number of every rank, on every rank.
template <class Number>
[[nodiscard]] std::vector<Number> of_every_rank(Ranks& all, Number own) {
    std::vector<Number> numbers;
    for (const auto& bytes : all.all_gather(std::as_bytes(std::span(&own, 1))))
        std::memcpy(&numbers.emplace_back(), bytes.data(), sizeof own);
    return numbers;
}

[[nodiscard]] inline double largest_of_ranks(Ranks& all, double own) {
    const std::vector<double> numbers = of_every_rank(all, own);
    return *std::max_element(numbers.begin(), numbers.end());
}
[[nodiscard]] inline double smallest_of_ranks(Ranks& all, double own) {
    const std::vector<double> numbers = of_every_rank(all, own);
    return *std::min_element(numbers.begin(), numbers.end());
}

}  // namespace ntk

#pragma once

#include <ntkcuda/backend.hpp>
#include <ntkcuda/formulas/entry_facts.hpp>

#include <cmath>

namespace ntk {

/// The facts about all entries, as a backend gives them.
inline EntrySummary entry_summary(const formulas::EntryFacts& facts) {
    EntrySummary summary;
    summary.count = facts.count;
    summary.min = facts.smallest.value;
    summary.max = facts.largest.value;
    summary.sum = facts.sum.total();
    summary.sum_of_squares = facts.squares.total();
    summary.max_abs = std::fabs(std::fabs(summary.min) > std::fabs(summary.max) ? summary.min : summary.max);
    summary.min_row = facts.smallest.row;
    summary.min_col = facts.smallest.col;
    summary.max_row = facts.largest.row;
    summary.max_col = facts.largest.col;
    return summary;
}

}  // namespace ntk

#pragma once

/// \file formulas/entry_facts.hpp
/// What is known of some entries of a matrix, and of the union of two such sets.

#include <ntkcuda/formulas/double_double.hpp>
#include <ntkcuda/formulas/macros.hpp>

#include <cmath>
#include <cstdint>

namespace ntk::formulas {

/// An entry that is the smallest or largest of some.
struct ExtremeEntry {
    double value = 0;
    std::int64_t row = 0, col = 0;
};

/// Whether `a` is the extreme of the two: NaN before everything, of equal ones the first in row-major order.
NTK_HD bool is_extreme(const ExtremeEntry& a, const ExtremeEntry& b, bool largest) {
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan) return a_nan;
    if (!a_nan && a.value != b.value) return (a.value > b.value) == largest;
    return a.row != b.row ? a.row < b.row : a.col < b.col;
}

/// A sum with the running sum of its rounding errors (theory: Ogita, Rump, Oishi 2005): as if summed with twice the digits.
struct CompensatedSum {
    double sum = 0, errors = 0;
    NTK_HD void add(const CompensatedSum& other) {
        const DoubleDouble exact = exact_sum(sum, other.sum);
        sum = exact.hi;
        errors = (errors + other.errors) + exact.lo;
    }
    /// An overflow has no error to add: its terms are NaN.
    NTK_HD double total() const { return fabs(sum) <= 0x1.fffffffffffffp1023 ? sum + errors : sum; }
};

struct EntryFacts {
    std::int64_t count = 0;
    ExtremeEntry smallest, largest;
    CompensatedSum sum, squares;

    NTK_HD static EntryFacts of(double value, std::int64_t row, std::int64_t col) {
        return {1, {value, row, col}, {value, row, col}, {value, 0}, {value * value, 0}};
    }
    NTK_HD void join(const EntryFacts& other) {
        if (other.count == 0) return;
        if (count == 0 || is_extreme(other.smallest, smallest, false)) smallest = other.smallest;
        if (count == 0 || is_extreme(other.largest, largest, true)) largest = other.largest;
        count += other.count;
        sum.add(other.sum);
        squares.add(other.squares);
    }
};

}  // namespace ntk::formulas

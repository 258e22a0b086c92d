#pragma once

/// \file formulas/power_sums.hpp
/// Mean and sums of central powers of some numbers, and of the union of two such sets (Chan, Golub, LeVeque 1983; Pebay 2008).

#include <ntkcuda/formulas/macros.hpp>

#include <cstdint>

namespace ntk::formulas {

/// Of no numbers: count 0, and nothing else counts.
struct PowerSums {
    std::int64_t count = 0;
    double mean = 0;
    double second = 0, third = 0, fourth = 0;  ///< sum of (x - mean)^p
    double smallest = 0, largest = 0;          ///< both NaN if a number is

    NTK_HD void join(const PowerSums& other) {
        if (other.count == 0) return;
        if (count == 0) {
            *this = other;
            return;
        }
        const double total = static_cast<double>(count + other.count), a = static_cast<double>(count) / total,
                     b = static_cast<double>(other.count) / total;
        const double d = other.mean - mean, weight = static_cast<double>(count) * b, weighted = weight * d * d;
        fourth += other.fourth + weighted * d * d * (a * a - a * b + b * b) + 6 * d * d * (a * a * other.second + b * b * second) +
                  4 * d * (a * other.third - b * third);
        third += other.third + weighted * d * (a - b) + 3 * d * (a * other.second - b * second);
        second += other.second + weighted;
        mean += d * b;
        smallest = other.smallest < smallest || other.smallest != other.smallest ? other.smallest : smallest;
        largest = other.largest > largest || other.largest != other.largest ? other.largest : largest;
        count += other.count;
    }
};

/// What a pass over numbers x gathers, given a pivot near their mean: power sums of x - pivot.
struct PivotSums {
    double first = 0, second = 0, third = 0, fourth = 0;
    double smallest = 0, largest = 0;
    double not_a_number = 0;  ///< 0, or NaN

    NTK_HD void add(double pivot, double x) {
        const double d = x - pivot, square = d * d;
        first += d;
        second += square;
        third += square * d;
        fourth += square * square;
        smallest = x < smallest ? x : smallest;
        largest = x > largest ? x : largest;
        not_a_number += x == x ? 0 : x;
    }
};

/// The sums about the mean itself, which differs from the pivot by a rounding error.
NTK_HD PowerSums about_mean(std::int64_t count, double pivot, const PivotSums& sums) {
    const double n = static_cast<double>(count), c = sums.first / n;
    return {count,
            pivot + c,
            sums.second - n * c * c,
            sums.third - c * (3 * sums.second - 2 * n * c * c),
            sums.fourth - c * (4 * sums.third - c * (6 * sums.second - 3 * n * c * c)),
            sums.smallest + sums.not_a_number,
            sums.largest + sums.not_a_number};
}

/// Rows of the strips in which the columns of a rows x cols matrix are looked at before the strips are joined in order: no more strips
/// than work for all processors needs, and about as many strips as rows of a strip.
NTK_HD std::int64_t moment_strip(std::int64_t rows, std::int64_t cols) {
    constexpr std::int64_t least = 32, enough = std::int64_t{1} << 16;
    std::int64_t strip = least;
    while (strip < rows && (strip < rows / strip || strip < rows * cols / enough)) strip *= 2;
    return strip;
}

}  // namespace ntk::formulas

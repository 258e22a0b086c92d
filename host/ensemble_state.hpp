#pragma once

// The state of an ensemble as one row of numbers: networks, columns, products, histograms; the moments; centres and moments of the pairs;
// of each histogram the number of bins, then bin and count of each.

#include <ntkcuda/ensemble.hpp>

#include <string>
#include <vector>

namespace ntk {

[[nodiscard]] std::vector<double> to_numbers(const EnsembleState& state);
/// The reverse. Throws Error(io), naming the source, for numbers that are no such state.
[[nodiscard]] EnsembleState from_numbers(const std::vector<double>& numbers, const std::string& source);

}  // namespace ntk

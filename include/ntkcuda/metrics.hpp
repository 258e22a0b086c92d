#pragma once

/// \file metrics.hpp
/// How good predictions are.

#include <ntkcuda/data.hpp>

namespace ntk {

/// Share of rows of `predicted` (n x classes) whose largest entry (the first of equal ones) is the sample's label.
[[nodiscard]] double accuracy(const HostMatrix<double>& predicted, const Dataset& truth);
/// sqrt(mean over samples and targets of squared error).
[[nodiscard]] double rmse(const HostMatrix<double>& predicted, const HostMatrix<double>& truth);

}  // namespace ntk

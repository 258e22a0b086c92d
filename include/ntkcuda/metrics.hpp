#pragma once

/// \file metrics.hpp
/// How good predictions are.

#include <ntkcuda/data.hpp>

namespace ntk {

/// The column of the largest entry of a row, the first of equal ones. Throws Error(invalid_argument) if an entry is not a number.
[[nodiscard]] Index predicted_class(const HostMatrix<double>& predicted, Index row);
/// Share of rows of `predicted` (n x classes) whose predicted class is the sample's label.
[[nodiscard]] double accuracy(const HostMatrix<double>& predicted, const Dataset& truth);
/// sqrt(mean over samples and targets of squared error).
[[nodiscard]] double rmse(const HostMatrix<double>& predicted, const HostMatrix<double>& truth);

}  // namespace ntk

#pragma once

// Sums over the ranks of what is in memory of a backend.

#include <ntkcuda/matrix.hpp>
#include <ntkcuda/backend.hpp>
#include <ntkcuda/ranks.hpp>

#include <span>

namespace ntk {

/// Every entry becomes its sum over the ranks; through the host, and nothing where there is one rank.
template <class Real>
void sum_over_ranks(Ranks& ranks, Matrix<Real>& matrix) {
    if (ranks.size() == 1 || matrix.empty()) return;
    HostMatrix<Real> values = download(matrix);
    ranks.sum(std::span<Real>(values.data(), static_cast<std::size_t>(values.size())));
    matrix.backend()->upload(values.view(), matrix.view());
    matrix.backend()->synchronize();  // the host values go
}

}  // namespace ntk

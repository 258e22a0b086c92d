#pragma once

#include <ntkcuda/formulas/power_sums.hpp>
#include <ntkcuda/matrix.hpp>

namespace ntk {

/// The moments of all columns, as Backend::column_moments gives them.
inline HostMatrix<double> moment_table(const formulas::PowerSums* columns, Index cols) {
    HostMatrix<double> table(6, cols);
    for (Index j = 0; j < cols; ++j) {
        const formulas::PowerSums& column = columns[j];
        const double moments[] = {column.mean, column.second, column.third, column.fourth, column.smallest, column.largest};
        for (Index k = 0; k < 6; ++k) table(k, j) = moments[k];
    }
    return table;
}

inline void require_rows_for_moments(Index rows) {
    if (rows == 0) throw Error(ErrorCode::invalid_argument, "column_moments: a matrix without rows has no moments");
}

}  // namespace ntk

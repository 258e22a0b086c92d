#include "row_norm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ntk {

void rescale_rows(HostMatrix<double>& x, double norm, const std::string& source) {
    for (Index i = 0; i < x.rows(); ++i) {
        double* row = x.data() + i * x.cols();
        double largest = 0;
        for (Index j = 0; j < x.cols(); ++j) {
            if (!std::isfinite(row[j]))
                throw Error(ErrorCode::invalid_argument, fmt::format("{}: sample {} (counted from 1) has a NaN or Inf", source, i + 1));
            largest = std::max(largest, std::abs(row[j]));
        }
        if (largest == 0)
            throw Error(
                ErrorCode::invalid_argument,
                fmt::format("{}: sample {} (counted from 1) is zero, so that it cannot be rescaled to norm {}: drop it, or normalize "
                            "by standardize or none",
                            source, i + 1, norm));
        const int exponent = std::ilogb(largest);  // a power of two: exact
        double square = 0;
        for (Index j = 0; j < x.cols(); ++j) {
            row[j] = std::scalbn(row[j], -exponent);
            square += row[j] * row[j];
        }
        const double factor = norm / std::sqrt(square);
        for (Index j = 0; j < x.cols(); ++j) row[j] *= factor;
    }
}

}  // namespace ntk

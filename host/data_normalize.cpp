#include <ntkcuda/data.hpp>

#include "row_norm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace ntk {
namespace {

constexpr std::array<std::pair<const char*, Normalization>, 4> names{{{"sphere", Normalization::sphere},
                                                                      {"unit", Normalization::unit},
                                                                      {"standardize", Normalization::standardize},
                                                                      {"none", Normalization::none}}};

/// How a column is standardized. It is brought to magnitude 1 first, by a power of two (squares then neither overflow nor underflow), and
/// shifted by its first training value (so that a mean far from zero costs no digits).
struct Column {
    int exponent = 0;
    double shift = 0, mean = 0, deviation = 0;

    [[nodiscard]] double shifted(double x) const { return std::scalbn(x, -exponent) - shift; }
    /// Constant columns, of deviation 0, become 0.
    [[nodiscard]] double standardized(double x) const { return deviation == 0 ? 0 : (shifted(x) - mean) / deviation; }
};

std::vector<Column> column_statistics(const HostMatrix<double>& x) {
    const auto columns = static_cast<std::size_t>(x.cols());
    const auto n = static_cast<double>(x.rows());
    const auto for_all = [&](auto&& work) {
        for (Index i = 0; i < x.rows(); ++i)
            for (std::size_t j = 0; j < columns; ++j) work(j, x(i, static_cast<Index>(j)));
    };
    std::vector<double> largest(columns);
    for_all([&](std::size_t j, double value) { largest[j] = std::max(largest[j], std::abs(value)); });
    std::vector<Column> result(columns);
    for (std::size_t j = 0; j < columns; ++j) {
        if (largest[j] > 0) result[j].exponent = std::ilogb(largest[j]);
        result[j].shift = std::scalbn(x(0, static_cast<Index>(j)), -result[j].exponent);
    }
    for_all([&](std::size_t j, double value) { result[j].mean += result[j].shifted(value) / n; });
    for_all([&](std::size_t j, double value) {
        // Exactly 0 for all values of a constant column: shift and mean are then exact.
        const double offset = result[j].shifted(value) - result[j].mean;
        result[j].deviation += offset * offset / n;
    });
    for (Column& column : result) column.deviation = std::sqrt(column.deviation);
    return result;
}

void standardize(const std::vector<Column>& columns, Dataset& data) {
    for (Index i = 0; i < data.samples(); ++i) {
        for (Index j = 0; j < data.features(); ++j) {
            double& value = data.x(i, j);
            value = columns[static_cast<std::size_t>(j)].standardized(value);
            if (!std::isfinite(value))
                throw Error(
                    ErrorCode::invalid_argument,
                    fmt::format("{}: feature {} of sample {} (counted from 1) is not finite, or too far from the training samples to be "
                                "standardized in float64",
                                data.source, j + 1, i + 1));
        }
    }
}

}  // namespace

void normalize(Normalization normalization, Dataset& train, Dataset* test) {
    if (test && test->features() != train.features())
        throw Error(ErrorCode::shape_mismatch, fmt::format("{} has {} features and {} has {}: training and test samples must have as many",
                                                           train.source, train.features(), test->source, test->features()));
    if (train.x.empty()) throw Error(ErrorCode::invalid_argument, "normalize: no samples");
    switch (normalization) {
        case Normalization::none:
            return;
        case Normalization::standardize: {
            const std::vector<Column> columns = column_statistics(train.x);
            standardize(columns, train);
            if (test) standardize(columns, *test);
            return;
        }
        case Normalization::sphere:
        case Normalization::unit: {
            const double norm = normalization == Normalization::unit ? 1 : std::sqrt(static_cast<double>(train.features()));
            rescale_rows(train.x, norm, train.source);
            if (test) rescale_rows(test->x, norm, test->source);
            return;
        }
    }
}

Normalization parse_normalization(const std::string& name) {
    for (const auto& [text, normalization] : names)
        if (name == text) return normalization;
    throw Error(ErrorCode::invalid_argument, fmt::format("unknown normalization '{}': expected sphere, unit, standardize or none", name));
}

std::string to_string(Normalization normalization) {
    for (const auto& [text, value] : names)
        if (normalization == value) return text;
    throw Error(ErrorCode::invalid_argument, fmt::format("no normalization has the number {}", static_cast<int>(normalization)));
}

}  // namespace ntk

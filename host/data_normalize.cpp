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

HostMatrix<double> as_matrix(const std::vector<Column>& columns) {
    const auto count = static_cast<Index>(columns.size());
    HostMatrix<double> result(4, count);
    for (Index j = 0; j < count; ++j) {
        const Column& column = columns[static_cast<std::size_t>(j)];
        result(0, j) = column.exponent;
        result(1, j) = column.shift;
        result(2, j) = column.mean;
        result(3, j) = column.deviation;
    }
    return result;
}

void standardize(const HostMatrix<double>& statistics, Dataset& data) {
    std::vector<Column> columns;
    for (Index j = 0; j < data.features(); ++j)
        columns.push_back({static_cast<int>(statistics(0, j)), statistics(1, j), statistics(2, j), statistics(3, j)});
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

Normalizer make_normalizer(Normalization normalization, const Dataset& train) {
    if (train.x.empty()) throw Error(ErrorCode::invalid_argument, "normalize: no samples");
    return {normalization, train.features(),
            normalization == Normalization::standardize ? as_matrix(column_statistics(train.x)) : HostMatrix<double>()};
}

void Normalizer::apply(Dataset& data) const {
    if (data.features() != features)
        throw Error(ErrorCode::shape_mismatch, fmt::format("{} has {} features and the training samples have {}: both must have as many",
                                                           data.source, data.features(), features));
    switch (normalization) {
        case Normalization::none:
            return;
        case Normalization::standardize:
            return standardize(columns, data);
        case Normalization::sphere:
            return rescale_rows(data.x, std::sqrt(static_cast<double>(features)), data.source);
        case Normalization::unit:
            return rescale_rows(data.x, 1, data.source);
    }
}

void normalize(Normalization normalization, Dataset& train, Dataset* test) {
    if (test && test->features() != train.features())
        throw Error(ErrorCode::shape_mismatch, fmt::format("{} has {} features and {} has {}: training and test samples must have as many",
                                                           train.source, train.features(), test->source, test->features()));
    const Normalizer normalizer = make_normalizer(normalization, train);
    normalizer.apply(train);
    if (test) normalizer.apply(*test);
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

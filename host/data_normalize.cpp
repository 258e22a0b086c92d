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

/// x -> (x * 2^-exponent - mean) / deviation of each column; constant columns (deviation 0) become 0.
struct ColumnMap {
    std::vector<int>
        exponent;  // columns are brought to magnitude 1 first: squares neither overflow nor underflow, and the scaling is exact
    std::vector<double> mean, deviation;
};

ColumnMap column_map(const HostMatrix<double>& x) {
    const auto columns = static_cast<std::size_t>(x.cols());
    std::vector<double> least(x.data(), x.data() + x.cols()), most = least;
    for (Index i = 1; i < x.rows(); ++i) {
        for (std::size_t j = 0; j < columns; ++j) {
            const double value = x(i, static_cast<Index>(j));
            least[j] = std::min(least[j], value);
            most[j] = std::max(most[j], value);
        }
    }
    ColumnMap map{std::vector<int>(columns), std::vector<double>(columns), std::vector<double>(columns)};
    for (std::size_t j = 0; j < columns; ++j) {
        const double largest = std::max(std::abs(least[j]), std::abs(most[j]));
        if (largest > 0) map.exponent[j] = std::ilogb(largest);
    }
    const auto scaled = [&](Index i, std::size_t j) { return std::scalbn(x(i, static_cast<Index>(j)), -map.exponent[j]); };
    const auto n = static_cast<double>(x.rows());
    const auto add_mean_offset = [&] {
        const std::vector<double> centre = map.mean;
        for (Index i = 0; i < x.rows(); ++i)
            for (std::size_t j = 0; j < columns; ++j) map.mean[j] += (scaled(i, j) - centre[j]) / n;
    };
    add_mean_offset();
    add_mean_offset();  // again, for what the first sum lost to rounding
    for (Index i = 0; i < x.rows(); ++i) {
        for (std::size_t j = 0; j < columns; ++j) {
            const double offset = scaled(i, j) - map.mean[j];
            map.deviation[j] += offset * offset;
        }
    }
    for (std::size_t j = 0; j < columns; ++j) map.deviation[j] = least[j] == most[j] ? 0 : std::sqrt(map.deviation[j] / n);
    return map;
}

void apply(const ColumnMap& map, Dataset& data) {
    for (Index i = 0; i < data.samples(); ++i) {
        for (Index j = 0; j < data.features(); ++j) {
            const auto c = static_cast<std::size_t>(j);
            double& value = data.x(i, j);
            value = map.deviation[c] == 0 ? 0 : (std::scalbn(value, -map.exponent[c]) - map.mean[c]) / map.deviation[c];
            if (!std::isfinite(value))
                throw Error(
                    ErrorCode::invalid_argument,
                    fmt::format(
                        "{}: feature {} of sample {} (counted from 1) is too far from the training samples to be standardized in float64",
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
            const ColumnMap map = column_map(train.x);
            apply(map, train);
            if (test) apply(map, *test);
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

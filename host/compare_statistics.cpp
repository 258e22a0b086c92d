#include "compare_statistics.hpp"

#include <algorithm>
#include <cmath>

namespace ntk {
namespace {

double dot(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return sum;
}

/// Standard error of an estimate from its values with one of S observations left out.
double jackknife(const std::vector<double>& left_out) {
    const auto count = static_cast<double>(left_out.size());
    double mean = 0, squares = 0;
    for (const double value : left_out) mean += value / count;
    for (const double value : left_out) squares += (value - mean) * (value - mean);
    return std::sqrt((count - 1) / count * squares);
}

}  // namespace

ErrorSplit split_error(const std::vector<std::vector<float>>& errors) {
    const std::size_t count = errors.size();
    const auto s = static_cast<double>(count);
    std::vector<double> square(count), with_others(count);  // <E_s, E_s> and sum_{t != s} <E_s, E_t>
    for (std::size_t i = 0; i < count; ++i) {
        square[i] = dot(errors[i], errors[i]);
        for (std::size_t j = 0; j < i; ++j) {
            const double product = dot(errors[i], errors[j]);
            with_others[i] += product;
            with_others[j] += product;
        }
    }
    double squares = 0, products = 0;
    for (std::size_t i = 0; i < count; ++i) {
        squares += square[i];
        products += with_others[i];
    }
    ErrorSplit split;
    split.bias.value = products / (s * (s - 1));
    split.fluctuation.value = squares / s - split.bias.value;
    std::vector<double> bias(count), fluctuation(count);
    for (std::size_t i = 0; i < count; ++i) {
        bias[i] = (products - 2 * with_others[i]) / ((s - 1) * (s - 2));
        fluctuation[i] = (squares - square[i]) / (s - 1) - bias[i];
    }
    split.bias.standard_error = jackknife(bias);
    split.fluctuation.standard_error = jackknife(fluctuation);
    return split;
}

Spread spread(const std::vector<double>& values) {
    const auto count = static_cast<double>(values.size());
    Spread result;
    result.count = static_cast<Index>(values.size());
    for (const double value : values) result.mean += value / count;
    double squares = 0;
    for (const double value : values) squares += (value - result.mean) * (value - result.mean);
    result.deviation = std::sqrt(squares / (count - 1));
    result.standard_error = result.deviation / std::sqrt(count);
    return result;
}

KernelError summarize(const std::vector<double>& relative, const std::vector<double>& largest,
                      const std::vector<std::vector<float>>& samples) {
    KernelError error;
    error.relative = spread(relative);
    error.largest = spread(largest);
    const ErrorSplit split = split_error(samples);
    error.bias_squared = split.bias.value;
    error.bias_squared_error = split.bias.standard_error;
    error.bias = split.bias.value > 0 ? std::sqrt(split.bias.value) : 0;
    error.bias_resolved = split.bias.value > 2 * split.bias.standard_error;
    error.bias_error = error.bias_resolved ? split.bias.standard_error / (2 * error.bias) : std::sqrt(2 * split.bias.standard_error);
    error.fluctuation = std::sqrt(std::max(0.0, split.fluctuation.value));  // a sample variance: below 0 only by rounding of an exact 0
    error.fluctuation_error = error.fluctuation > 0 ? split.fluctuation.standard_error / (2 * error.fluctuation) : 0;
    return error;
}

SquaredEstimate diagonal_variance(const std::vector<NetworkRecord>& records, bool known_mean) {
    if (known_mean) {
        std::vector<double> squares;
        for (const NetworkRecord& record : records) squares.push_back(record.errors.diagonal_square);
        const Spread square = spread(squares);
        return {square.mean, square.standard_error};
    }
    std::vector<std::vector<float>> diagonals;
    for (const NetworkRecord& record : records) diagonals.push_back(record.diagonal);
    const SquaredEstimate variance = split_error(diagonals).fluctuation;
    const auto samples = static_cast<double>(diagonals.front().size());
    return {variance.value / samples, variance.standard_error / samples};
}

std::optional<double> CompareCell::diagonal_z() const {
    if (!diagonal_variance_exact || lambda() > heavy_tail_lambda || !(diagonal_variance_error > 0)) return std::nullopt;
    return (diagonal_variance - *diagonal_variance_exact) / diagonal_variance_error;
}

std::optional<Slope> fit_slope(const std::vector<SlopePoint>& points) {
    struct Point {
        double x, y, weight;
    };
    std::vector<Point> line;
    double total = 0, x_mean = 0, y_mean = 0;
    for (const SlopePoint& p : points) {
        if (!(p.error > 0) || !(p.standard_error > 0)) continue;
        const double relative = p.standard_error / p.error;  // the standard error of the logarithm
        line.push_back({std::log(p.width), std::log(p.error), 1 / (relative * relative)});
        total += line.back().weight;
        x_mean += line.back().weight * line.back().x;
        y_mean += line.back().weight * line.back().y;
    }
    if (line.size() < 2) return std::nullopt;
    x_mean /= total;
    y_mean /= total;
    double xx = 0, xy = 0;
    for (const Point& p : line) {
        xx += p.weight * (p.x - x_mean) * (p.x - x_mean);
        xy += p.weight * (p.x - x_mean) * (p.y - y_mean);
    }
    return Slope{xy / xx, 1 / std::sqrt(xx), static_cast<Index>(line.size())};
}

}  // namespace ntk

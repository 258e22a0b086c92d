#include <ntkcuda/exact_moments.hpp>

#include <ntkcuda/error.hpp>

#include <fmt/format.h>

#include <cmath>

namespace ntk {
namespace {

void require_domain(const Architecture& architecture) {
    architecture.validate();
    if (has_exact_moments(architecture)) return;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("exact moments of the diagonal are known for activation relu, the ntk parametrization and bias_std 0, not for "
                            "activation {}, the {} parametrization and bias_std {}",
                            to_string(architecture.activation), architecture.parametrization == Parametrization::ntk ? "ntk" : "standard",
                            architecture.bias_std));
}

/// term(0) + term(1) + .. until a term no longer counts.
template <class Term>
double sum_series(Term term) {
    double sum = 0;
    for (int k = 0;; ++k) {
        const double value = term(k), next = sum + value;
        if (next == sum) return sum;
        sum = next;
    }
}

/// (1 - e^{-x} - x + x^2/2) / x^3 = 1/3! - x/4! + x^2/5! - ..
double exponential_remainder(double x) {
    if (x >= 1) return (-std::expm1(-x) - x + x * x / 2) / (x * x * x);
    double power = 1.0 / 6;
    return sum_series([&](int k) { return k == 0 ? power : power *= -x / (k + 3); });
}

/// e^{-x} [e^x (x^2 + 2 x - 6) + 6 + 4 x] / x^3, the bracket being sum_{k >= 3} x^k (k - 2)(k + 3) / k!
double mixed_growth(double x) {
    if (x >= 1) return (x * x + 2 * x - 6 + std::exp(-x) * (6 + 4 * x)) / (x * x * x);
    double power = 1.0 / 6;
    return std::exp(-x) * sum_series([&](int k) { return (k == 0 ? power : power *= x / (k + 3)) * (k + 1) * (k + 6); });
}

}  // namespace

bool has_exact_moments(const Architecture& architecture) {
    return architecture.activation == Activation{} && architecture.parametrization == Parametrization::ntk && architecture.bias_std == 0;
}

double diagonal_mean(const Architecture& architecture, double squared_norm) {
    require_domain(architecture);
    if (!(squared_norm >= 0) || !std::isfinite(squared_norm))
        throw Error(ErrorCode::invalid_argument, fmt::format("squared_norm must be 0 or more and finite, not {}", squared_norm));
    const double weight_variance = architecture.weight_std * architecture.weight_std;
    const auto depth = static_cast<double>(architecture.depth());
    const double mean =
        depth * weight_variance * squared_norm / static_cast<double>(architecture.inputs) * std::pow(weight_variance / 2, depth - 1);
    if (squared_norm > 0 && !std::isnormal(mean))
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("the mean of the diagonal at depth {} with weight_std {} is outside the range of a double: choose "
                                "weight_std sqrt(2), where it is {} times the first layer's",
                                architecture.depth(), architecture.weight_std, architecture.depth()));
    return mean;
}

DiagonalMoments diagonal_moments(const Architecture& architecture) {
    require_domain(architecture);
    // What a, b and E are above their infinite-width values 1, l and l^2, so that nothing is subtracted at the end.
    double a = 0, b = 0, c = 0, e = 0, f = 0;
    for (std::size_t i = 0; i < architecture.hidden.size(); ++i) {
        const auto l = static_cast<double>(i + 1), n = static_cast<double>(architecture.hidden[i]);
        const double a_next = a + 5 * (1 + a) / n;
        const double b_grown = b + (l + b + 4 * c) / n;
        const double c_next = c + (2 * (l + b) + 3 * c) / n;
        const double e_next = a_next + 2 * b_grown + e + (l * l + e + 4 * f) / n;
        f += (2 * (l * l + e) + 3 * f) / n;
        e = e_next;
        b = a_next + b_grown;
        c = c_next;
        a = a_next;
    }
    const double squared_mean = std::pow(static_cast<double>(architecture.depth()), 2);
    return {e / squared_mean, f / squared_mean};
}

double depth_over_width(const Architecture& architecture) {
    double lambda = 0;
    for (const Index width : architecture.hidden) lambda += 1 / static_cast<double>(width);
    return lambda;
}

DiagonalMoments depth_width_moments(double lambda) {
    if (!(lambda >= 0) || !std::isfinite(lambda))
        throw Error(ErrorCode::invalid_argument, fmt::format("lambda must be 0 or more and finite, not {}", lambda));
    const double x = 6 * lambda, growth = std::exp(5 * lambda);
    if (std::isinf(growth)) return {growth, growth};
    const double variance = std::expm1(5 * lambda) - 8 * lambda * growth * exponential_remainder(x);
    const double mixed = 2 * lambda * growth * mixed_growth(x) / 3;
    return {variance - 2 * mixed, mixed};
}

}  // namespace ntk

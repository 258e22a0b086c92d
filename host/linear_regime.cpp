#include <ntkcuda/linear_regime.hpp>

#include <algorithm>
#include <cmath>

namespace ntk {
namespace {

/// A share of 1 - K that no digit shows any more.
constexpr long double negligible = 1e-20L;

}  // namespace

ScaledNumber::ScaledNumber(long double value, std::int64_t shift) {
    int own = 0;
    mantissa = std::frexp(value, &own);
    exponent = mantissa == 0 ? 0 : shift + own;
}

ScaledNumber ScaledNumber::root() const {
    const auto odd = static_cast<int>(exponent & 1);  // an odd exponent gives half of itself to the mantissa
    return {std::sqrt(std::ldexp(mantissa, odd)), (exponent - odd) / 2};
}

long double ScaledNumber::over(std::int64_t shift) const {
    constexpr std::int64_t least = -20000;  // ldexp takes an int; long double has underflown long before
    return std::ldexp(mantissa, static_cast<int>(std::max(exponent - shift, least)));
}

ScaledNumber operator*(const ScaledNumber& a, const ScaledNumber& b) { return {a.mantissa * b.mantissa, a.exponent + b.exponent}; }

ScaledNumber operator+(const ScaledNumber& a, const ScaledNumber& b) {
    if (a.mantissa == 0) return b;
    if (b.mantissa == 0) return a;
    const std::int64_t top = std::max(a.exponent, b.exponent);
    return {a.over(top) + b.over(top), top};
}

bool operator<(const ScaledNumber& a, const ScaledNumber& b) {
    if (a.mantissa == 0 || b.mantissa == 0) return b.mantissa > 0;
    return a.exponent != b.exponent ? a.exponent < b.exponent : a.mantissa < b.mantissa;
}

void LinearRegime::advance(const SphereLayer& layer) {
    const DualAtOne& dual = layer.dual.at_one();
    const ScaledNumber bent = (power_ == 1 ? correlation_ : correlation_.root()) * dual.bend;
    alpha_ = alpha_ * layer.tangent_carry;
    beta_ = (beta_ + bent) * layer.tangent_carry;
    // Where there is a kink, 1 - rho itself is smaller than its root by more than all digits.
    if (power_ == 1) beta_ = beta_ + correlation_ * (layer.tangent_weight * dual.derivative);
    correlation_ = correlation_ * (layer.weight * dual.derivative);
}

long double LinearRegime::limiting_shape(long double correlation_below_one) const {
    return kernel_ == InfiniteKernel::ntk && power_ != 1 ? std::sqrt(correlation_below_one) : correlation_below_one;
}

ScaledNumber LinearRegime::below_one(long double correlation_below_one, long double tangent_below_one) const {
    const long double shape = limiting_shape(correlation_below_one);
    return kernel_ == InfiniteKernel::nngp ? correlation_ * shape : alpha_ * tangent_below_one + beta_ * shape;
}

bool LinearRegime::reached_limit(long double correlation_below_one, long double tangent_below_one) const {
    if (kernel_ == InfiniteKernel::nngp) return true;
    const ScaledNumber fading = alpha_ * tangent_below_one;
    return fading.mantissa == 0 || fading < beta_ * (negligible * limiting_shape(correlation_below_one));
}

}  // namespace ntk

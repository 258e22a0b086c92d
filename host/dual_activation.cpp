#include <ntkcuda/dual_activation.hpp>

#include <ntkcuda/error.hpp>

#include "text_number.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <numbers>

namespace ntk {
namespace {

constexpr long double pi = std::numbers::pi_v<long double>;

/// sin t - t cos t for t in [0, pi], from t and its sine and cosine; by its series where the difference would cancel.
long double arc_bracket(long double t, long double sine, long double cosine) {
    if (t >= 0.5L) return sine - t * cosine;
    const long double square = t * t;
    long double power = t, sum = 0;  // sum_{k>=1} (-1)^(k+1) 2k/(2k+1)! t^(2k+1)
    for (int k = 1; k < 12; ++k) {
        power *= square / (2 * k * (2 * k + 1));
        sum += (k % 2 == 1 ? 2 * k : -2 * k) * power;
    }
    return sum;
}

/// Values of the even or the odd part of sum_k c_k r^k at r = 1 - below: the part itself, and what it falls short of its value at 1,
///     p(1) - p(r) = (1 - r) sum_j r^j sum_{k>j} c_k.
struct PolynomialPart {
    long double value = 0, shortfall = 0;
};

/// `weight(k)`: the coefficient of r^k.
template <class Weight>
PolynomialPart part(std::size_t count, std::size_t parity, long double r, long double below, const Weight& weight) {
    PolynomialPart p;
    long double tail = 0;
    for (std::size_t k = count; k-- > 0;) {
        p.shortfall = p.shortfall * r + tail;
        const long double c = k % 2 == parity ? weight(k) : 0;
        p.value = p.value * r + c;
        tail += c;
    }
    p.shortfall *= below;
    return p;
}

/// A power series with coefficients >= 0 at a correlation of either sign, divided by its value at 1.
template <class Weight>
SphereCorrelation series(std::size_t count, const SphereCorrelation& c, const Weight& weight) {
    const bool positive = c.rho >= 0;
    const long double r = positive ? c.rho : -c.rho, below = positive ? c.below_one : c.above_minus_one;
    const PolynomialPart even = part(count, 0, r, below, weight), odd = part(count, 1, r, below, weight);
    const long double at_one = even.value + even.shortfall + odd.value + odd.shortfall;
    const long double odd_sum = 2 * odd.value + odd.shortfall;  // odd(1) + odd(r)
    return {(positive ? even.value + odd.value : even.value - odd.value) / at_one,
            (even.shortfall + (positive ? odd.shortfall : odd_sum)) / at_one,
            (2 * even.value + even.shortfall + (positive ? odd_sum : odd.shortfall)) / at_one};
}

}  // namespace

SphereImage DualLayer::rectifier_image(const SphereCorrelation& c) const {
    // With phi = pi - theta beyond a right angle: sin theta - theta cos theta = pi cos phi + (sin phi - phi cos phi).
    const bool acute = c.rho >= 0;
    const long double size = acute ? c.rho : -c.rho, near = acute ? c.below_one : c.above_minus_one;
    const long double sine = std::sqrt(c.below_one * c.above_minus_one), angle = std::atan2(sine, size);
    const long double turned = bend_ / pi * angle, bracket = bend_ / pi * arc_bracket(angle, sine, size);
    if (acute) return {{c.rho + bracket, c.below_one - bracket, c.above_minus_one + bracket}, 1 - turned, turned};
    return {{(bend_ - 1) * size + bracket, near + (2 - bend_) * size - bracket, near + bend_ * size + bracket},
            (1 - bend_) + turned,
            bend_ - turned};
}

SphereImage DualLayer::erf_image(const SphereCorrelation& c) const {
    // beta = asin(s |rho|); sin(alpha - beta) = s (1 - rho^2) / (cos beta + |rho| cos alpha).
    const long double size = std::fabs(c.rho), spread = c.below_one * c.above_minus_one;
    const long double cosine = std::sqrt(cosine_ * cosine_ + sine_ * sine_ * spread), sine = sine_ * size;
    const long double near = std::atan2(sine_ * spread / (cosine + size * cosine_), cosine_ * cosine + sine_ * sine) / angle_;
    const long double value = std::atan2(sine, cosine) / angle_, far = near + 2 * value;
    const long double slope_below_one = sine_ * sine_ * spread / ((cosine + cosine_) * cosine);
    if (c.rho >= 0) return {{value, near, far}, cosine_ / cosine, slope_below_one};
    return {{-value, far, near}, cosine_ / cosine, slope_below_one};
}

SphereImage DualLayer::hermite_image(const SphereCorrelation& c) const {
    const auto& coefficients = *coefficients_;
    const SphereCorrelation value = series(coefficients.size(), c, [&](std::size_t k) { return coefficients[k]; });
    const SphereCorrelation slope =
        series(coefficients.size() - 1, c, [&](std::size_t k) { return static_cast<long double>(k + 1) * coefficients[k + 1]; });
    return {value, slope.rho, slope.below_one};
}

SphereImage DualLayer::image(const SphereCorrelation& c) const {
    switch (kind_) {
        case Kind::rectifier:
            return rectifier_image(c);
        case Kind::erf:
            return erf_image(c);
        case Kind::hermite:
            break;
    }
    return hermite_image(c);
}

DualActivation::DualActivation(const Activation& activation) : activation_(activation) {}

DualActivation DualActivation::hermite(std::vector<double> squared_coefficients) {
    DualActivation dual;
    for (std::size_t k = 0; k < squared_coefficients.size(); ++k) {
        const double c = squared_coefficients[k];
        if (!(c >= 0) || !std::isfinite(c))
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("hermite: coefficient c_{} is {}: expected finite squares of Hermite coefficients, >= 0", k, c));
        dual.coefficients_.push_back(c);
        dual.coefficient_sum_ += c;
        dual.slope_sum_ += static_cast<long double>(k) * c;
    }
    if (!(dual.slope_sum_ > 0))
        throw Error(ErrorCode::invalid_argument, "hermite: a coefficient c_k with k >= 1 must be positive; a constant dual has no kernel");
    return dual;
}

std::string DualActivation::name() const {
    if (coefficients_.empty()) return to_string(activation_);
    std::vector<double> plain(coefficients_.begin(), coefficients_.end());
    return fmt::format("hermite:{}", fmt::join(plain, ","));
}

namespace {
/// E[phi^2] = E[phi'^2] = (1 + a^2)/2 at variance 1, of phi(z) = z for z > 0, a z otherwise.
long double slope_of(const Activation& activation) { return activation.kind == Activation::Kind::abs ? -1 : activation.slope; }
}  // namespace

long double DualActivation::second_moment(long double q) const {
    if (!coefficients_.empty()) return coefficient_sum_ * q;
    if (activation_.kind == Activation::Kind::erf) return 2 / pi * std::atan2(2 * q, std::sqrt(1 + 4 * q));
    const long double a = slope_of(activation_);
    return (1 + a * a) / 2 * q;
}

long double DualActivation::slope_second_moment(long double q) const {
    if (!coefficients_.empty()) return slope_sum_;
    if (activation_.kind == Activation::Kind::erf) return 4 / pi / std::sqrt(1 + 4 * q);
    const long double a = slope_of(activation_);
    return (1 + a * a) / 2;
}

DualLayer DualActivation::at(long double q) const& {
    DualLayer layer;
    if (!coefficients_.empty()) {
        layer.kind_ = DualLayer::Kind::hermite;
        layer.coefficients_ = &coefficients_;
        long double curvature = 0;
        for (std::size_t k = 2; k < coefficients_.size(); ++k) curvature += static_cast<long double>(k * (k - 1)) * coefficients_[k];
        layer.at_one_ = {slope_sum_ / coefficient_sum_, curvature / slope_sum_, 1};
    } else if (activation_.kind == Activation::Kind::erf) {
        const long double shifted = 1 + 2 * q, root = std::sqrt(1 + 4 * q);
        layer.kind_ = DualLayer::Kind::erf;
        layer.sine_ = 2 * q / shifted;
        layer.cosine_ = root / shifted;
        layer.angle_ = std::atan2(2 * q, root);
        const long double tangent = 2 * q / root;
        layer.at_one_ = {tangent / layer.angle_, tangent * tangent, 1};
    } else {
        const long double a = slope_of(activation_);
        layer.bend_ = (1 - a) * (1 - a) / (1 + a * a);
        layer.at_one_ = {1, layer.bend_ * std::sqrt(2.0L) / pi, layer.bend_ > 0 ? 0.5 : 1};
    }
    return layer;
}

DualActivation parse_dual_activation(const std::string& name) {
    const std::string prefix = "hermite:";
    if (name.rfind(prefix, 0) != 0) return parse_activation(name);
    std::vector<double> coefficients;
    for (std::size_t at = prefix.size(); at <= name.size();) {
        const std::size_t end = std::min(name.find(',', at), name.size());
        const std::string field = name.substr(at, end - at);
        double number = 0;
        const NumberText kind = parse_number(field, number);
        if (kind != NumberText::number)
            throw Error(ErrorCode::invalid_argument, fmt::format("activation '{}': coefficient {} is {}; expected hermite:c0,c1,...", name,
                                                                 coefficients.size(), describe_bad_number(kind, field)));
        coefficients.push_back(number);
        at = end + 1;
    }
    return DualActivation::hermite(std::move(coefficients));
}

}  // namespace ntk

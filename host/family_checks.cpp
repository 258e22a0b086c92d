#include <ntkcuda/depth_regime.hpp>

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <numbers>

namespace ntk {
namespace {

constexpr long double rounding = 64 * std::numeric_limits<long double>::epsilon();

/// The least value of something over a grid, and where.
struct Least {
    long double value = std::numeric_limits<long double>::infinity(), rho = 0;
    void offer(long double candidate, long double at) {
        if (!(candidate < value)) return;
        value = candidate;
        rho = at;
    }
    [[nodiscard]] std::string text(const char* what) const {
        return fmt::format("least {} on the grid {:.3g}, at rho = {:.6g}", what, static_cast<double>(value), static_cast<double>(rho));
    }
};

/// How kappa'(1) s - (1 - kappa(1 - s)) falls with s: power and coefficient of the integral of 1 - slope, from 1 - slope itself.
FamilyCheck departure(const DualLayer& dual) {
    const auto shortfall = [&](long double s) { return dual.image({1 - s, s, 2 - s}).slope_below_one; };
    const DualAtOne& one = dual.at_one();
    if (one.bend <= rounding) {  // also where the variance tends to 0
        const long double worst = std::fabs(shortfall(1e-6L));
        return {"kappa is linear: 1 - kappa(1 - s) = kappa'(1) s", worst <= rounding,
                fmt::format("1 - slope at s = 1e-6 is {:.3g}", static_cast<double>(worst))};
    }
    const long double s = 1e-9L, near = shortfall(s), far = shortfall(4 * s);
    const double power = static_cast<double>(std::log(far / near) / std::log(4.0L));
    const double coefficient = static_cast<double>(near / std::pow(s, static_cast<long double>(power)) / (power + 1));
    const double expected = static_cast<double>(one.bend) / (one.power + 1);
    return {fmt::format("1 - kappa(1 - s) = kappa'(1) (s - b s^{} + ...) as s -> 0, {}, b = {:.6g}", one.power + 1,
                        one.power < 1 ? "a kink" : "smooth", expected),
            std::fabs(power - one.power) < 1e-4 && std::fabs(coefficient / expected - 1) < 1e-3,
            fmt::format("exponent {:.6f}, b = {:.6g}, at s = 1e-9", power + 1, coefficient)};
}

}  // namespace

std::vector<FamilyCheck> check_family(const KernelFamily& family, const RegimeReport& report) {
    family.validate();
    const long double variance = family.dual.homogeneous() ? 1 : std::max<long double>(report.variance_limit, 1e-1000L);
    const DualLayer dual = family.dual.at(variance);
    std::vector<FamilyCheck> checks;

    const SphereImage at_one = dual.image({1, 0, 2});
    const long double off = std::fabs(at_one.value.rho - 1) + std::fabs(at_one.value.below_one);
    checks.push_back({"kappa(1) = 1", off <= rounding, fmt::format("|kappa(1) - 1| = {:.3g}", static_cast<double>(off))});
    checks.push_back({"the slope of a layer at 1 is at most 1 (no pair is driven apart)", report.regime != Regime::chaotic,
                      fmt::format("chi = {:.9g}, kappa'(1) = {:.9g}", report.chi, static_cast<double>(dual.at_one().derivative))});
    checks.push_back(departure(dual));

    // Equal steps of angle, and of its logarithm near 0, where kinks are.
    Least slope_right, slope_everywhere, bend_right;
    constexpr int nodes = 1000;
    SphereImage before{};
    for (int i = 0; i <= 2 * nodes; ++i) {
        const long double angle = i <= nodes
                                      ? std::pow(10.0L, -8 + 8 * static_cast<long double>(i) / nodes) * std::numbers::pi_v<long double> / 2
                                      : std::numbers::pi_v<long double> / 2 * (1 + static_cast<long double>(i - nodes) / nodes);
        const SphereCorrelation c = i == nodes       ? SphereCorrelation{0, 1, 1}
                                    : i == 2 * nodes ? SphereCorrelation{-1, 2, 0}
                                                     : cosine_of(std::tan(angle / 2));
        const SphereImage image = dual.image(c);
        slope_everywhere.offer(image.slope, c.rho);
        if (i <= nodes) {
            slope_right.offer(image.slope, c.rho);
            if (i > 0) bend_right.offer(image.slope_below_one - before.slope_below_one, c.rho);
        }
        before = image;
    }
    checks.push_back({"kappa is increasing on [0, 1]", slope_right.value >= 0, slope_right.text("slope")});
    checks.push_back({"kappa is increasing on [-1, 1]", slope_everywhere.value >= 0, slope_everywhere.text("slope")});
    checks.push_back({"kappa is convex on [0, 1]", bend_right.value >= -rounding, bend_right.text("increase of the slope between nodes")});
    return checks;
}

}  // namespace ntk

#include <ntkcuda/depth_rate.hpp>

#include <fmt/format.h>

#include <cmath>
#include <vector>

namespace ntk {
namespace {

struct Point {
    double depth, log_distance;
};

FittedRate fit(const std::vector<Point>& points, const DepthRate& form) {
    // ln distance = intercept + slope t, after the prefactor is taken out.
    const bool exponential = form.kind == DepthRate::Kind::exponential, algebraic = form.kind == DepthRate::Kind::algebraic;
    const auto abscissa = [&](double depth) { return exponential ? depth : algebraic ? std::log(depth) : std::log(std::log(depth)); };
    const auto ordinate = [&](const Point& p) {
        return p.log_distance - form.prefactor * (exponential ? std::log(p.depth) : algebraic ? std::log(std::log(p.depth)) : 0);
    };
    const double count = static_cast<double>(points.size());
    double mean_t = 0, mean_y = 0, tt = 0, ty = 0, squares = 0;
    for (const Point& p : points) {
        mean_t += abscissa(p.depth) / count;
        mean_y += ordinate(p) / count;
    }
    for (const Point& p : points) {
        tt += (abscissa(p.depth) - mean_t) * (abscissa(p.depth) - mean_t);
        ty += (abscissa(p.depth) - mean_t) * (ordinate(p) - mean_y);
    }
    const double slope = ty / tt;
    for (const Point& p : points) {
        const double error = ordinate(p) - mean_y - slope * (abscissa(p.depth) - mean_t);
        squares += error * error;
    }
    FittedRate fitted{form, std::sqrt(squares / count), static_cast<Index>(points.front().depth), static_cast<Index>(points.back().depth)};
    fitted.rate.value = exponential ? std::exp(slope) : -slope;
    fitted.rate.coefficient = std::exp(mean_y - slope * mean_t);
    return fitted;
}

}  // namespace

std::string to_string(const DepthRate& rate) {
    const std::string coefficient = rate.coefficient ? fmt::format("{:.6g}", *rate.coefficient) : "C";
    const auto power = [](std::string of, double exponent) {
        if (exponent == 1) return of;
        return fmt::format("{}^{:.6g}", of == "L" ? of : "(" + of + ")", exponent);
    };
    switch (rate.kind) {
        case DepthRate::Kind::exponential:
            return fmt::format("{} {}{:.6g}^L", coefficient, rate.prefactor == 0 ? "" : power("L", rate.prefactor) + " ", rate.value);
        case DepthRate::Kind::algebraic:
            if (rate.prefactor < 0) return fmt::format("{} / ({} {})", coefficient, power("L", rate.value), power("ln L", -rate.prefactor));
            return fmt::format("{} {}/ {}", coefficient, rate.prefactor == 0 ? "" : power("ln L", rate.prefactor) + " ",
                               power("L", rate.value));
        case DepthRate::Kind::logarithmic:
            return fmt::format("{} / {}", coefficient, power("ln L", rate.value));
    }
    throw Error(ErrorCode::invalid_argument, "a rate of no known kind");
}

std::optional<FittedRate> fit_rate(std::span<const Index> depths, std::span<const long double> distances,
                                   const std::optional<DepthRate>& form) {
    if (depths.size() != distances.size())
        throw Error(ErrorCode::invalid_argument, fmt::format("fit_rate: {} depths but {} distances", depths.size(), distances.size()));
    Index last = 0;
    for (std::size_t i = 0; i < depths.size(); ++i)
        if (distances[i] > 0) last = depths[i];
    std::vector<Point> points;
    for (std::size_t i = 0; i < depths.size(); ++i)
        if (depths[i] > 1 && depths[i] >= last / 10 && distances[i] > 0)
            points.push_back({static_cast<double>(depths[i]), static_cast<double>(std::log(distances[i]))});
    if (points.size() < 3) return std::nullopt;
    if (form) return fit(points, *form);
    const FittedRate exponential = fit(points, {DepthRate::Kind::exponential}), algebraic = fit(points, {DepthRate::Kind::algebraic});
    return exponential.residual < algebraic.residual ? exponential : algebraic;
}

}  // namespace ntk

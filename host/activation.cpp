#include <ntkcuda/activation.hpp>

#include <ntkcuda/error.hpp>

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace ntk {

Activation parse_activation(const std::string& name) {
    using Kind = Activation::Kind;
    if (name == "relu") return {Kind::leaky_relu, 0};
    if (name == "abs") return {Kind::abs, 0};
    if (name == "erf") return {Kind::erf, 0};
    if (constexpr std::string_view prefix = "leaky_relu:"; name.starts_with(prefix)) {
        double slope = 0;
        const char* end = name.data() + name.size();
        const auto [stop, error] = std::from_chars(name.data() + prefix.size(), end, slope);
        if (error == std::errc{} && stop == end && std::isfinite(slope)) return {Kind::leaky_relu, slope};
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("activation '{}': the slope after 'leaky_relu:' must be a finite number, as in leaky_relu:0.1", name));
    }
    throw Error(ErrorCode::invalid_argument,
                fmt::format("unknown activation '{}': expected relu, leaky_relu:SLOPE (as in leaky_relu:0.1), abs or erf", name));
}

std::string to_string(const Activation& activation) {
    switch (activation.kind) {
        case Activation::Kind::leaky_relu:
            return activation.slope == 0 ? "relu" : fmt::format("leaky_relu:{}", activation.slope);
        case Activation::Kind::abs:
            return "abs";
        case Activation::Kind::erf:
            return "erf";
    }
    throw Error(ErrorCode::invalid_argument, "an activation of no known kind");
}

}  // namespace ntk

#pragma once

/// \file activation.hpp
/// Activation functions by name.

#include <string>

namespace ntk {

/// phi and its parameter. relu = leaky_relu:0, abs = leaky_relu:-1; phi'(0) is taken from the left (0 for ReLU), except abs: 0.
struct Activation {
    enum class Kind { leaky_relu, abs, erf };
    Kind kind = Kind::leaky_relu;
    double slope = 0;  ///< leaky_relu only: phi(z) = z for z > 0, slope * z otherwise

    friend bool operator==(const Activation&, const Activation&) = default;
};

/// "relu", "leaky_relu:0.1", "abs" or "erf". Throws Error(invalid_argument) with the list of names.
[[nodiscard]] Activation parse_activation(const std::string& name);
/// The name that parses back to the same activation.
[[nodiscard]] std::string to_string(const Activation& activation);

}  // namespace ntk

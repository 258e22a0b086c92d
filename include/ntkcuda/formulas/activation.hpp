#pragma once

/// \file formulas/activation.hpp
/// phi and phi' at one point, in float64.

#include <ntkcuda/activation.hpp>
#include <ntkcuda/formulas/macros.hpp>

#include <cmath>

namespace ntk::formulas {

/// phi(z). A NaN stays a NaN.
NTK_HD double activation(Activation::Kind kind, double slope, double z) {
    switch (kind) {
        case Activation::Kind::leaky_relu:
            return z > 0 ? z : slope * z;
        case Activation::Kind::abs:
            return fabs(z);
        case Activation::Kind::erf:
            return erf(z);
    }
    return z;
}

/// phi'(z), at a kink as activation.hpp says.
NTK_HD double activation_slope(Activation::Kind kind, double slope, double z) {
    constexpr double two_over_sqrt_pi = 1.1283791670955125739;
    switch (kind) {
        case Activation::Kind::leaky_relu:
            return z > 0 ? 1 : slope;
        case Activation::Kind::abs:
            return z > 0 ? 1 : z < 0 ? -1 : 0;
        case Activation::Kind::erf:
            return two_over_sqrt_pi * exp(-z * z);
    }
    return z;
}

}  // namespace ntk::formulas

// An activation that the library does not know, by its Hermite coefficients: its regime at depth, and its kernel at any depth.
#include <ntkcuda/ntkcuda.hpp>

#include <cmath>
#include <cstdio>

int main() {
    // phi = (h_1 + h_2) / sqrt(2): E[phi(u) phi(v)] = (rho + rho^2) / 2 for standard normals of correlation rho.
    const ntk::KernelFamily family{
        .dual = ntk::DualActivation::hermite({0, 0.5, 0.5}), .weight_std = 1, .kernel = ntk::InfiniteKernel::nngp};
    const auto regime = ntk::analyze_regime(family, /*mean_square=*/1);
    std::printf("%s\n", regime.statement.c_str());

    // Two samples at an angle of 60 degrees, layer by layer, beside the formula.
    ntk::SphereSample sample(family, 1);
    auto pair = ntk::first_pair(sample.next(), ntk::cosine_of(std::tan(std::acos(0.5L) / 2)));
    long double rho = 0.5L;
    for (int layer = 2; layer <= 20; ++layer) {
        pair = ntk::next_pair(sample.next(), pair);
        rho = (rho + rho * rho) / 2;
    }
    std::printf("correlation at depth 20: %.6Le, by the formula %.6Le\n", pair.correlation.rho, rho);
    return regime.regime == ntk::Regime::chaotic && std::fabs(pair.correlation.rho / rho - 1) < 1e-12L ? 0 : 1;
}

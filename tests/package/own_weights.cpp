// The tangent kernel of a network with weights of one's own, between samples in one's own memory, into one's own memory: no copies.
#include <ntkcuda/ntkcuda.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

int main() {
    // f(x) = sum_j v_j relu(w_j x), and three samples that are the first two columns of a wider table.
    const ntk::Weights weights{.weights = {{3, 2, {1, -2, 0.5, 1, -1, 0.25}}, {1, 3, {2, -1, 0.5}}}, .biases = {}};
    const std::array<double, 12> table{1, 2, 9, 9, -1, 0.5, 9, 9, 0.3, -0.7, 9, 9};
    std::array<double, 9> theta{};

    auto backend = ntk::make_backend<double>("cpu");
    const auto net = ntk::architecture_of(weights, {.parametrization = ntk::Parametrization::standard});
    ntk::empirical_ntk_into(ntk::view(theta, 3, 3), ntk::make_network(backend, net, weights), ntk::view(table, 3, 2, /*stride=*/4));

    // Theta(x, x') = sum_j relu(w_j x) relu(w_j x') + v_j^2 relu'(w_j x) relu'(w_j x') <x, x'>
    double error = 0;
    for (int i = 0; i < 3; ++i)
        for (int k = 0; k < 3; ++k) {
            const double *x = &table[4 * i], *z = &table[4 * k];
            double expected = 0;
            for (int j = 0; j < 3; ++j) {
                const auto &w = weights.weights[0], &v = weights.weights[1];
                const double a = w(j, 0) * x[0] + w(j, 1) * x[1], b = w(j, 0) * z[0] + w(j, 1) * z[1];
                if (a > 0 && b > 0) expected += a * b + v(0, j) * v(0, j) * (x[0] * z[0] + x[1] * z[1]);
            }
            error = std::max(error, std::abs(theta[3 * i + k] - expected));
        }
    std::printf("tangent kernel of three given units: %.1e from the formula\n", error);
    return error < 1e-14 ? 0 : 1;
}

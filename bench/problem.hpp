#pragma once

// The networks and inputs that the benchmarks share: ReLU, one output, samples on the sphere.

#include <ntkcuda/backend.hpp>
#include <ntkcuda/network.hpp>

namespace ntk::bench {

inline Architecture relu_network(Index inputs, Index width, Index depth) {
    Architecture architecture;
    architecture.inputs = inputs;
    architecture.hidden.assign(static_cast<std::size_t>(depth - 1), width);
    return architecture;
}

/// n normal samples; of each seed its own.
template <class Real>
Matrix<Real> normal_samples(const std::shared_ptr<Backend<Real>>& backend, Index n, Index features, std::uint64_t seed = 1) {
    Matrix<Real> x(backend, n, features);
    backend->draw_normals({seed, 0, data_stream}, 1, x.view());
    return x;
}

/// Flops of the forward and backward passes over n samples, one output.
inline double pass_flops(const Architecture& architecture, Index n) {
    double flops = 0;
    for (Index l = 1; l <= architecture.depth(); ++l) {
        const double products = 2.0 * static_cast<double>(architecture.width(l - 1) * architecture.width(l));
        flops += l > 1 && l < architecture.depth() ? 2 * products : products;  // forward; backward from the last hidden layer to the first
    }
    return static_cast<double>(n) * flops;
}

/// Flops of the empirical NTK of one output between n1 and n2 samples (n2 = 0: the symmetric one of n1, each pair once).
inline double ntk_flops(const Architecture& architecture, Index n1, Index n2 = 0) {
    double gram = 0;
    for (Index l = 1; l <= architecture.depth(); ++l) {
        gram += static_cast<double>(architecture.width(l - 1));                            // <a, a'>, half of its flops
        if (l < architecture.depth()) gram += static_cast<double>(architecture.width(l));  // <delta, delta'>
    }
    const double a = static_cast<double>(n1), b = static_cast<double>(n2);
    return pass_flops(architecture, n1 + n2) + (n2 == 0 ? a * a : 2 * a * b) * gram;
}

}  // namespace ntk::bench

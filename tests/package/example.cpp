#include <ntkcuda/ntkcuda.hpp>

#include <cstdio>

int main() {
    // From data to the closed-form solution of the infinite-width limit, on samples it has not seen.
    auto backend = ntk::make_backend<double>("auto");
    auto [train, test] = ntk::split(ntk::load_data({.source = "digits", .samples = 500}), 0.8, /*seed=*/1);
    ntk::normalize(ntk::Normalization::sphere, train, &test);
    auto x = ntk::upload(backend, train.x), z = ntk::upload(backend, test.x), y = ntk::upload(backend, train.y);
    ntk::Architecture net{.inputs = train.features(), .hidden = {512, 512}};
    auto predicted = ntk::download(ntk::KernelSystem(ntk::infinite_width_kernel(net, ntk::InfiniteKernel::ntk, x), /*ridge=*/0)
                                       .predict(ntk::infinite_width_kernel(net, ntk::InfiniteKernel::ntk, z, x), y));

    // A finite network's tangent kernel, beside the limit it has as the width grows.
    auto finite = ntk::empirical_ntk(ntk::draw_network(backend, net, /*seed=*/1), x);
    auto limit = ntk::infinite_width_kernel(net, ntk::InfiniteKernel::ntk, x);
    double error = backend->difference_norms(finite, limit).frobenius / backend->norms(limit).frobenius;
    std::printf("test accuracy %.1f %%; finite width 512 is %.1f %% from the limit\n", 100 * ntk::accuracy(predicted, test), 100 * error);
    return error > 0 && error < 1 ? 0 : 1;
}

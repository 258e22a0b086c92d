#include <ntkcuda/ntkcuda.hpp>

#include <cstdio>

int main() {
    auto backend = ntk::make_backend<double>("auto");
    auto [train, test] = ntk::split(ntk::load_data({.source = "digits", .samples = 500}), 0.8, 1);
    ntk::normalize(ntk::Normalization::sphere, train, &test);

    ntk::Architecture net{.inputs = train.features(), .hidden = {512, 512}};
    auto x = ntk::upload(backend, train.x), z = ntk::upload(backend, test.x), y = ntk::upload(backend, train.y);

    // A finite network's tangent kernel, beside the limit it has as the width grows.
    auto finite = ntk::empirical_ntk(ntk::draw_network(backend, net, /*seed=*/1), x.view());
    auto limit = ntk::infinite_width_kernel(net, ntk::InfiniteKernel::ntk, x);
    double error = backend->difference_norms(finite.view(), limit.view()).frobenius / backend->norms(limit.view()).frobenius;

    // The closed-form solution of the limit, on samples it has not seen.
    ntk::KernelSystem<double> system(std::move(limit), /*ridge=*/0);
    auto predicted = ntk::download(system.predict(ntk::infinite_width_kernel(net, ntk::InfiniteKernel::ntk, z, x), y));
    std::printf("finite width 512 is %.1f %% from the limit; test accuracy %.1f %%\n", 100 * error, 100 * ntk::accuracy(predicted, test));
    return error > 0 && error < 1 ? 0 : 1;
}

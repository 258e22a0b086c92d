// Many random networks, with a callback that watches and may end the work, and exact theory beside them.
#include <ntkcuda/ntkcuda.hpp>

#include <cmath>
#include <cstdio>

int main() {
    auto backend = ntk::make_backend<double>("auto");
    const ntk::HostMatrix<double> x(2, 2, {1, 0.5, -0.25, 1});
    ntk::EnsembleOptions options;
    options.sampler.architecture = {.inputs = 2, .hidden = {20, 20}};
    options.networks = 200000;

    // Ended early: whoever holds the source may do it, here the callback.
    std::stop_source stop;
    bool cancelled = false;
    try {
        const auto watch = [&](ntk::Index done, ntk::Index total) {
            if (2 * done >= total) stop.request_stop();
        };
        (void)ntk::ensemble(backend, x, options, {watch, stop.get_token()});
    } catch (const ntk::Error& error) {
        cancelled = error.code() == ntk::ErrorCode::cancelled;
        std::printf("%s\n", error.what());
    }

    // To the end.
    ntk::Index calls = 0;
    const auto law = ntk::ensemble(backend, x, options, [&](ntk::Index, ntk::Index) { ++calls; });
    const auto theta = law.at({.row = 0, .column = 0});
    const double exact = ntk::diagonal_mean(options.sampler.architecture, 1.25);
    std::printf("E Theta(x, x) = %.4f +- %.4f, exactly %.4f\n", theta.mean, theta.mean_error, exact);
    return cancelled && calls > 1 && std::abs(theta.mean - exact) < 5 * theta.mean_error ? 0 : 1;
}

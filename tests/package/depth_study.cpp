// What depth does to the kernel of a ReLU network at its critical weight std: predicted, then measured on the digits.
#include <ntkcuda/ntkcuda.hpp>

#include <cstdio>

int main() {
    auto backend = ntk::make_backend<double>("auto");
    auto [train, test] = ntk::split(ntk::load_data({.source = "digits", .samples = 200}), 0.8, 1);
    ntk::normalize(ntk::Normalization::sphere, train, &test);

    ntk::DepthOptions options{.depths = {2, 10, 100, 1000, 10000}};
    const auto regime = ntk::analyze_regime(options.family, /*mean_square=*/1);
    options.off_diagonal_limit = regime.prediction(ntk::InfiniteKernel::ntk).limit;
    options.weight_limit = ntk::WeightLimit::constant;
    std::printf("%s\n", regime.statement.c_str());

    const auto study = ntk::depth_limit(backend, train, &test, options);
    bool approaches = true;
    double last = 2;
    for (const auto& point : study.points) {
        std::printf("depth %5ld: K in %.4f .. %.4f, %.1e from its limit; accuracy %.3f\n", static_cast<long>(point.depth),
                    point.offdiag_min, point.offdiag_max, point.dist_limit, point.score.value());
        approaches = approaches && point.dist_limit < last;
        last = point.dist_limit;
    }
    return approaches && options.off_diagonal_limit == 0.25 && last < 0.01 ? 0 : 1;
}

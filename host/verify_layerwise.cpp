// The layerwise tangent kernel is J J^T.

#include "verify.hpp"

#include <ntkcuda/gram.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ntk {
namespace {

std::vector<Architecture> architectures() {
    Architecture relu{.inputs = 5, .hidden = {7, 31, 12}, .outputs = 3, .bias_std = 0.4, .biases = Biases::trained};
    Architecture erf{.inputs = 10, .hidden = {64, 20}, .outputs = 1, .activation = parse_activation("erf")};
    Architecture leaky{.inputs = 6,
                       .hidden = {33, 17, 40, 9},
                       .outputs = 2,
                       .activation = parse_activation("leaky_relu:0.1"),
                       .bias_std = 0.2,
                       .biases = Biases::trained,
                       .parametrization = Parametrization::standard};
    return {relu, erf, leaky};
}

template <class Real>
void check_all(Verifier& verifier) {
    const auto& backend = verifier.backend<Real>();
    for (const Architecture& a : architectures()) {
        const std::string what = fmt::format("{}, widths {}-{}-{}, {}{}, {}", to_string(a.activation), a.inputs, fmt::join(a.hidden, "-"),
                                             a.outputs, a.parametrization == Parametrization::ntk ? "ntk" : "standard",
                                             a.biases == Biases::none ? "" : ", biases", precision_name<Real>);
        verifier.check(what, VerifyCheck::Measure::difference, rounding<Real>(a.parameters()), [&](std::string&) {
            const std::uint64_t seed = verifier.options().seed;
            const Matrix<Real> x = upload(backend, host_normals({seed, 0, data_stream}, 20, a.inputs));
            const Network<Real> network = draw_network(backend, a, seed);
            const HostMatrix<Real> layerwise = download(empirical_ntk(network, x.view(), {.block = Block::full}));
            const Matrix<Real> j = jacobian(network, x.view());
            Matrix<Real> theta(backend, j.rows(), j.rows());
            backend->gemm(Transpose::no, Transpose::yes, 1, j.view(), j.view(), 0, theta.view());
            return relative_difference(layerwise, download(theta));
        });
    }
}

}  // namespace

void verify_layerwise(Verifier& verifier) {
    verifier.begin("layerwise NTK = J J^T");
    check_all<double>(verifier);
    check_all<float>(verifier);
}

}  // namespace ntk

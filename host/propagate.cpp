#include <ntkcuda/propagate.hpp>

#include "backward_pass.hpp"

#include <fmt/format.h>

namespace ntk {

template <class Real>
Forward<Real> forward(const Network<Real>& network, InputView<Real> x) {
    const Architecture& architecture = network.architecture;
    if (x.cols() != architecture.inputs)
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("the samples have {} features: the network takes {}", x.cols(), architecture.inputs));
    const auto& backend = network.backend();
    Forward<Real> pass{x, {}, {}, {}};
    for (Index l = 1; l <= architecture.depth(); ++l) {
        const auto at = static_cast<std::size_t>(l - 1);
        Matrix<Real> z(backend, x.rows(), architecture.width(l));
        backend->gemm(Transpose::no, Transpose::yes, 1, pass.activation(l - 1), network.weight[at].view(), 0, z.view());
        if (!network.bias.empty()) backend->add_row(network.bias[at].view(), z.view());
        if (l == architecture.depth()) {
            pass.output = std::move(z);
        } else {
            Matrix<Real> a(backend, z.rows(), z.cols());
            backend->activate(architecture.activation, std::as_const(z).view(), a.view());
            pass.pre.push_back(std::move(z));
            pass.hidden.push_back(std::move(a));
        }
    }
    return pass;
}

template <class Real>
Matrix<Real> delta_below(const Network<Real>& network, const Forward<Real>& pass, Index layer, ConstMatrixView<Real> delta) {
    const Architecture& architecture = network.architecture;
    const auto& backend = network.backend();
    const ConstMatrixView<Real> weight = network.weight[static_cast<std::size_t>(layer - 1)].view();
    const ConstMatrixView<Real> z = pass.pre[static_cast<std::size_t>(layer - 2)].view();
    Matrix<Real> next(backend, delta.empty() ? z.rows() * architecture.outputs : delta.rows(), z.cols());
    if (delta.empty()) {
        backend->output_delta(architecture.activation, weight, z, next.view());
    } else {
        backend->gemm(Transpose::no, Transpose::no, 1, delta, weight, 0, next.view());
        backend->multiply_by_slope(architecture.activation, z, next.view());
    }
    return next;
}

template <class Real>
void backward(const Network<Real>& network, const Forward<Real>& pass,
              const std::function<void(Index layer, ConstMatrixView<Real> delta)>& visit) {
    BackwardPass<Real> backward(network, pass);
    while (true) {
        visit(backward.layer(), backward.delta());
        if (backward.layer() == 1) return;
        backward.step();
    }
}

template Matrix<float> delta_below(const Network<float>&, const Forward<float>&, Index, ConstMatrixView<float>);
template Matrix<double> delta_below(const Network<double>&, const Forward<double>&, Index, ConstMatrixView<double>);
template Forward<float> forward(const Network<float>&, ConstMatrixView<float>);
template Forward<double> forward(const Network<double>&, ConstMatrixView<double>);
template void backward(const Network<float>&, const Forward<float>&, const std::function<void(Index, ConstMatrixView<float>)>&);
template void backward(const Network<double>&, const Forward<double>&, const std::function<void(Index, ConstMatrixView<double>)>&);

}  // namespace ntk

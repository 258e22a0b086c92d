#include <ntkcuda/feature_space.hpp>

#include "closed_form_checks.hpp"

#include <ntkcuda/propagate.hpp>

#include <utility>

namespace ntk {

Index tangent_feature_count(const Architecture& architecture, Block block) {
    return architecture.parameters() * (block == Block::trace ? architecture.outputs : 1);
}

Index nngp_feature_count(const Architecture& architecture) {
    return architecture.width(architecture.depth() - 1) + (architecture.biases == Biases::none || architecture.bias_std == 0 ? 0 : 1);
}

template <class Real>
FeatureMap<Real> tangent_features(const Network<Real>& network, Block block) {
    if (block == Block::diag) throw Error(ErrorCode::invalid_argument, "features are of block full or trace, not diag");
    const Index outputs = network.architecture.outputs, features = tangent_feature_count(network.architecture, block);
    if (block == Block::full || outputs == 1)
        return {[&network](ConstMatrixView<Real> x) { return jacobian(network, x); }, features, outputs};
    return {[&network, features, outputs](ConstMatrixView<Real> x) {
                const Matrix<Real> rows = jacobian(network, x);
                Matrix<Real> side_by_side(network.backend(), x.rows(), features);
                network.backend()->copy(rows.view().reshaped(x.rows(), features), side_by_side.view());
                network.backend()->scale(1 / std::sqrt(static_cast<double>(outputs)), side_by_side.view());
                return side_by_side;
            },
            features, 1};
}

template <class Real>
FeatureMap<Real> nngp_features(const Network<Real>& network) {
    const Index features = nngp_feature_count(network.architecture);
    return {[&network, features](ConstMatrixView<Real> x) {
                const Architecture& a = network.architecture;
                const Forward<Real> pass = forward(network, x);
                const ConstMatrixView<Real> last = pass.activation(a.depth() - 1);
                Matrix<Real> phi(network.backend(), x.rows(), features);
                network.backend()->fill(phi.view(), a.bias_std);
                network.backend()->copy(last, phi.view().col_range(0, last.cols()));
                network.backend()->scale(a.weight_std / std::sqrt(static_cast<double>(last.cols())), phi.view().col_range(0, last.cols()));
                return phi;
            },
            features, 1};
}

template <class Real>
FeatureSystem<Real>::FeatureSystem(FeatureMap<Real> map, std::shared_ptr<Backend<Real>> backend, InputView<Real> samples, double ridge,
                                   Index batch, const Progress<Index, Index>& progress)
    : map_(std::move(map)), backend_(std::move(backend)), samples_(samples), ridge_(ridge), batch_(std::max<Index>(1, batch)) {
    require_ridge(ridge);
    const Index rows = samples.rows() * map_.rows_per_sample;
    if (ridge == 0 && map_.features < rows)
        throw Error(ErrorCode::not_positive_definite,
                    fmt::format("the kernel matrix of {} rows is singular: it has {} features; its smallest eigenvalue is 0; try a ridge",
                                rows, map_.features));
    Matrix<Real> gram(backend_, map_.features, map_.features);
    backend_->fill(gram.view(), 0);
    for (Index first = 0; first < samples.rows(); first += batch_) {
        progress.check();
        const ConstMatrixView<Real> some = samples.row_range(first, std::min(batch_, samples.rows() - first));
        const Matrix<Real> phi = map_.at(some);
        backend_->gemm(Transpose::yes, Transpose::no, 1, phi.view(), phi.view(), 1, gram.view());
        progress(first + some.rows(), samples.rows());
    }
    system_.emplace(std::move(gram), ridge);
    report_ = system_->report();
    if (rows != map_.features) report_.log_determinant += static_cast<double>(rows - map_.features) * std::log(ridge);
}

template <class Real>
Matrix<Real> FeatureSystem<Real>::weights(InputView<Real> y) const {
    const Index r = map_.rows_per_sample;
    require_shape("y", y.rows(), y.cols(), samples_.rows() * r, y.cols());
    Matrix<Real> sums(backend_, map_.features, y.cols());
    backend_->fill(sums.view(), 0);
    for (Index first = 0; first < samples_.rows(); first += batch_) {
        const Index count = std::min(batch_, samples_.rows() - first);
        const Matrix<Real> phi = map_.at(samples_.row_range(first, count));
        backend_->gemm(Transpose::yes, Transpose::no, 1, phi.view(), y.row_range(first * r, count * r), 1, sums.view());
    }
    return system_->solve(sums.view());
}

template <class Real>
Matrix<Real> FeatureSystem<Real>::predict(InputView<Real> x, const Matrix<Real>& weights) const {
    const Index r = map_.rows_per_sample;
    Matrix<Real> out(backend_, x.rows() * r, weights.cols());
    for (Index first = 0; first < x.rows(); first += batch_) {
        const Index count = std::min(batch_, x.rows() - first);
        const Matrix<Real> phi = map_.at(x.row_range(first, count));
        backend_->gemm(Transpose::no, Transpose::no, 1, phi.view(), weights.view(), 0, out.view().row_range(first * r, count * r));
    }
    return out;
}

template <class Real>
Matrix<Real> FeatureSystem<Real>::coefficients(InputView<Real> y, const Matrix<Real>& weights) const {
    if (!(ridge_ > 0)) throw Error(ErrorCode::invalid_argument, "coefficients of a kernel from its features need a ridge > 0");
    Matrix<Real> left = predict(samples_, weights);
    require_shape("y", y.rows(), y.cols(), left.rows(), left.cols());
    backend_->scale(-1, left.view());
    backend_->axpy(1, y, left.view());
    backend_->scale(1 / ridge_, left.view());
    return left;
}

template FeatureMap<float> tangent_features(const Network<float>&, Block);
template FeatureMap<double> tangent_features(const Network<double>&, Block);
template FeatureMap<float> nngp_features(const Network<float>&);
template FeatureMap<double> nngp_features(const Network<double>&);
template class FeatureSystem<float>;
template class FeatureSystem<double>;

}  // namespace ntk

#include <ntkcuda/metrics.hpp>

#include <fmt/format.h>

#include <cmath>

namespace ntk {

Index predicted_class(const HostMatrix<double>& predicted, Index row) {
    Index best = 0;
    for (Index j = 0; j < predicted.cols(); ++j) {
        if (std::isnan(predicted(row, j)))
            throw Error(ErrorCode::invalid_argument, fmt::format("predicted class: prediction {} is not a number", row + 1));
        if (predicted(row, j) > predicted(row, best)) best = j;
    }
    return best;
}

double accuracy(const HostMatrix<double>& predicted, const Dataset& truth) {
    const Index n = truth.samples();
    if (!truth.classification() || static_cast<Index>(truth.label.size()) != n || n == 0)
        throw Error(ErrorCode::invalid_argument, "accuracy: the truth has no samples with class labels");
    if (predicted.rows() != n || predicted.cols() != static_cast<Index>(truth.classes.size()))
        throw Error(ErrorCode::shape_mismatch, fmt::format("accuracy: predictions are {} x {}, expected {} samples x {} classes",
                                                           predicted.rows(), predicted.cols(), n, truth.classes.size()));
    Index right = 0;
    for (Index i = 0; i < n; ++i) right += predicted_class(predicted, i) == truth.label[static_cast<std::size_t>(i)];
    return static_cast<double>(right) / static_cast<double>(n);
}

double rmse(const HostMatrix<double>& predicted, const HostMatrix<double>& truth) {
    if (predicted.rows() != truth.rows() || predicted.cols() != truth.cols() || truth.empty())
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("rmse: predictions are {} x {}, truth is {} x {}; expected equal shapes with samples", predicted.rows(),
                                predicted.cols(), truth.rows(), truth.cols()));
    double squares = 0;
    for (Index i = 0; i < truth.size(); ++i) squares += std::pow(predicted.data()[i] - truth.data()[i], 2);
    if (std::isnan(squares)) throw Error(ErrorCode::invalid_argument, "rmse: a prediction or a target is not a number");
    return std::sqrt(squares / static_cast<double>(truth.size()));
}

}  // namespace ntk

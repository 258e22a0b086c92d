#include <ntkcuda/backend.hpp>
#include <ntkcuda/matrix.hpp>

#include <limits>
#include <string>

namespace ntk {

template <class Real>
Matrix<Real>::Matrix(std::shared_ptr<Backend<Real>> backend, Index rows, Index cols) : backend_(std::move(backend)) {
    if (rows < 0 || cols < 0 || (cols > 0 && rows > std::numeric_limits<Index>::max() / static_cast<Index>(sizeof(Real)) / cols))
        throw Error(ErrorCode::out_of_memory,
                    "a matrix of " + std::to_string(rows) + " x " + std::to_string(cols) + " has more bytes than can be addressed");
    view_ = {backend_->allocate(rows * cols), rows, cols};
}

template <class Real>
void Matrix<Real>::release() noexcept {
    if (backend_ && view_.data()) backend_->release(view_.data());
    view_ = {};
}

template <class Real>
Matrix<Real> upload(const std::shared_ptr<Backend<Real>>& backend, ConstMatrixView<double> values) {
    Matrix<Real> result(backend, values.rows(), values.cols());
    if constexpr (std::is_same_v<Real, double>) {
        backend->upload(values, result.view());
        backend->synchronize();
    } else {
        HostMatrix<Real> converted(values.rows(), values.cols());
        for (Index i = 0; i < values.rows(); ++i)
            for (Index j = 0; j < values.cols(); ++j) converted(i, j) = static_cast<Real>(values.data()[i * values.stride() + j]);
        backend->upload(converted.view(), result.view());
        backend->synchronize();  // `converted` must outlive the copy
    }
    return result;
}

template <class Real>
Matrix<Real> upload(const std::shared_ptr<Backend<Real>>& backend, const HostMatrix<double>& values) {
    return upload(backend, values.view());
}

template <class Real>
HostMatrix<Real> download(const Matrix<Real>& matrix) {
    HostMatrix<Real> result(matrix.rows(), matrix.cols());
    if (!result.empty()) matrix.backend()->download(matrix.view(), result.view());
    return result;
}

template class Matrix<float>;
template class Matrix<double>;
template Matrix<float> upload(const std::shared_ptr<Backend<float>>&, const HostMatrix<double>&);
template Matrix<double> upload(const std::shared_ptr<Backend<double>>&, const HostMatrix<double>&);
template Matrix<float> upload(const std::shared_ptr<Backend<float>>&, ConstMatrixView<double>);
template Matrix<double> upload(const std::shared_ptr<Backend<double>>&, ConstMatrixView<double>);
template HostMatrix<float> download(const Matrix<float>&);
template HostMatrix<double> download(const Matrix<double>&);

}  // namespace ntk

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
Matrix<Real> Matrix<Real>::borrow(std::shared_ptr<Backend<Real>> backend, MatrixView<Real> memory) {
    Matrix result;
    result.backend_ = std::move(backend);
    result.view_ = memory;
    result.owned_ = false;
    return result;
}

template <class Real>
void Matrix<Real>::release() noexcept {
    if (owned_ && backend_ && view_.data()) backend_->release(view_.data());
    view_ = {};
}

namespace {

template <class Real>
Matrix<Real> upload_as_it_is(const std::shared_ptr<Backend<Real>>& backend, ConstMatrixView<Real> values) {
    Matrix<Real> result(backend, values.rows(), values.cols());
    backend->upload(values, result.view());
    backend->synchronize();  // the values need not outlive this call
    return result;
}

}  // namespace

Matrix<float> upload(const std::shared_ptr<Backend<float>>& backend, ConstMatrixView<float> values) {
    return upload_as_it_is(backend, values);
}

template <class Real>
Matrix<Real> upload(const std::shared_ptr<Backend<Real>>& backend, ConstMatrixView<double> values) {
    if constexpr (std::is_same_v<Real, double>) {
        return upload_as_it_is(backend, values);
    } else {
        HostMatrix<Real> converted(values.rows(), values.cols());
        for (Index i = 0; i < values.rows(); ++i)
            for (Index j = 0; j < values.cols(); ++j) converted(i, j) = static_cast<Real>(values.data()[i * values.stride() + j]);
        return upload_as_it_is(backend, std::as_const(converted).view());
    }
}

template <class Real>
Matrix<Real> upload(const std::shared_ptr<Backend<Real>>& backend, const HostMatrix<double>& values) {
    return upload(backend, values.view());
}

template <class Real>
HostMatrix<Real> download(const Matrix<Real>& matrix) {
    HostMatrix<Real> result(matrix.rows(), matrix.cols());
    download(matrix, result.view());
    return result;
}

template <class Real>
void download(const Matrix<Real>& matrix, std::type_identity_t<MatrixView<Real>> into) {
    if (into.rows() != matrix.rows() || into.cols() != matrix.cols())
        throw Error(ErrorCode::shape_mismatch, "download: a matrix of " + std::to_string(matrix.rows()) + " x " +
                                                   std::to_string(matrix.cols()) + " does not go into " + std::to_string(into.rows()) +
                                                   " x " + std::to_string(into.cols()));
    if (!matrix.empty()) matrix.backend()->download(matrix.view(), into);
}

template class Matrix<float>;
template class Matrix<double>;
template Matrix<float> upload(const std::shared_ptr<Backend<float>>&, const HostMatrix<double>&);
template Matrix<double> upload(const std::shared_ptr<Backend<double>>&, const HostMatrix<double>&);
template Matrix<float> upload(const std::shared_ptr<Backend<float>>&, ConstMatrixView<double>);
template Matrix<double> upload(const std::shared_ptr<Backend<double>>&, ConstMatrixView<double>);
template void download(const Matrix<float>&, MatrixView<float>);
template void download(const Matrix<double>&, MatrixView<double>);
template HostMatrix<float> download(const Matrix<float>&);
template HostMatrix<double> download(const Matrix<double>&);

}  // namespace ntk

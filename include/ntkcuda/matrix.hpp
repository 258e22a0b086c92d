#pragma once

/// \file matrix.hpp
/// Dense row-major matrices: `HostMatrix` (elements readable), `Matrix` (memory of a backend) and `MatrixView` (non-owning).
/// Row i, column j of a view is `data()[i * stride() + j]`; only backends may dereference that pointer.

#include <ntkcuda/error.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace ntk {

/// Sizes and indices: 64-bit everywhere (n^2 passes 2^31 at n = 46341).
using Index = std::int64_t;

template <class Real>
class Backend;

/// A non-owning window on row-major memory of a backend (or of the host, for upload and download). `Real` may be const.
/// There is no element access: indexing device memory from the host does not compile.
template <class Real>
class MatrixView {
public:
    MatrixView() = default;
    MatrixView(Real* data, Index rows, Index cols, Index stride) : data_(data), rows_(rows), cols_(cols), stride_(stride) {}
    MatrixView(Real* data, Index rows, Index cols) : MatrixView(data, rows, cols, cols) {}

    /// A mutable view converts to a read-only one.
    template <class Other>
    requires(std::is_same_v<Real, const Other>) MatrixView(MatrixView<Other> other)  // NOLINT(google-explicit-constructor)
        : MatrixView(other.data(), other.rows(), other.cols(), other.stride()) {}

    [[nodiscard]] Real* data() const { return data_; }
    [[nodiscard]] Index rows() const { return rows_; }
    [[nodiscard]] Index cols() const { return cols_; }
    [[nodiscard]] Index stride() const { return stride_; }
    [[nodiscard]] Index size() const { return rows_ * cols_; }
    [[nodiscard]] bool empty() const { return rows_ == 0 || cols_ == 0; }
    /// Whether the rows follow one another without gaps.
    [[nodiscard]] bool contiguous() const { return stride_ == cols_ || rows_ <= 1; }

    /// Rows [first, first + count).
    [[nodiscard]] MatrixView row_range(Index first, Index count) const { return {data_ + first * stride_, count, cols_, stride_}; }
    /// Columns [first, first + count).
    [[nodiscard]] MatrixView col_range(Index first, Index count) const { return {data_ + first, rows_, count, stride_}; }
    /// The same contiguous memory read as rows x cols.
    [[nodiscard]] MatrixView reshaped(Index rows, Index cols) const {
        if (!contiguous() || rows * cols != size())
            throw Error(ErrorCode::shape_mismatch, "reshaped: the view is not contiguous or the sizes differ");
        return {data_, rows, cols, cols};
    }

private:
    Real* data_ = nullptr;
    Index rows_ = 0, cols_ = 0, stride_ = 0;
};

/// A view through which nothing is written.
template <class Real>
using ConstMatrixView = MatrixView<const Real>;

/// A read-only view as a function's argument beside another that decides Real, so that a mutable view converts to it.
template <class Real>
using InputView = std::type_identity_t<ConstMatrixView<Real>>;

/// A view of values that the caller has in host memory, without a copy: row i, column j is values[i * stride + j]. Takes anything
/// contiguous that owns nothing or is not a temporary (std::span, std::vector, std::array, ..); of constant values the view is read-only.
/// It is an argument of upload() on every device, and on the CPU of every function that takes a view.
/// Throws Error(shape_mismatch) if the values are too few or stride < cols.
template <std::ranges::contiguous_range Values>
requires std::ranges::borrowed_range<Values>
[[nodiscard]] auto view(Values&& values, Index rows, Index cols, Index stride) {
    const auto count = static_cast<Index>(std::ranges::size(values));
    if (rows < 0 || cols < 0 || stride < cols ||
        (rows > 0 && cols > 0 && (cols > count || (count - cols) / std::max<Index>(stride, 1) < rows - 1)))
        throw Error(ErrorCode::shape_mismatch, "view: " + std::to_string(rows) + " x " + std::to_string(cols) + " values at a stride of " +
                                                   std::to_string(stride) + " are not within " + std::to_string(count));
    return MatrixView<std::remove_reference_t<std::ranges::range_reference_t<Values>>>(std::ranges::data(values), rows, cols, stride);
}
/// The same for rows that follow one another.
template <std::ranges::contiguous_range Values>
requires std::ranges::borrowed_range<Values>
[[nodiscard]] auto view(Values&& values, Index rows, Index cols) { return view(std::forward<Values>(values), rows, cols, cols); }

/// A row-major matrix in host memory, zero-initialised, with element access.
template <class Real>
class HostMatrix {
public:
    HostMatrix() = default;
    HostMatrix(Index rows, Index cols) : rows_(rows), cols_(cols), values_(static_cast<std::size_t>(rows * cols)) {}
    HostMatrix(Index rows, Index cols, std::vector<Real> values) : rows_(rows), cols_(cols), values_(std::move(values)) {
        if (static_cast<Index>(values_.size()) != rows * cols)
            throw Error(ErrorCode::shape_mismatch, "HostMatrix: rows * cols differs from the number of values");
    }
    /// A shape alone, for plans of work on more than fits: no element of it may be touched.
    [[nodiscard]] static HostMatrix without_values(Index rows, Index cols) {
        HostMatrix shape;
        shape.rows_ = rows;
        shape.cols_ = cols;
        return shape;
    }

    [[nodiscard]] Index rows() const { return rows_; }
    [[nodiscard]] Index cols() const { return cols_; }
    [[nodiscard]] Index size() const { return rows_ * cols_; }
    [[nodiscard]] bool empty() const { return size() == 0; }
    [[nodiscard]] bool has_values() const { return static_cast<Index>(values_.size()) == size(); }
    [[nodiscard]] Real* data() { return values_.data(); }
    [[nodiscard]] const Real* data() const { return values_.data(); }
    [[nodiscard]] Real& operator()(Index i, Index j) { return values_[static_cast<std::size_t>(i * cols_ + j)]; }
    [[nodiscard]] const Real& operator()(Index i, Index j) const { return values_[static_cast<std::size_t>(i * cols_ + j)]; }
    [[nodiscard]] MatrixView<Real> view() { return {data(), rows_, cols_}; }
    [[nodiscard]] ConstMatrixView<Real> view() const { return {data(), rows_, cols_}; }

    /// Every value converted (double to float rounds to nearest).
    template <class To>
    [[nodiscard]] HostMatrix<To> cast() const {
        return {rows_, cols_, std::vector<To>(values_.begin(), values_.end())};
    }

private:
    Index rows_ = 0, cols_ = 0;
    std::vector<Real> values_;
};

/// A row-major matrix in the memory of a backend, which it keeps alive. Move-only; its values are unset until written.
template <class Real>
class Matrix {
public:
    Matrix() = default;
    /// Throws Error(out_of_memory) when the device cannot give rows * cols * sizeof(Real) bytes.
    Matrix(std::shared_ptr<Backend<Real>> backend, Index rows, Index cols);
    /// A matrix in memory of the caller that the backend can reach, without a copy: any memory on the CPU, of the device itself on a CUDA
    /// device. It must outlive the matrix. A function that consumes a matrix (KernelSystem) works in that memory.
    [[nodiscard]] static Matrix borrow(std::shared_ptr<Backend<Real>> backend, MatrixView<Real> memory);
    ~Matrix() { release(); }
    Matrix(Matrix&& other) noexcept { swap(other); }
    Matrix& operator=(Matrix&& other) noexcept {
        swap(other);
        return *this;
    }
    Matrix(const Matrix&) = delete;
    Matrix& operator=(const Matrix&) = delete;

    [[nodiscard]] Index rows() const { return view_.rows(); }
    [[nodiscard]] Index cols() const { return view_.cols(); }
    [[nodiscard]] bool empty() const { return view_.empty(); }
    [[nodiscard]] MatrixView<Real> view() { return view_; }
    [[nodiscard]] ConstMatrixView<Real> view() const { return view_; }
    operator ConstMatrixView<Real>() const { return view_; }  // NOLINT(google-explicit-constructor): a matrix is an input as it is
    [[nodiscard]] const std::shared_ptr<Backend<Real>>& backend() const { return backend_; }

private:
    void swap(Matrix& other) noexcept {
        std::swap(backend_, other.backend_);
        std::swap(view_, other.view_);
        std::swap(owned_, other.owned_);
    }
    void release() noexcept;

    std::shared_ptr<Backend<Real>> backend_;
    MatrixView<Real> view_;
    bool owned_ = true;
};

extern template class Matrix<float>;
extern template class Matrix<double>;

/// Copies a host matrix to a backend; values are converted to `Real` first.
template <class Real>
[[nodiscard]] Matrix<Real> upload(const std::shared_ptr<Backend<Real>>& backend, const HostMatrix<double>& values);

/// The same from host memory of the caller, rows perhaps apart; directly where no value is converted.
template <class Real>
[[nodiscard]] Matrix<Real> upload(const std::shared_ptr<Backend<Real>>& backend, ConstMatrixView<double> values);
[[nodiscard]] Matrix<float> upload(const std::shared_ptr<Backend<float>>& backend, ConstMatrixView<float> values);

/// Copies a matrix of a backend to the host, waiting for the work that makes it.
template <class Real>
[[nodiscard]] HostMatrix<Real> download(const Matrix<Real>& matrix);

/// The same into host memory of the caller. Throws Error(shape_mismatch) for another shape.
template <class Real>
void download(const Matrix<Real>& matrix, std::type_identity_t<MatrixView<Real>> into);

}  // namespace ntk

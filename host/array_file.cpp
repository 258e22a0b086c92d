#include <ntkcuda/array_file.hpp>

#include "array_reader.hpp"
#include "memory_limit.hpp"
#include "npy_header.hpp"
#include "write_aside.hpp"

#include <fmt/format.h>

#include <string_view>
#include <type_traits>

namespace ntk {
namespace {

std::pair<Index, Index> matrix_shape(const Array& array) {
    if (array.shape.size() < 2)
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("an array of shape {} has fewer than two axes: expected rows x columns", shape_text(array.shape)));
    Index columns = 1;
    for (std::size_t k = 1; k < array.shape.size(); ++k) columns *= array.shape[k];
    return {array.shape[0], columns};
}

template <class Real>
std::string_view bytes_of(const Real* values, Index count) {
    return {reinterpret_cast<const char*>(values), static_cast<std::size_t>(count) * sizeof(Real)};
}

}  // namespace

HostMatrix<double> Array::as_matrix() const& {
    const auto [rows, columns] = matrix_shape(*this);
    return {rows, columns, values};
}

HostMatrix<double> Array::as_matrix() && {
    const auto [rows, columns] = matrix_shape(*this);
    return {rows, columns, std::move(values)};
}

template <class Real>
void write_npy(const std::string& path, const std::vector<Index>& shape, const Real* values) {
    Index count = 1;
    for (const Index size : shape) count *= size;
    const std::string header = npy_header(native_float(sizeof(Real)), shape);
    write_aside(path, {header, bytes_of(values, count)});
}

template <class Real>
void write_npy(const std::string& path, const HostMatrix<Real>& values) {
    write_npy(path, {values.rows(), values.cols()}, values.data());
}

template void write_npy(const std::string&, const std::vector<Index>&, const float*);
template void write_npy(const std::string&, const std::vector<Index>&, const double*);
template void write_npy(const std::string&, const HostMatrix<float>&);
template void write_npy(const std::string&, const HostMatrix<double>&);

template <class Real>
NpyFile<Real>::NpyFile(const std::string& path, const std::vector<Index>& shape) {
    if (shape.empty()) throw Error(ErrorCode::invalid_argument, "NpyFile: an array without axes has no rows to write");
    cols_ = shape.back();
    for (std::size_t k = 0; k + 1 < shape.size(); ++k) rows_ *= shape[k];
    const std::string header = npy_header(native_float(sizeof(Real)), shape);
    start_ = static_cast<Index>(header.size());
    file_ = std::make_unique<FileAside>(path);
    file_->reserve(start_ + checked_product({rows_, cols_}, sizeof(Real), path) * static_cast<Index>(sizeof(Real)));
    file_->write_at(0, header);
}

template <class Real>
NpyFile<Real>::~NpyFile() = default;
template <class Real>
NpyFile<Real>::NpyFile(NpyFile&&) noexcept = default;
template <class Real>
NpyFile<Real>& NpyFile<Real>::operator=(NpyFile&&) noexcept = default;

template <class Real>
void NpyFile<Real>::write(Index row, Index col, ConstMatrixView<Real> entries) {
    if (row < 0 || col < 0 || row > rows_ - entries.rows() || col > cols_ - entries.cols())
        throw Error(ErrorCode::shape_mismatch, fmt::format("NpyFile: {} x {} entries from row {}, column {} on leave the {} x {} array",
                                                           entries.rows(), entries.cols(), row, col, rows_, cols_));
    const auto offset = [&](Index i) { return start_ + ((row + i) * cols_ + col) * static_cast<Index>(sizeof(Real)); };
    if (entries.cols() == cols_ && entries.contiguous()) return file_->write_at(offset(0), bytes_of(entries.data(), entries.size()));
    for (Index i = 0; i < entries.rows(); ++i) file_->write_at(offset(i), bytes_of(entries.data() + i * entries.stride(), entries.cols()));
}

template <class Real>
void NpyFile<Real>::finish() {
    file_->commit();
}

template class NpyFile<float>;
template class NpyFile<double>;

void write_text(const std::string& path, const std::string& text) { write_aside(path, {text}); }

}  // namespace ntk

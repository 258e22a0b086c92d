#include <ntkcuda/array_file.hpp>

#include "array_reader.hpp"
#include "write_aside.hpp"

#include <fmt/format.h>

#include <bit>
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

/// Magic, version 1.0, length and dictionary, padded to a multiple of 64 bytes: the bytes that numpy.save writes.
std::string npy_header(char order, Index bytes, const std::vector<Index>& shape) {
    std::string header = fmt::format("{{'descr': '{}f{}', 'fortran_order': False, 'shape': {}, }}", order, bytes, shape_text(shape));
    constexpr std::size_t growth_digits = 21;  // NumPy leaves room for the first size to grow in place
    if (!shape.empty()) header.append(growth_digits - std::to_string(shape[0]).size(), ' ');
    constexpr std::size_t prefix = 10, alignment = 64;
    const std::size_t unpadded = prefix + header.size() + 1;
    header.append((alignment - unpadded % alignment) % alignment, ' ');
    header += '\n';
    if (header.size() > 0xffff)
        throw Error(ErrorCode::invalid_argument, fmt::format("write_npy: an array of {} axes has too long a header", shape.size()));
    std::string result("\x93NUMPY\x01\x00", 8);
    result += static_cast<char>(header.size() & 0xff);
    result += static_cast<char>(header.size() >> 8);
    return result + header;
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
    static_assert(std::is_same_v<Real, float> || std::is_same_v<Real, double>);
    Index count = 1;
    for (const Index size : shape) count *= size;
    const std::string header = npy_header(std::endian::native == std::endian::little ? '<' : '>', sizeof(Real), shape);
    write_aside(path,
                {{header.data(), header.size()}, {reinterpret_cast<const char*>(values), static_cast<std::size_t>(count) * sizeof(Real)}});
}

template <class Real>
void write_npy(const std::string& path, const HostMatrix<Real>& values) {
    write_npy(path, {values.rows(), values.cols()}, values.data());
}

template void write_npy(const std::string&, const std::vector<Index>&, const float*);
template void write_npy(const std::string&, const std::vector<Index>&, const double*);
template void write_npy(const std::string&, const HostMatrix<float>&);
template void write_npy(const std::string&, const HostMatrix<double>&);

void write_text(const std::string& path, const std::string& text) { write_aside(path, {text}); }

}  // namespace ntk

#include "npy_header.hpp"

#include "array_reader.hpp"

#include <fmt/format.h>

#include <bit>

namespace ntk {

std::string native_float(Index bytes) { return fmt::format("{}f{}", std::endian::native == std::endian::little ? '<' : '>', bytes); }

std::string npy_header(const std::string& descr, const std::vector<Index>& shape) {
    std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", descr, shape_text(shape));
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

}  // namespace ntk

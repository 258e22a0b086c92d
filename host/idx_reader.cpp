#include "idx_reader.hpp"

#include "array_reader.hpp"

#include <fmt/format.h>

#include <optional>

namespace ntk {
namespace {

std::optional<ElementFormat> element_format(unsigned char type) {
    switch (type) {
        case 0x08:
            return ElementFormat{'u', 1, true, "uint8"};
        case 0x09:
            return ElementFormat{'i', 1, true, "int8"};
        case 0x0b:
            return ElementFormat{'i', 2, true, "int16"};
        case 0x0c:
            return ElementFormat{'i', 4, true, "int32"};
        case 0x0d:
            return ElementFormat{'f', 4, true, "float32"};
        case 0x0e:
            return ElementFormat{'f', 8, true, "float64"};
        default:
            return std::nullopt;
    }
}

}  // namespace

bool is_idx(const std::string& path) {
    const auto raw = first_bytes(path);
    if (raw[0] == 0x1f && raw[1] == 0x8b) {
        unsigned char start[2] = {};
        open_gzip_or_file(path)->read(start, sizeof start, "the first bytes of the gzipped data");
        return start[0] == 0 && start[1] == 0;
    }
    return raw[0] == 0 && raw[1] == 0;
}

Array read_idx(const std::string& path) {
    const auto source = open_gzip_or_file(path);
    unsigned char start[4] = {};
    source->read(start, sizeof start, "the first 4 bytes of an IDX file");
    const auto format = element_format(start[2]);
    if (start[0] != 0 || start[1] != 0 || !format || start[3] == 0)
        throw Error(
            ErrorCode::io,
            fmt::format("{}: begins with {:02x} {:02x} {:02x} {:02x}: an IDX file begins with 00 00, a type (08, 09, 0b, 0c, 0d or 0e) and "
                        "the number of axes (1 or more)",
                        path, start[0], start[1], start[2], start[3]));
    std::vector<Index> shape;
    for (int k = 0; k < start[3]; ++k) {
        unsigned char size[4] = {};
        source->read(size, sizeof size, fmt::format("the size of axis {} of {}", k, static_cast<int>(start[3])));
        shape.push_back(Index{size[0]} << 24 | Index{size[1]} << 16 | Index{size[2]} << 8 | Index{size[3]});
    }
    return read_array(*source, *format, std::move(shape), false);
}

}  // namespace ntk

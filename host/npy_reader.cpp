#include "array_reader.hpp"

#include <ntkcuda/array_file.hpp>

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <optional>
#include <string_view>

// The .npy format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

namespace ntk {
namespace {

constexpr std::string_view magic{"\x93NUMPY", 6};
constexpr std::size_t longest_header =
    1 << 20;  // a shape of 64 axes takes less than 2 KiB; only structured types, which are refused, take more

struct Header {
    std::optional<std::string> descr;
    std::optional<bool> fortran_order;
    std::optional<std::vector<Index>> shape;
};

/// Parses the Python dictionary of a header: {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }.
class HeaderParser {
public:
    HeaderParser(std::string_view text, std::string name) : text_(text), name_(std::move(name)) {}

    Header parse() {
        Header header;
        expect('{');
        while (!accept('}')) {
            const std::string key = quoted();
            expect(':');
            if (key == "descr" && !header.descr)
                header.descr = descr();
            else if (key == "fortran_order" && !header.fortran_order)
                header.fortran_order = boolean();
            else if (key == "shape" && !header.shape)
                header.shape = shape();
            else
                fail("the unknown or repeated key '" + key + "'");
            if (!accept(',')) {
                expect('}');
                break;
            }
        }
        skip_space();
        if (at_ != text_.size()) fail("text after the closing brace");
        if (!header.descr || !header.fortran_order || !header.shape) fail("no descr, fortran_order or shape");
        return header;
    }

private:
    [[noreturn]] void fail(const std::string& found) const {
        throw Error(
            ErrorCode::io,
            fmt::format(
                "{}: its .npy header is malformed at character {}: {}; expected {{'descr': .., 'fortran_order': .., 'shape': (..)}}", name_,
                at_, found));
    }
    void skip_space() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
    }
    bool accept(char wanted) {
        skip_space();
        if (at_ >= text_.size() || text_[at_] != wanted) return false;
        ++at_;
        return true;
    }
    void expect(char wanted) {
        if (!accept(wanted)) fail(fmt::format("no '{}'", wanted));
    }
    std::string quoted() {
        skip_space();
        const char quote = at_ < text_.size() ? text_[at_] : '\0';
        if (quote != '\'' && quote != '"') fail("no quoted text");
        const std::size_t end = text_.find(quote, at_ + 1);
        if (end == std::string_view::npos) fail("no closing quote");
        const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
        at_ = end + 1;
        return std::string(inside);
    }
    bool boolean() {
        skip_space();
        for (const std::string_view word : {std::string_view("True"), std::string_view("False")}) {
            if (text_.substr(at_, word.size()) == word) {
                at_ += word.size();
                return word == "True";
            }
        }
        fail("neither True nor False");
    }
    std::string descr() {
        skip_space();
        if (at_ < text_.size() && (text_[at_] == '[' || text_[at_] == '('))
            throw Error(
                ErrorCode::io,
                fmt::format("{}: is an array of the structured type {}: only arrays of plain float, integer and bool types are read", name_,
                            text_.substr(at_, text_.find(", 'fortran_order'", at_) - at_)));
        return quoted();
    }
    std::vector<Index> shape() {
        expect('(');
        std::vector<Index> sizes;
        while (!accept(')')) {
            skip_space();
            Index size = 0;
            const auto [stop, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), size);
            if (error == std::errc::result_out_of_range) fail("a size in the shape that passes 2^63 - 1");
            if (error != std::errc{}) fail("no integer in the shape");
            if (size < 0) fail(fmt::format("the negative size {} in the shape", size));
            at_ = static_cast<std::size_t>(stop - text_.data());
            if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2 wrote 3L
            sizes.push_back(size);
            if (!accept(',')) {
                if (sizes.size() == 1) fail("no comma after the only size of the shape");
                expect(')');
                break;
            }
        }
        return sizes;
    }

    std::string_view text_;
    std::string name_;
    std::size_t at_ = 0;
};

std::string type_in_words(char kind) {
    switch (kind) {
        case 'c':
            return "complex numbers";
        case 'S':
        case 'a':
        case 'U':
            return "text";
        case 'O':
            return "Python objects";
        case 'M':
        case 'm':
            return "dates or times";
        case 'V':
            return "a structured or void type";
        case 'f':
            return "a float type other than float16, float32 and float64";
        default:
            return "an unknown type";
    }
}

ElementFormat element_format(const std::string& descr, const std::string& name) {
    const bool plain = descr.size() == 3 && std::string_view("<>|=").find(descr[0]) != std::string_view::npos;
    const char kind = descr.size() > 1 ? descr[1] : '\0';
    const Index bytes = plain ? descr[2] - '0' : 0;
    const bool number = kind == 'i' || kind == 'u' ? bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8
                                                   : kind == 'f' && (bytes == 2 || bytes == 4 || bytes == 8);
    if (!number && !(kind == 'b' && bytes == 1))
        throw Error(ErrorCode::io,
                    fmt::format("{}: is an array of dtype '{}', {}: only float16/32/64, (u)int8..64 and bool arrays are read", name, descr,
                                type_in_words(kind)));
    // '|' (no order) and '=' are this machine's.
    const bool big_endian = descr[0] == '>' || (descr[0] != '<' && std::endian::native == std::endian::big);
    return {kind, bytes, big_endian, descr};
}

std::size_t header_length(ByteSource& source, int major) {
    unsigned char bytes[4] = {};
    source.read(bytes, major == 1 ? 2 : 4, "the length of its .npy header");
    std::size_t length = 0;
    for (int i = 3; i >= 0; --i) length = length << 8 | bytes[i];
    return length;
}

/// What stands before the values.
struct ValuesHeader {
    ElementFormat format;
    std::vector<Index> shape;
    bool fortran_order;
};

ValuesHeader read_header(ByteSource& source) {
    unsigned char start[8] = {};
    if (source.exact() && source.most_left() < sizeof start)
        throw Error(ErrorCode::io, fmt::format("{}: is not a .npy file: it has {} bytes, fewer than the shortest header", source.name(),
                                               source.most_left()));
    source.read(start, sizeof start, "the first 8 bytes of a .npy file");
    if (std::string_view(reinterpret_cast<const char*>(start), magic.size()) != magic)
        throw Error(ErrorCode::io, source.name() + ": is not a .npy file: it does not begin with \\x93NUMPY");
    const int major = start[6];
    if (major < 1 || major > 3 || start[7] != 0)
        throw Error(ErrorCode::io,
                    fmt::format("{}: is a .npy file of version {}.{}: versions 1.0, 2.0 and 3.0 are read", source.name(), major, start[7]));
    const std::size_t length = header_length(source, major);
    if (length > source.most_left())
        throw Error(ErrorCode::io, fmt::format("{}: truncated: its .npy header is said to have {} bytes, and {} follow", source.name(),
                                               length, source.most_left()));
    if (length > longest_header)
        throw Error(ErrorCode::io,
                    fmt::format("{}: its .npy header has {} bytes, more than that of any plain array", source.name(), length));
    std::string text(length, '\0');
    source.read(text.data(), length, "its .npy header");
    Header header = HeaderParser(text, source.name()).parse();
    return {element_format(*header.descr, source.name()), std::move(*header.shape), *header.fortran_order};
}

}  // namespace

Array read_npy(ByteSource& source) {
    ValuesHeader header = read_header(source);
    return read_array(source, header.format, std::move(header.shape), header.fortran_order);
}

Array read_npy(const std::string& path) { return read_npy(*open_file(path)); }

std::vector<Index> npy_shape(const std::string& path) {
    const auto source = open_file(path);
    ValuesHeader header = read_header(*source);
    (void)promised_elements(*source, header.format, header.shape);
    return std::move(header.shape);
}

}  // namespace ntk

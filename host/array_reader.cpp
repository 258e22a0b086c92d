#include "array_reader.hpp"

#include "memory_limit.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <functional>
#include <limits>
#include <new>
#include <type_traits>

namespace ntk {
namespace {

constexpr Index chunk = 1 << 13;  // elements decoded at a time

template <std::size_t bytes>
using Word =
    std::conditional_t<bytes == 1, std::uint8_t,
                       std::conditional_t<bytes == 2, std::uint16_t, std::conditional_t<bytes == 4, std::uint32_t, std::uint64_t>>>;

double half_to_double(std::uint16_t bits) {
    const int exponent = (bits >> 10) & 31;
    const int fraction = bits & 1023;
    double magnitude = 0;
    if (exponent == 31)
        magnitude = fraction ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
    else if (exponent == 0)
        magnitude = std::ldexp(fraction, -24);
    else
        magnitude = std::ldexp(1024 + fraction, exponent - 25);
    return bits >> 15 ? -magnitude : magnitude;
}

/// Where the elements of a Fortran-ordered file go in row-major memory: an odometer whose first axis turns fastest.
class FortranOrder {
public:
    explicit FortranOrder(const std::vector<Index>& shape) : shape_(shape), stride_(shape.size(), 1), at_(shape.size(), 0) {
        for (std::size_t k = shape.size(); k-- > 1;) stride_[k - 1] = stride_[k] * shape[k];
    }
    Index next() {
        const Index here = position_;
        for (std::size_t k = 0; k < shape_.size(); ++k) {
            position_ += stride_[k];
            if (++at_[k] < shape_[k]) break;
            position_ -= stride_[k] * shape_[k];
            at_[k] = 0;
        }
        return here;
    }

private:
    std::vector<Index> shape_, stride_, at_;
    Index position_ = 0;
};

class RowMajorOrder {
public:
    Index next() { return position_++; }

private:
    Index position_ = 0;
};

struct HalfFloat {};  // float16, for which C++20 has no type

template <class Stored>
struct Decoder {
    static constexpr std::size_t bytes = sizeof(Stored);
    static double value(Word<bytes> word) { return static_cast<double>(std::bit_cast<Stored>(word)); }
    static const char* refusal(Word<bytes> word) {
        if constexpr (std::is_integral_v<Stored> && bytes == 8) {
            constexpr Stored limit = Stored{1} << 53;
            const auto stored = std::bit_cast<Stored>(word);
            bool beyond = stored > limit;
            if constexpr (std::is_signed_v<Stored>) beyond = beyond || stored < -limit;
            if (beyond) return "lies beyond 2^53, where float64 does not hold every integer; store it as float64 or scale it";
        }
        return nullptr;
    }
};
template <>
struct Decoder<HalfFloat> {
    static constexpr std::size_t bytes = 2;
    static double value(std::uint16_t word) { return half_to_double(word); }
    static const char* refusal(std::uint16_t) { return nullptr; }
};
template <>
struct Decoder<bool> {
    static constexpr std::size_t bytes = 1;
    static double value(std::uint8_t word) { return word; }
    static const char* refusal(std::uint8_t word) { return word > 1 ? "is neither 0 nor 1, in an array of bool" : nullptr; }
};

template <class Stored>
std::string stored_text(Word<Decoder<Stored>::bytes> word) {
    if constexpr (std::is_integral_v<Stored> && !std::is_same_v<Stored, bool>)
        return fmt::format("{}", std::bit_cast<Stored>(word));
    else
        return fmt::format("{}", Decoder<Stored>::value(word));
}

template <std::size_t bytes>
Word<bytes> load_word(const unsigned char* from, bool swap) {
    unsigned char raw[bytes];
    if (swap)
        std::reverse_copy(from, from + bytes, raw);
    else
        std::copy(from, from + bytes, raw);
    Word<bytes> word;
    std::memcpy(&word, raw, bytes);
    return word;
}

template <class Stored, class Order>
void decode(ByteSource& source, const ElementFormat& format, Order order, Array& array) {
    constexpr std::size_t bytes = Decoder<Stored>::bytes;
    const bool swap = format.big_endian != (std::endian::native == std::endian::big);
    const auto total = static_cast<Index>(array.values.size());
    const std::string what = fmt::format("the values of {} {}", format.name, shape_text(array.shape));
    std::vector<unsigned char> buffer(chunk * bytes);
    for (Index first = 0; first < total; first += chunk) {
        const Index count = std::min(chunk, total - first);
        source.read(buffer.data(), static_cast<std::size_t>(count) * bytes, what);
        for (Index i = 0; i < count; ++i) {
            const auto word = load_word<bytes>(buffer.data() + static_cast<std::size_t>(i) * bytes, swap);
            const Index to = order.next();
            if (const char* reason = Decoder<Stored>::refusal(word))
                throw Error(ErrorCode::io,
                            fmt::format("{}: {} at {} {}", source.name(), stored_text<Stored>(word), index_text(array.shape, to), reason));
            array.values[static_cast<std::size_t>(to)] = Decoder<Stored>::value(word);
        }
    }
}

template <class Stored>
void decode(ByteSource& source, const ElementFormat& format, bool fortran_order, Array& array) {
    if (fortran_order)
        decode<Stored>(source, format, FortranOrder(array.shape), array);
    else
        decode<Stored>(source, format, RowMajorOrder(), array);
}

void decode_any(ByteSource& source, const ElementFormat& format, bool fortran_order, Array& array) {
    const auto is = [&](char kind, Index bytes) { return format.kind == kind && format.bytes == bytes; };
    if (is('f', 8)) return decode<double>(source, format, fortran_order, array);
    if (is('f', 4)) return decode<float>(source, format, fortran_order, array);
    if (is('f', 2)) return decode<HalfFloat>(source, format, fortran_order, array);
    if (is('i', 1)) return decode<std::int8_t>(source, format, fortran_order, array);
    if (is('i', 2)) return decode<std::int16_t>(source, format, fortran_order, array);
    if (is('i', 4)) return decode<std::int32_t>(source, format, fortran_order, array);
    if (is('i', 8)) return decode<std::int64_t>(source, format, fortran_order, array);
    if (is('u', 1)) return decode<std::uint8_t>(source, format, fortran_order, array);
    if (is('u', 2)) return decode<std::uint16_t>(source, format, fortran_order, array);
    if (is('u', 4)) return decode<std::uint32_t>(source, format, fortran_order, array);
    if (is('u', 8)) return decode<std::uint64_t>(source, format, fortran_order, array);
    if (is('b', 1)) return decode<bool>(source, format, fortran_order, array);
    throw Error(ErrorCode::io, fmt::format("{}: no reader for elements of type {}", source.name(), format.name));
}

/// Throws Error(io) where that cannot be counted.
Index element_count(const ByteSource& source, const ElementFormat& format, const std::vector<Index>& shape) {
    try {
        return checked_product(shape, format.bytes, "");
    } catch (const Error&) {  // of a file, such a promise is a lie whatever the memory
        throw Error(ErrorCode::io, fmt::format("{}: its header promises {} {}, which is more than a file can hold; {} bytes follow",
                                               source.name(), format.name, shape_text(shape), source.most_left()));
    }
}

}  // namespace

std::string shape_text(const std::vector<Index>& shape) {
    return fmt::format("({}{})", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
}

std::string index_text(const std::vector<Index>& shape, Index element) {
    std::vector<Index> at(shape.size());
    for (std::size_t k = shape.size(); k-- > 0; element /= shape[k]) at[k] = element % shape[k];
    return fmt::format("[{}]", fmt::join(at, ", "));
}

Index promised_elements(const ByteSource& source, const ElementFormat& format, const std::vector<Index>& shape) {
    const Index count = element_count(source, format, shape);
    const std::uint64_t promised = static_cast<std::uint64_t>(count) * static_cast<std::uint64_t>(format.bytes), held = source.most_left();
    if (promised > held || (source.exact() && promised < held))
        throw Error(ErrorCode::io, fmt::format("{}: {}: its header promises {} {}, which is {} bytes, and {}{} bytes follow the header",
                                               source.name(), promised > held ? "truncated" : "surplus bytes", format.name,
                                               shape_text(shape), promised, source.exact() ? "" : "at most ", held));
    return count;
}

Array read_array(ByteSource& source, const ElementFormat& format, std::vector<Index> shape, bool fortran_order) {
    const auto count = static_cast<std::uint64_t>(promised_elements(source, format, shape));
    const std::string what = fmt::format("{} {}", format.name, shape_text(shape));
    require_memory(count * sizeof(double), fmt::format("{}: {} as float64", source.name(), what));
    Array array;
    array.shape = std::move(shape);
    array.integral = format.kind != 'f';
    try {
        array.values.resize(count);
    } catch (const std::bad_alloc&) {
        throw Error(ErrorCode::out_of_memory, fmt::format("{}: {} as float64 needs {} bytes of memory, which the system refused",
                                                          source.name(), what, count * sizeof(double)));
    }
    decode_any(source, format, fortran_order, array);
    source.expect_end("the values of " + what);
    return array;
}

void require_finite(const Array& array, const std::string& name) {
    const auto bad = std::find_if(array.values.begin(), array.values.end(), [](double v) { return !std::isfinite(v); });
    if (bad != array.values.end())
        throw Error(ErrorCode::io, fmt::format("{}: {} at {} (counted from 0), where a finite number was expected", name,
                                               std::isnan(*bad) ? "NaN" : "Inf", index_text(array.shape, bad - array.values.begin())));
}

std::pair<Index, Index> samples_shape(const std::vector<Index>& shape, const std::string& name) {
    if (shape.size() < 2)
        throw Error(ErrorCode::io,
                    fmt::format("{}: an array of shape {} has fewer than two axes: expected samples x features", name, shape_text(shape)));
    const Index features = std::accumulate(shape.begin() + 1, shape.end(), Index{1}, std::multiplies<>());
    if (shape.front() == 0 || features == 0)
        throw Error(ErrorCode::io, fmt::format("{}: an array of shape {} holds no samples or no features", name, shape_text(shape)));
    return {shape.front(), features};
}

HostMatrix<double> take_samples(Array&& array, const std::string& name) {
    (void)samples_shape(array.shape, name);
    require_finite(array, name);
    return std::move(array).as_matrix();
}

}  // namespace ntk

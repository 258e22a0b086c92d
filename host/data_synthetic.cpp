#include "data_synthetic.hpp"

#include "memory_limit.hpp"
#include "row_norm.hpp"

#include <ntkcuda/random.hpp>

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

namespace ntk {
namespace {

[[noreturn]] void fail(const std::string& source, const std::string& found) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{}: {}: expected the form sphere:n=200,d=10,seed=1 or gaussian:n=200,d=10,seed=1", source, found));
}

template <class Integer>
Integer parse(const std::string& source, const std::string& key, std::string_view text, Integer least) {
    Integer value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::result_out_of_range) fail(source, fmt::format("{}={} does not fit into 64 bits", key, text));
    if (error != std::errc{} || stop != text.data() + text.size()) fail(source, fmt::format("{}='{}' is not a whole number", key, text));
    if (value < least) fail(source, fmt::format("{}={} is less than {}", key, text, least));
    return value;
}

std::map<std::string, std::string, std::less<>> parse_keys(const std::string& source, std::string_view text) {
    std::map<std::string, std::string, std::less<>> values;
    while (true) {
        const std::size_t comma = text.find(',');
        const std::string_view item = text.substr(0, comma);
        const std::size_t equals = item.find('=');
        const std::string key(item.substr(0, equals));
        if (equals == std::string_view::npos) fail(source, fmt::format("'{}' is not of the form key=value", item));
        if (key != "n" && key != "d" && key != "seed") fail(source, fmt::format("unknown key '{}'", key));
        if (!values.emplace(key, item.substr(equals + 1)).second) fail(source, fmt::format("key '{}' is given twice", key));
        if (comma == std::string_view::npos) break;
        text.remove_prefix(comma + 1);
    }
    for (const char* key : {"n", "d", "seed"})
        if (!values.contains(key)) fail(source, fmt::format("key '{}' is missing", key));
    return values;
}

struct Parameters {
    Index n, d;
    std::uint64_t seed;
};

Parameters parameters_of(const std::string& source) {
    const std::size_t colon = source.find(':');
    if (colon == std::string::npos) fail(source, "has no parameters");
    const auto keys = parse_keys(source, std::string_view(source).substr(colon + 1));
    const Parameters parameters{parse<Index>(source, "n", keys.at("n"), 1), parse<Index>(source, "d", keys.at("d"), 1),
                                parse<std::uint64_t>(source, "seed", keys.at("seed"), 0)};
    (void)checked_product({parameters.n, parameters.d}, sizeof(double), source);
    return parameters;
}

}  // namespace

bool is_synthetic(const std::string& source) {
    const std::string kind = source.substr(0, source.find(':'));
    return kind == "sphere" || kind == "gaussian";
}

std::pair<Index, Index> synthetic_shape(const std::string& source) {
    const Parameters parameters = parameters_of(source);
    return {parameters.n, parameters.d};
}

HostMatrix<double> synthetic_samples(const std::string& source) {
    const auto [n, d, seed] = parameters_of(source);
    require_memory(static_cast<std::uint64_t>(n * d) * sizeof(double), source);
    HostMatrix<double> x = host_normals({seed, 0, data_stream}, n, d);
    if (source.starts_with("sphere")) rescale_rows(x, std::sqrt(static_cast<double>(d)), source);
    return x;
}

}  // namespace ntk

#include "text_number.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace ntk {

NumberText parse_number(std::string_view field, double& value) {
    if (field.empty()) return NumberText::empty;
    if (field.size() > 1 && field[0] == '+' && field[1] != '-') field.remove_prefix(1);
    double parsed = 0;
    const auto [stop, error] = std::from_chars(field.data(), field.data() + field.size(), parsed);
    if (stop != field.data() + field.size() || error == std::errc::invalid_argument) return NumberText::text;
    if (error == std::errc::result_out_of_range) return NumberText::out_of_range;
    if (!std::isfinite(parsed)) return NumberText::not_finite;
    value = parsed;
    return NumberText::number;
}

std::string quoted_for_message(std::string_view text) {
    constexpr std::size_t longest = 40;
    std::string result = "'";
    for (const char c : text.substr(0, longest)) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        else
            result += c;
    }
    return result + (text.size() > longest ? "...'" : "'");
}

std::string describe_bad_number(NumberText kind, std::string_view field) {
    switch (kind) {
        case NumberText::empty:
            return "an empty field";
        case NumberText::not_finite:
            return quoted_for_message(field) + " (NaN or Inf)";
        case NumberText::out_of_range:
            return quoted_for_message(field) + ", outside the range of float64,";
        default:
            return "the text " + quoted_for_message(field);
    }
}

std::string number_text(double value) {
    if (value == 0) return "0";  // also -0
    if (value == std::rint(value) && std::abs(value) < 0x1p53) return fmt::format("{}", static_cast<long long>(value));
    return fmt::format("{}", value);
}

}  // namespace ntk

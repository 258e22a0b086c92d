#pragma once

// Numbers in text, independent of the locale.

#include <cstdint>
#include <string>
#include <string_view>

namespace ntk {

enum class NumberText { number, not_finite, out_of_range, text, empty };

/// What `field` (without spaces around it) is; `value` is set for `number` only. One leading '+' is allowed.
NumberText parse_number(std::string_view field, double& value);

/// For messages: the text in quotes, control characters escaped, cut after 40 characters.
[[nodiscard]] std::string quoted_for_message(std::string_view text);

/// What was found, for messages: "NaN or Inf ('nan')", "the empty field", "'abc'", ..
[[nodiscard]] std::string describe_bad_number(NumberText kind, std::string_view field);

/// The shortest text that reads back as the same number; integers without a point.
[[nodiscard]] std::string number_text(double value);

}  // namespace ntk

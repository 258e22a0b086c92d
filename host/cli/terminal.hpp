#pragma once

// What a terminal gets that a file or a pipe does not.

#include <cstdio>
#include <string>

namespace ntk::cli {

[[nodiscard]] bool is_terminal(std::FILE* to);
/// A terminal, unless NO_COLOR is set to anything (no-color.org) or it can do nothing (TERM=dumb).
[[nodiscard]] bool takes_colours(std::FILE* to);

/// Escape codes; empty where no colours are taken.
struct Paint {
    const char *begin, *end;
};
enum class Colour { good, warning, bad };
[[nodiscard]] Paint paint(std::FILE* to, Colour colour);
/// The text in that colour, if `to` takes colours.
[[nodiscard]] std::string painted(std::FILE* to, Colour colour, const std::string& text);

}  // namespace ntk::cli

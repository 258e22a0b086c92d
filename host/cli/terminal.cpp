#include "terminal.hpp"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace ntk::cli {

bool is_terminal(std::FILE* to) { return isatty(fileno(to)) != 0; }

bool takes_colours(std::FILE* to) {
    const char *const refused = std::getenv("NO_COLOR"), *const kind = std::getenv("TERM");
    const bool dumb = kind != nullptr && std::string_view(kind) == "dumb";
    return is_terminal(to) && (refused == nullptr || *refused == '\0') && !dumb;
}

Paint paint(std::FILE* to, Colour colour) {
    if (!takes_colours(to)) return {"", ""};
    const char* begin = colour == Colour::good ? "\033[32m" : colour == Colour::warning ? "\033[1;33m" : "\033[1;31m";
    return {begin, "\033[0m"};
}

std::string painted(std::FILE* to, Colour colour, const std::string& text) {
    const auto [begin, end] = paint(to, colour);
    return begin + text + end;
}

}  // namespace ntk::cli

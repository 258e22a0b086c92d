#pragma once

#include <ntkcuda/matrix.hpp>

#include <string>
#include <string_view>

namespace ntk {

/// Walks over the fields of a CSV text, RFC 4180 with LF or CRLF. The text must outlive the scanner.
class CsvScanner {
public:
    struct Field {
        std::string_view text;  ///< valid until the next call
        bool quoted = false;
        bool last = false;  ///< of its record
    };

    /// Skips a UTF-8 byte order mark. Throws Error(io) for UTF-16 and for NUL bytes, which no text has.
    CsvScanner(std::string path, std::string_view text);

    void rewind();
    /// Whether only blank lines are left. Throws Error(io) for a blank line above other lines.
    [[nodiscard]] bool at_end() const;
    /// The next field; spaces around an unquoted one are dropped. Throws Error(io) for a quote that is not closed, or text after a closing
    /// quote.
    Field next();
    /// The next field if it is a plain finite number (then `last` is that of the field); nothing is consumed otherwise.
    bool next_number(double& value, bool& last);
    /// Line of the next field, from 1.
    [[nodiscard]] Index line() const { return line_; }
    /// Lines that are left, at most.
    [[nodiscard]] Index most_lines() const;

private:
    [[nodiscard]] bool line_end(const char* p) const;
    bool finish_field();
    Field next_quoted();
    [[noreturn]] void fail(Index line, const std::string& message) const;

    std::string path_;
    const char *begin_, *end_, *at_;
    Index line_ = 1;
    std::string unquoted_;
};

}  // namespace ntk

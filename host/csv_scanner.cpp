#include "csv_scanner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

namespace ntk {
namespace {

bool blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

}  // namespace

CsvScanner::CsvScanner(std::string path, std::string_view text) : path_(std::move(path)) {
    if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) fail(1, "is UTF-16 text: expected UTF-8, save it as such");
    if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos)
        fail(1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(zero), '\n'),
             fmt::format("byte {} is 0: this is not text, and CSV was expected", zero));
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    begin_ = at_ = text.data();
    end_ = begin_ + text.size();
}

void CsvScanner::rewind() {
    at_ = begin_;
    line_ = 1;
}

bool CsvScanner::line_end(const char* p) const { return p == end_ || *p == '\n' || (*p == '\r' && (p + 1 == end_ || p[1] == '\n')); }

bool CsvScanner::at_end() const {
    const char* p = at_;
    while (p != end_ && blank(*p)) ++p;
    if (!line_end(p)) return false;
    if (std::all_of(p, end_, [](char c) { return blank(c) || c == '\n' || c == '\r'; })) return true;
    fail(line_, "is blank, and lines with fields follow");
}

/// Steps over what ends a field, a comma or the end of the line, and says whether the record ends there.
bool CsvScanner::finish_field() {
    if (at_ != end_ && *at_ == ',') {
        ++at_;
        return false;
    }
    if (at_ != end_ && *at_ == '\r') ++at_;
    if (at_ != end_) ++at_;
    ++line_;
    return true;
}

bool CsvScanner::next_number(double& value, bool& last) {
    double parsed = 0;
    const auto [stop, error] = std::from_chars(at_, end_, parsed);
    if (error != std::errc{} || !std::isfinite(parsed) || !(line_end(stop) || *stop == ',')) return false;
    value = parsed;
    at_ = stop;
    last = finish_field();
    return true;
}

CsvScanner::Field CsvScanner::next() {
    const char* start = at_;
    while (start != end_ && blank(*start)) ++start;
    if (start != end_ && *start == '"') {
        at_ = start;
        return next_quoted();
    }
    const char* stop = start;
    while (!line_end(stop) && *stop != ',') ++stop;
    at_ = stop;
    Field field{trimmed({start, static_cast<std::size_t>(stop - start)})};
    field.last = finish_field();
    return field;
}

CsvScanner::Field CsvScanner::next_quoted() {
    const Index opened = line_;
    unquoted_.clear();
    for (++at_;;) {
        const auto* quote = static_cast<const char*>(std::memchr(at_, '"', static_cast<std::size_t>(end_ - at_)));
        if (!quote) fail(opened, "a quoted field is not closed before the end of the file");
        unquoted_.append(at_, quote);
        line_ += std::count(at_, quote, '\n');
        at_ = quote + 1;
        if (at_ == end_ || *at_ != '"') break;
        unquoted_ += *at_++;
    }
    while (at_ != end_ && blank(*at_)) ++at_;
    if (!line_end(at_) && *at_ != ',') fail(line_, "text after the closing quote of a field: expected a comma or the end of the line");
    Field field{unquoted_, true};
    field.last = finish_field();
    return field;
}

Index CsvScanner::most_lines() const { return 1 + std::count(at_, end_, '\n'); }

void CsvScanner::fail(Index line, const std::string& message) const {
    throw Error(ErrorCode::io, fmt::format("{}:{}: {}", path_, line, message));
}

}  // namespace ntk

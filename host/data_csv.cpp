#include "data_csv.hpp"

#include "byte_source.hpp"
#include "csv_scanner.hpp"
#include "memory_limit.hpp"
#include "text_number.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

namespace ntk {
namespace {

bool is_number(const std::string& field) {
    double value = 0;
    const NumberText kind = parse_number(field, value);
    return kind != NumberText::text && kind != NumberText::empty;
}

std::vector<std::string> read_record(CsvScanner& scanner) {
    std::vector<std::string> fields;
    for (bool last = false; !last;) {
        const CsvScanner::Field field = scanner.next();
        fields.emplace_back(field.text);
        last = field.last;
    }
    return fields;
}

std::string separator_hint(const std::vector<std::string>& first) {
    if (first.size() != 1) return {};
    if (first[0].find(';') != std::string::npos) return "; fields are separated by commas, and this line has semicolons";
    if (first[0].find('\t') != std::string::npos) return "; fields are separated by commas, and this line has tabs";
    return {};
}

/// The column of --target, from 0; -1 for none. `named` is set when it was found by its name, so that the first line is a header.
Index find_target(const std::optional<std::string>& target, const std::vector<std::string>& first, const std::string& path, bool& named) {
    const auto columns = static_cast<Index>(first.size());
    if (target == "none") return -1;
    if (!target) return columns - 1;
    Index number = 0;
    const auto [stop, error] = std::from_chars(target->data(), target->data() + target->size(), number);
    if (error == std::errc{} && stop == target->data() + target->size() && number >= 1 && number <= columns) return number - 1;
    const auto matches = std::count(first.begin(), first.end(), *target);
    if (matches != 1 || target->empty()) {
        constexpr std::size_t most_listed = 20;
        const bool all = first.size() <= most_listed;
        const std::vector<std::string> listed(first.begin(), all ? first.end() : first.begin() + most_listed);
        throw Error(
            ErrorCode::invalid_argument,
            fmt::format("{}: {} column {} for the target: expected a number from 1 to {}, none, or one name of its first line ({}{})", path,
                        matches > 1 ? "more than one" : "no", quoted_for_message(*target), columns, fmt::join(listed, ", "),
                        all ? "" : ", .."));
    }
    named = true;
    return std::find(first.begin(), first.end(), *target) - first.begin();
}

/// Whether the features of the first line are names. Throws when they are numbers and text mixed.
bool features_are_names(const std::vector<std::string>& first, Index target_column, Index line, const std::string& path) {
    Index number = -1, text = -1;
    for (Index c = 0; c < static_cast<Index>(first.size()); ++c) {
        if (c == target_column) continue;
        const std::string& field = first[static_cast<std::size_t>(c)];
        if (is_number(field))
            number = c;
        else if (!field.empty() && text < 0)
            text = c;
    }
    if (number < 0) return text >= 0;
    if (text >= 0)
        throw Error(
            ErrorCode::io,
            fmt::format(
                "{}:{}: column {}: the text {} where a number was expected (the line is no header either: column {} has the number {})",
                path, line, text + 1, quoted_for_message(first[static_cast<std::size_t>(text)]), number + 1,
                first[static_cast<std::size_t>(number)]));
    return false;
}

class TableReader {
public:
    TableReader(CsvScanner& scanner, CsvTable& table, Index columns, Index columns_line)
        : scanner_(scanner), table_(table), columns_(columns), columns_line_(columns_line) {}

    /// All records that are left.
    void read(std::uint64_t text_bytes) {
        const Index features = columns_ - (table_.target_column >= 0 ? 1 : 0);
        // A number takes two characters at least, so that short lines below a long first one promise nothing.
        const std::uint64_t most =
            std::min(static_cast<std::uint64_t>(scanner_.most_lines()) * static_cast<std::uint64_t>(features), text_bytes / 2 + 1);
        require_memory(most * sizeof(double), table_.path + " as float64");
        std::vector<double> values;
        values.reserve(most);
        while (!scanner_.at_end()) {
            table_.line.push_back(scanner_.line());
            bool last = false;
            for (Index c = 0; c < columns_; ++c) {
                if (last) ragged(c);
                if (c == table_.target_column)
                    table_.target.emplace_back(target_field(last));
                else
                    values.push_back(number(c, last));
            }
            if (!last) ragged(columns_ + static_cast<Index>(read_record(scanner_).size()));
        }
        table_.features = {static_cast<Index>(table_.line.size()), features, std::move(values)};
    }

private:
    [[noreturn]] void ragged(Index found) const {
        throw Error(ErrorCode::io, fmt::format("{}:{}: has {} columns, and line {} has {}: expected as many in every line", table_.path,
                                               table_.line.back(), found, columns_line_, columns_));
    }
    std::string target_field(bool& last) {
        const CsvScanner::Field field = scanner_.next();
        last = field.last;
        return std::string(field.text);
    }
    double number(Index column, bool& last) {
        double value = 0;
        if (scanner_.next_number(value, last)) return value;
        const CsvScanner::Field field = scanner_.next();
        last = field.last;
        if (const NumberText kind = parse_number(field.text, value); kind != NumberText::number)
            throw Error(ErrorCode::io, fmt::format("{}: {} where a finite number was expected",
                                                   table_.where(static_cast<Index>(table_.line.size()) - 1, column),
                                                   describe_bad_number(kind, field.text)));
        return value;
    }

    CsvScanner& scanner_;
    CsvTable& table_;
    Index columns_, columns_line_;
};

void require_records(const CsvScanner& scanner, const std::string& path) {
    if (scanner.at_end()) throw Error(ErrorCode::io, path + ": holds no samples: there is nothing in it but blank lines");
}

/// The first sample is in truth the header.
void make_first_sample_the_header(CsvTable& table, std::vector<std::string> names) {
    table.header = std::move(names);
    table.line.erase(table.line.begin());
    table.target.erase(table.target.begin());
    const Index columns = table.features.cols();
    std::vector<double> rest(table.features.data() + columns, table.features.data() + table.features.size());
    table.features = {static_cast<Index>(table.line.size()), columns, std::move(rest)};
}

bool text_above_numbers(const std::vector<std::string>& target) {
    return target.size() > 1 && !is_number(target[0]) && std::all_of(target.begin() + 1, target.end(), is_number);
}

}  // namespace

std::string CsvTable::where(Index sample, Index column) const {
    const auto c = static_cast<std::size_t>(column);
    return fmt::format("{}:{}: column {}{}", path, line[static_cast<std::size_t>(sample)], column + 1,
                       c < header.size() ? " (" + quoted_for_message(header[c]) + ")" : "");
}

CsvTable read_csv(const std::string& path, const std::optional<std::string>& target) {
    const std::string text = read_file(path);
    CsvScanner scanner(path, text);
    require_records(scanner, path);
    CsvTable table;
    table.path = path;
    const Index first_line = scanner.line();
    std::vector<std::string> first = read_record(scanner);
    bool header = false;
    table.target_column = find_target(target, first, path, header);
    if (first.size() == 1 && table.target_column == 0)
        throw Error(
            ErrorCode::io,
            fmt::format("{}:{}: has one column only, and that is the target: expected features beside it (--target none for no target){}",
                        path, first_line, separator_hint(first)));
    header = header || features_are_names(first, table.target_column, first_line, path);
    const auto columns = static_cast<Index>(first.size());
    if (header)
        table.header = first;
    else
        scanner.rewind();
    TableReader(scanner, table, columns, first_line).read(text.size());
    if (!header && text_above_numbers(table.target)) make_first_sample_the_header(table, std::move(first));
    if (table.line.empty())
        throw Error(ErrorCode::io,
                    fmt::format("{}: holds no samples: line {} was read as a header ({} is not a number), and no line follows{}", path,
                                first_line, quoted_for_message(first[0]), separator_hint(first)));
    return table;
}

CsvTable read_csv_labels(const std::string& path, Index samples) {
    const std::string text = read_file(path);
    CsvScanner scanner(path, text);
    require_records(scanner, path);
    const Index first_line = scanner.line();
    std::vector<std::string> first = read_record(scanner);
    if (first.size() != 1)
        throw Error(ErrorCode::io, fmt::format("{}:{}: has {} columns: expected one column of labels", path, first_line, first.size()));
    scanner.rewind();
    CsvTable table;
    table.path = path;
    table.target_column = 0;
    TableReader(scanner, table, 1, first_line).read(text.size());
    if (static_cast<Index>(table.line.size()) == samples + 1 && !is_number(first[0])) make_first_sample_the_header(table, std::move(first));
    if (static_cast<Index>(table.line.size()) != samples)
        throw Error(ErrorCode::io, fmt::format("{}: has {} labels, and there are {} samples", path, table.line.size(), samples));
    return table;
}

}  // namespace ntk

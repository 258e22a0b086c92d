#include "value_list.hpp"

#include <ntkcuda/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

namespace ntk::cli {
namespace {

constexpr std::size_t most_values = 10000;

class ValueList {
public:
    ValueList(const std::string& option, const std::string& text) : option_(option), text_(text) {
        for (const std::string& item : fields(text, ',')) {
            if (item.find(':') != std::string::npos)
                add_logarithmic(item);
            else
                add(number(item));
        }
        if (values_.empty()) throw bad("no number is given");
        std::sort(values_.begin(), values_.end());
        values_.erase(std::unique(values_.begin(), values_.end()), values_.end());
    }
    [[nodiscard]] std::vector<double> take() { return std::move(values_); }

private:
    [[nodiscard]] Error bad(const std::string& why) const {
        return {ErrorCode::invalid_argument,
                fmt::format("{} '{}': {}; expected a number >= 0, or several such as 0,1e-6,1e-3 or 1e-8:1:log (five a decade)", option_,
                            text_, why)};
    }
    [[nodiscard]] double number(const std::string& item) const {
        double value = 0;
        const auto [stop, error] = std::from_chars(item.data(), item.data() + item.size(), value);
        if (error != std::errc{} || stop != item.data() + item.size() || !(value >= 0))
            throw bad(fmt::format("'{}' is not a number >= 0", item));
        return value;
    }
    void add(double value) {
        if (values_.size() == most_values) throw bad(fmt::format("more than {} values", most_values));
        values_.push_back(value);
    }
    void add_logarithmic(const std::string& item) {
        const auto range = fields(item, ':');
        if (range.size() < 3 || range.size() > 4 || range[2] != "log") throw bad("a range is FIRST:LAST:log or FIRST:LAST:log:N");
        const double first = number(range[0]), last = number(range[1]), per_decade = range.size() == 4 ? number(range[3]) : 5;
        if (!(first > 0) || !std::isfinite(last) || last < first)
            throw bad(fmt::format("the range {}:{} does not ascend from a number > 0 to a finite one", range[0], range[1]));
        if (!(per_decade >= 1) || !std::isfinite(per_decade)) throw bad(fmt::format("'{}' is no number of values a decade", range[3]));
        for (double k = 0;; ++k) {
            const double value = std::pow(10, std::log10(first) + k / per_decade);
            if (!(value < last * (1 - 1e-9))) break;  // the last comes below, as it is written
            add(k == 0 ? first : value);
        }
        add(last);
    }

    const std::string &option_, &text_;
    std::vector<double> values_;
};

}  // namespace

std::vector<std::string> fields(const std::string& text, char delimiter) {
    std::vector<std::string> result;
    std::istringstream stream(text);
    for (std::string field; std::getline(stream, field, delimiter);) result.push_back(field);
    return result;
}

std::vector<double> parse_values(const std::string& option, const std::string& text) { return ValueList(option, text).take(); }

}  // namespace ntk::cli

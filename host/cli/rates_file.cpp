#include "rates_file.hpp"

#include <ntkcuda/version.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <fstream>

namespace ntk::cli {
namespace {

using Json = nlohmann::ordered_json;

/// Reads one file, and refuses by name what it does not expect.
class RatesReader {
public:
    explicit RatesReader(const std::string& path) : path_(path) {
        std::ifstream file(path);
        if (!file) fail("cannot be read");
        document_ = Json::parse(file, nullptr, false);
        if (!document_.is_object()) fail("is not a JSON object");
    }

    [[nodiscard]] Rates read() const {
        require_names(document_, "", {"device", "kind", "source", "memory", "fp64", "fp32"});
        Rates rates;
        rates.device = text("device");
        rates.source = text("source");
        const std::string kind = text("kind");
        if (kind != "cpu" && kind != "cuda") fail(fmt::format("'kind' is '{}': expected cpu or cuda", kind));
        rates.kind = kind == "cpu" ? DeviceKind::cpu : DeviceKind::cuda;
        rates.memory = number(document_, "memory", "", false);
        rates.fp64 = table("fp64");
        rates.fp32 = table("fp32");
        return rates;
    }

private:
    [[noreturn]] void fail(const std::string& what) const { throw Error(ErrorCode::io, fmt::format("--rates {}: {}", path_, what)); }

    void require_names(const Json& object, const std::string& where, const std::vector<std::string>& known) const {
        for (const auto& [name, value] : object.items())
            if (std::find(known.begin(), known.end(), name) == known.end())
                fail(fmt::format("unknown name '{}{}'; expected one of {}", where, name, fmt::join(known, ", ")));
    }
    [[nodiscard]] std::string text(const char* name) const {
        const auto found = document_.find(name);
        if (found == document_.end() || !found->is_string()) fail(fmt::format("'{}' is missing, or is not a text", name));
        return found->get<std::string>();
    }
    [[nodiscard]] double number(const Json& object, const char* name, const std::string& where, bool zero) const {
        const auto found = object.find(name);
        const double value = found != object.end() && found->is_number() ? found->get<double>() : NAN;
        if (!std::isfinite(value) || value < 0 || (value == 0 && !zero))
            fail(fmt::format("'{}{}' is missing, or is not a {} number", where, name, zero ? "non-negative" : "positive"));
        return value;
    }
    [[nodiscard]] std::map<Operation, Rate> table(const char* precision) const {
        std::map<Operation, Rate> rates;
        const auto found = document_.find(precision);
        if (found == document_.end()) return rates;
        if (!found->is_object()) fail(fmt::format("'{}' is not a JSON object", precision));
        std::vector<std::string> known;
        for (const Operation operation : all_operations()) known.emplace_back(to_string(operation));
        require_names(*found, std::string(precision) + ".", known);
        for (const Operation operation : all_operations()) {
            const auto entry = found->find(to_string(operation));
            if (entry == found->end()) continue;
            const std::string where = fmt::format("{}.{}.", precision, to_string(operation));
            if (!entry->is_object()) fail(fmt::format("'{}.{}' is not a JSON object", precision, to_string(operation)));
            require_names(*entry, where, {"per_second", "half_at"});
            rates[operation] = {number(*entry, "per_second", where, false), number(*entry, "half_at", where, true)};
        }
        return rates;
    }

    std::string path_;
    Json document_;
};

Json table_json(const std::map<Operation, Rate>& rates) {
    Json table = Json::object();
    for (const auto& [operation, rate] : rates) table[to_string(operation)] = {{"per_second", rate.per_second}, {"half_at", rate.half_at}};
    return table;
}

}  // namespace

Json rates_json(const Rates& rates) {
    return {{"device", rates.device},         {"kind", rates.kind == DeviceKind::cpu ? "cpu" : "cuda"},
            {"source", rates.source},         {"memory", rates.memory},
            {"fp64", table_json(rates.fp64)}, {"fp32", table_json(rates.fp32)}};
}

std::string measured_source(int threads, int ranks) {
    const std::string by = fmt::format("measured by ntkcuda {} on {} thread{}", NTKCUDA_VERSION, threads, threads == 1 ? "" : "s");
    return ranks == 1 ? by : fmt::format("{} of each of {} ranks at once", by, ranks);
}

Rates read_rates(const std::string& path) { return RatesReader(path).read(); }

}  // namespace ntk::cli

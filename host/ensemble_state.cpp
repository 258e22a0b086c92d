#include "ensemble_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ntk {

std::vector<double> to_numbers(const EnsembleState& state) {
    std::vector<double> numbers{static_cast<double>(state.moments.count()), static_cast<double>(state.moments.columns()),
                                static_cast<double>(state.products.columns()), static_cast<double>(state.histograms.size())};
    const auto append = [&](const auto* data, Index size) { numbers.insert(numbers.end(), data, data + size); };
    append(state.moments.values().data(), state.moments.values().size());
    append(state.centres.data(), std::ssize(state.centres));
    append(state.products.values().data(), state.products.values().size());
    for (const ValueHistogram& histogram : state.histograms) {
        numbers.push_back(static_cast<double>(histogram.bins().size()));
        for (const auto& [bin, count] : histogram.bins())
            numbers.insert(numbers.end(), {static_cast<double>(bin), static_cast<double>(count)});
    }
    return numbers;
}

EnsembleState from_numbers(const std::vector<double>& numbers, const std::string& source) {
    auto at = numbers.begin();
    const auto next = [&] {
        if (at == numbers.end()) throw Error(ErrorCode::io, fmt::format("{}: too short for the state of an ensemble", source));
        return *at++;
    };
    const auto whole = [&] {
        const double value = next();
        if (!(value >= 0 && value <= 0x1p53 && value == std::floor(value)))
            throw Error(ErrorCode::io,
                        fmt::format("{}: {} where a number of things was expected: not the state of an ensemble", source, value));
        return static_cast<Index>(value);
    };
    const auto moments = [&](Index count, Index columns) {
        HostMatrix<double> values(6, columns);
        std::generate(values.data(), values.data() + values.size(), next);
        return Moments(count, std::move(values));
    };
    const Index networks = whole(), columns = whole(), products = whole(), histograms = whole();
    if (columns > std::ssize(numbers) || products > std::ssize(numbers))
        throw Error(ErrorCode::io, fmt::format("{}: too short for the state of an ensemble", source));
    EnsembleState state;
    state.moments = moments(networks, columns);
    for (Index i = 0; i < products; ++i) state.centres.push_back(next());
    state.products = moments(networks, products);
    for (Index h = 0; h < histograms; ++h) {
        ValueHistogram histogram;
        for (Index bins = whole(); bins > 0; --bins) {
            const double bin = next();
            if (!(std::fabs(bin) < 0x1p31)) throw Error(ErrorCode::io, fmt::format("{}: no bin has the number {}", source, bin));
            histogram.add_bin(static_cast<std::int32_t>(bin), static_cast<std::uint64_t>(whole()));
        }
        state.histograms.push_back(std::move(histogram));
    }
    return state;
}

}  // namespace ntk

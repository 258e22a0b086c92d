#include <ntkcuda/data.hpp>

#include <Random123/philox.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace ntk {
namespace {

/// A stream that no weights, biases or synthetic inputs use (random.hpp).
constexpr std::uint32_t split_stream = 0xfffffffeU;

/// Random words of 64 bits, the same on every machine (std::shuffle differs between libraries).
class PhiloxBits {
public:
    explicit PhiloxBits(std::uint64_t seed) : key_{{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}} {}

    std::uint64_t next() {
        const r123::Philox4x32::ctr_type counter{
            {static_cast<std::uint32_t>(block_), static_cast<std::uint32_t>(block_ >> 32), split_stream, 0}};
        ++block_;
        const auto words = r123::Philox4x32()(counter, key_);
        return std::uint64_t{words[1]} << 32 | words[0];
    }

    /// Uniform on 0 .. count - 1: words in the last, incomplete run of `count` are drawn again.
    std::uint64_t below(std::uint64_t count) {
        const std::uint64_t surplus = (std::numeric_limits<std::uint64_t>::max() % count + 1) % count;
        while (true) {
            const std::uint64_t word = next();
            if (word <= std::numeric_limits<std::uint64_t>::max() - surplus) return word % count;
        }
    }

private:
    r123::Philox4x32::key_type key_;
    std::uint64_t block_ = 0;
};

/// Fisher-Yates.
std::vector<Index> shuffled(Index n, std::uint64_t seed) {
    std::vector<Index> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), Index{0});
    PhiloxBits bits(seed);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[bits.below(i)]);
    return order;
}

HostMatrix<double> select_rows(const HostMatrix<double>& from, const std::vector<Index>& rows) {
    if (!from.has_values()) return HostMatrix<double>::without_values(static_cast<Index>(rows.size()), from.cols());
    HostMatrix<double> result(static_cast<Index>(rows.size()), from.cols());
    for (std::size_t i = 0; i < rows.size(); ++i)
        std::copy_n(from.data() + rows[i] * from.cols(), from.cols(), result.data() + static_cast<Index>(i) * from.cols());
    return result;
}

}  // namespace

Dataset select(const Dataset& data, const std::vector<Index>& rows) {
    for (const Index row : rows)
        if (row < 0 || row >= data.samples())
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("{}: there is no row {}: rows are 0 .. {}", data.source, row, data.samples() - 1));
    Dataset result;
    result.source = data.source;
    result.x = select_rows(data.x, rows);
    if (data.has_targets()) result.y = select_rows(data.y, rows);
    if (!data.label.empty()) {
        result.label.reserve(rows.size());
        for (const Index row : rows) result.label.push_back(data.label[static_cast<std::size_t>(row)]);
    }
    result.classes = data.classes;
    result.default_normalization = data.default_normalization;
    return result;
}

std::pair<Dataset, Dataset> split(const Dataset& data, double fraction, std::uint64_t seed) {
    if (!(fraction > 0 && fraction < 1))
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("a split of {} is no fraction of the samples: expected a number between 0 and 1, both excluded", fraction));
    const auto training = static_cast<Index>(std::round(fraction * static_cast<double>(data.samples())));
    if (training < 1 || training >= data.samples())
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("{}: a split of {} leaves {} of {} samples for training and {} for testing: both need one at least",
                                data.source, fraction, training, data.samples(), data.samples() - training));
    const std::vector<Index> order = shuffled(data.samples(), seed);
    return {select(data, {order.begin(), order.begin() + training}), select(data, {order.begin() + training, order.end()})};
}

}  // namespace ntk

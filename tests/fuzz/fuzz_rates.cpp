#include "input_file.hpp"

#include "host/cli/rates_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace ntk;
    static const fuzz::InputFile file("input.json");
    file.write(bytes, size);
    fuzz::may_refuse([&] {
        const Rates rates = cli::read_rates(file.path());
        fuzz::require(std::isfinite(rates.memory) && rates.memory > 0);
        for (const auto& table : {rates.fp64, rates.fp32})
            for (const auto& [operation, rate] : table) fuzz::require(rate.per_second > 0 && rate.half_at >= 0);
    });
    return 0;
}

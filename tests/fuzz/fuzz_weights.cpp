#include "input_file.hpp"

#include <ntkcuda/array_file.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace ntk;
    static const fuzz::InputFile file("input.npz");
    file.write(bytes, size);
    fuzz::may_refuse([&] {
        const Weights weights = read_weights(file.path());
        for (std::size_t l = 1; l < weights.weights.size(); ++l) fuzz::require(weights.weights[l].cols() == weights.weights[l - 1].rows());
        fuzz::require(weights.biases.empty() || weights.biases.size() == weights.weights.size());
    });
    return 0;
}

#include "input_file.hpp"

#include <ntkcuda/array_file.hpp>

#include <numeric>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace ntk;
    static const fuzz::InputFile file("input.npy");
    file.write(bytes, size);
    fuzz::may_refuse([&] {
        const Array array = read_npy(file.path());
        fuzz::require(std::accumulate(array.shape.begin(), array.shape.end(), Index{1}, std::multiplies<>{}) == std::ssize(array.values));
    });
    fuzz::load({.source = file.path()});
    fuzz::load({.source = file.path(), .labels = file.path()});
    return 0;
}

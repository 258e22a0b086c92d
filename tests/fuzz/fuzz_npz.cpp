#include "input_file.hpp"

#include <ntkcuda/array_file.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace ntk;
    static const fuzz::InputFile file("input.npz");
    file.write(bytes, size);
    fuzz::may_refuse([&] { (void)read_npz(file.path()); });
    fuzz::load({.source = file.path()});
    return 0;
}

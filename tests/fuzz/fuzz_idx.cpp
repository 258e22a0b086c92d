#include "input_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace ntk;
    static const fuzz::InputFile file("input");  // no extension: what it is says its content, gzipped or not
    file.write(bytes, size);
    fuzz::load({.source = file.path()});
    fuzz::load({.source = file.path(), .labels = file.path()});
    return 0;
}

#include "input_file.hpp"

#include "host/cli/arguments.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace ntk;
    static const fuzz::InputFile file("input.toml");
    file.write(bytes, size);
    fuzz::may_refuse([&] { (void)cli::expand_config({"kernel", "--depth", "3", "--config", file.path()}); });
    return 0;
}

// Texts of options that have a grammar of their own: sources, activations, depths.

#include "input_file.hpp"

#include "host/cli/depth_list.hpp"
#include "host/data_synthetic.hpp"

#include <ntkcuda/activation.hpp>
#include <ntkcuda/dual_activation.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace ntk;
    const std::string text(reinterpret_cast<const char*>(bytes), size);
    if (is_synthetic(text)) fuzz::load({.source = text});
    fuzz::may_refuse([&] { (void)parse_activation(text); });
    fuzz::may_refuse([&] { (void)parse_dual_activation(text); });
    fuzz::may_refuse([&] { fuzz::require(!cli::parse_depths(text).empty()); });
    return 0;
}

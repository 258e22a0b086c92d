#include "names.hpp"

namespace ntk::cli {

KernelName parse_kernel(const std::string& name) {
    return parse_name<KernelName>("--kernel", name,
                                  {{"empirical-ntk", KernelName::empirical_ntk},
                                   {"empirical-nngp", KernelName::empirical_nngp},
                                   {"ntk", KernelName::ntk},
                                   {"nngp", KernelName::nngp}});
}
bool is_empirical(KernelName name) { return name == KernelName::empirical_ntk || name == KernelName::empirical_nngp; }
const char* steps_of(KernelName name) { return is_empirical(name) ? "layers" : "parts"; }

Block parse_block(const std::string& name) {
    return parse_name<Block>("--block", name, {{"full", Block::full}, {"trace", Block::trace}, {"diag", Block::diag}});
}
Index rows_per_sample(Block block, const Architecture& architecture) { return block == Block::full ? architecture.outputs : 1; }

Parametrization parse_parametrization(const std::string& name) {
    return parse_name<Parametrization>("--param", name, {{"ntk", Parametrization::ntk}, {"standard", Parametrization::standard}});
}
Biases parse_biases(const std::string& name) {
    return parse_name<Biases>("--biases", name, {{"none", Biases::none}, {"fixed", Biases::fixed}, {"trained", Biases::trained}});
}
const char* to_string(Parametrization parametrization) { return parametrization == Parametrization::ntk ? "ntk" : "standard"; }
const char* to_string(Biases biases) { return biases == Biases::none ? "none" : biases == Biases::fixed ? "fixed" : "trained"; }

}  // namespace ntk::cli

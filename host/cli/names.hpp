#pragma once

// Words of the command line, and of the files that keep what it said, for kernels, blocks, biases and parametrizations.

#include <ntkcuda/gram.hpp>
#include <ntkcuda/network.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <utility>
#include <vector>

namespace ntk::cli {

/// The value of a name. Throws Error(invalid_argument) that lists the names there are.
template <class Value>
[[nodiscard]] Value parse_name(const std::string& option, const std::string& name,
                               const std::vector<std::pair<std::string, Value>>& known) {
    std::vector<std::string> names;
    for (const auto& [key, value] : known) {
        if (key == name) return value;
        names.push_back(key);
    }
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{}: unknown value '{}'; expected one of {}", option, name, fmt::join(names, ", ")));
}

enum class KernelName { empirical_ntk, empirical_nngp, ntk, nngp };
[[nodiscard]] KernelName parse_kernel(const std::string& name);
[[nodiscard]] bool is_empirical(KernelName name);
/// What the progress of such a kernel counts.
[[nodiscard]] const char* steps_of(KernelName name);

struct KernelArguments {
    std::string kernel;  ///< a name of KernelName with dashes
    std::string block = "trace", method = "layerwise";
    GramPrecision gram = GramPrecision::exact;  ///< half with --precision fast
    std::string passes = "auto";                ///< of several ranks: compute or exchange (share_passes)
};

[[nodiscard]] Block parse_block(const std::string& name);
/// Rows of one sample in a kernel of this block: O for full, 1 otherwise.
[[nodiscard]] Index rows_per_sample(Block block, const Architecture& architecture);

[[nodiscard]] Parametrization parse_parametrization(const std::string& name);
[[nodiscard]] Biases parse_biases(const std::string& name);
[[nodiscard]] const char* to_string(Parametrization parametrization);
[[nodiscard]] const char* to_string(Biases biases);

}  // namespace ntk::cli

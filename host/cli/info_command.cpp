// ntkcuda info: version, devices, libraries.

#include "commands.hpp"
#include "output.hpp"

#include "host/backend/cuda_entry.hpp"

#include <ntkcuda/version.hpp>

#include <CLI/App.hpp>
#include <fmt/format.h>

namespace ntk::cli {
namespace {

void show(bool json) {
    const auto found = devices();
    if (json) {
        Json list = Json::array();
        for (const auto& d : found)
            list.push_back({{"id", d.id()},
                            {"name", d.name},
                            {"memory_total", d.memory_total},
                            {"memory_free", d.memory_free},
                            {"threads", d.threads}});
        fmt::print("{}\n", Json{{"version", NTKCUDA_VERSION},
                                {"cuda_backend", cuda::built()},
                                {"devices", list},
                                {"libraries", libraries()},
                                {"precisions", {"fp64", "fp32", "fast"}}}
                               .dump(2));
        return;
    }
    fmt::print("ntkcuda {}{}\n\n", NTKCUDA_VERSION,
               cuda::built() ? " with the CUDA backend" : ", CPU only (built without the CUDA toolkit)");
    std::vector<std::vector<std::string>> rows{{"device", "memory", "free", "threads or SMs", "name"}};
    for (const auto& d : found)
        rows.push_back({d.id(), readable_bytes(static_cast<double>(d.memory_total)), readable_bytes(static_cast<double>(d.memory_free)),
                        std::to_string(d.threads), d.name});
    fmt::print("{}\n\nprecisions: fp64 (default), fp32, fast (fp64 with layer Grams of FP16 operands; kernel, predict)\n", table(rows));
    const Json versions = libraries();
    for (const auto& [name, version] : versions.items()) fmt::print("{}: {}\n", name, version.template get<std::string>());
}

}  // namespace

void add_info_command(CLI::App& program) {
    auto json = std::make_shared<bool>(false);
    CLI::App* command = program.add_subcommand("info", "version, devices, libraries, memory, precision modes");
    command->add_flag("--json", *json, "one JSON object");
    command->footer("Examples:\n  ntkcuda info\n  ntkcuda info --json");
    command->callback([json] { on_root([&] { show(*json); }); });
}

}  // namespace ntk::cli

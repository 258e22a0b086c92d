// The program: commands, and every failure as one message with the exit code of the contract.

#include "arguments.hpp"
#include "commands.hpp"
#include "program_pages.hpp"
#include "run.hpp"

#include <ntkcuda/version.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <new>

namespace {

using namespace ntk::cli;

int run(const std::vector<std::string>& arguments) {
    CLI::App program{"ntkcuda: neural tangent kernels of finite networks, their infinite-width limit, and the closed form", "ntkcuda"};
    program.set_version_flag("--version", NTKCUDA_VERSION);
    add_page_options(program);
    program.require_subcommand(0, 1);
    program.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::Throw);
    add_kernel_command(program);
    add_jacobian_command(program);
    add_predict_command(program);
    add_compare_command(program);
    add_depth_command(program);
    add_ensemble_command(program);
    add_verify_command(program);
    add_info_command(program);
    try {
        auto reversed = expand_config(arguments);
        std::reverse(reversed.begin(), reversed.end());  // CLI11 takes them last first
        program.parse(reversed);
        if (program.get_subcommands().empty())
            throw ntk::Error(ntk::ErrorCode::invalid_argument, "a subcommand is needed; ntkcuda --help lists them");
    } catch (const CLI::ParseError& e) {
        return program.exit(e) == 0 ? exit_done : exit_bad_input;
    }
    return exit_done;
}

}  // namespace

int main(int count, char** values) {
    try {
        return run({values + 1, values + count});
    } catch (const ntk::Error& e) {
        fmt::print(stderr, "ntkcuda: {}\n", e.what());
        return exit_code(e.code());
    } catch (const std::bad_alloc&) {
        fmt::print(stderr, "ntkcuda: the host is out of memory\n");
        return exit_no_device_or_memory;
    } catch (const std::exception& e) {
        fmt::print(stderr, "ntkcuda: {}\n", e.what());
        return exit_other;
    }
}

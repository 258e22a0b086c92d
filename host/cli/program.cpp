#include "program.hpp"

#include "arguments.hpp"
#include "commands.hpp"
#include "distribution.hpp"
#include "program_pages.hpp"
#include "run.hpp"
#include "terminal.hpp"

#include "host/openblas_core.hpp"

#include <ntkcuda/version.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <cstdlib>
#include <exception>
#include <new>
#include <system_error>

namespace ntk::cli {
namespace {

constexpr const char* out_of_memory = "the host is out of memory";

/// Of the three standard files those that are closed: a file opened later would get their numbers, and the messages written to them.
void occupy_standard_files() {
    for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (fcntl(number, F_GETFD) < 0) (void)open("/dev/null", O_RDONLY);  // the lowest number that is free; writing fails, as before
}

const std::terminate_handler usual_termination = std::get_terminate();

/// Where memory ends in a destructor (those of nlohmann_json allocate) or in a parallel loop, no exception reaches main().
[[noreturn]] void terminate() {
    try {
        if (const auto cause = std::current_exception()) std::rethrow_exception(cause);
    } catch (const std::bad_alloc&) {
        _exit(tell_failure(out_of_memory, exit_no_device_or_memory));
    } catch (...) {  // told by the usual handler
    }
    usual_termination();
    std::abort();
}

}  // namespace

void prepare_process(char** values) {
    std::set_terminate(terminate);
    occupy_standard_files();
    restart_for_openblas(values);
}

int tell_failure(const char* message, int code) {
    const auto [red, plain] = paint(stderr, Colour::bad);
    for (const char* part : {red, "ntkcuda: ", plain, message, "\n"}) std::fputs(part, stderr);
    return code;
}

int guarded(const std::function<int()>& work, const std::function<int(const char* message, int code)>& fail) {
    try {
        return work();
    } catch (const Error& e) {
        return fail(e.what(), exit_code(e.code()));
    } catch (const std::bad_alloc&) {
        return fail(out_of_memory, exit_no_device_or_memory);
    } catch (const std::system_error& e) {  // of folders and files
        return fail(e.what(), exit_bad_input);
    } catch (const std::exception& e) {
        return fail(e.what(), exit_other);
    }
}

int run_program(const std::string& name, const std::vector<std::string>& arguments) {
    CLI::App program{"ntkcuda: neural tangent kernels of finite networks, their infinite-width limit, and the closed form", name};
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
    add_plan_command(program);
    add_info_command(program);
    try {
        auto reversed = expand_config(expand_plan(arguments));
        std::reverse(reversed.begin(), reversed.end());  // CLI11 takes them last first
        program.parse(reversed);
        if (program.get_subcommands().empty())
            throw Error(ErrorCode::invalid_argument, fmt::format("a subcommand is needed; {} --help lists them", name));
    } catch (const CLI::ParseError& e) {  // --help and --version too
        const bool failed = e.get_exit_code() != 0;
        if (ranks().root()) (void)program.exit(e);
        if (failed) return exit_bad_input;
    }
    if (std::fflush(stdout) != 0 || std::ferror(stdout))
        throw Error(ErrorCode::io, fmt::format("standard output: cannot be written: {}", std::strerror(errno)));
    return exit_done;
}

}  // namespace ntk::cli

#pragma once

// The program apart from how it is started: commands, and every failure as one message with the exit code of the contract.

#include <functional>
#include <string>
#include <vector>

namespace ntk::cli {

/// Before anything else in main(): standard files that are closed are occupied, memory that ends anywhere ends in its exit code, and
/// OpenBLAS has the code of this processor (which may start the program again).
void prepare_process(char** values);

/// Prints "ntkcuda: message" on stderr without an allocation of its own. Returns the code.
int tell_failure(const char* message, int code);

/// The exit code of work(), or what fail(message, code) makes of an exception that it throws.
int guarded(const std::function<int()>& work, const std::function<int(const char* message, int code)>& fail);

/// Does what the command line says. The exit code, that of bad usage included, which has been told then; other failures are thrown.
int run_program(const std::string& name, const std::vector<std::string>& arguments);

}  // namespace ntk::cli

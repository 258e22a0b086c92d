#pragma once

// Runs the binary as a user would: exit code, stdout and stderr of one command line.

#include "files.hpp"
#include "paths.hpp"

#include <cblas.h>
#include <sys/wait.h>

#include <cstdlib>

namespace ntk::testing {

struct Outcome {
    int code = -1;
    std::string out, err;
};

/// Programs compute with the code of OpenBLAS that this process has: the same bits, and no second start (host/openblas_core.hpp).
inline const int same_openblas = setenv("OPENBLAS_CORETYPE", openblas_get_corename(), 0);

/// `arguments` is split by the shell, with the folder as the working directory.
inline Outcome run_program(const TemporaryFolder& folder, const std::string& arguments) {
    const std::string command = "cd '" + folder.path("") + "' && '" + paths::program + "' " + arguments + " >'" + folder.path(".out") +
                                "' 2>'" + folder.path(".err") + "'";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_bytes(folder.path(".out")), read_bytes(folder.path(".err"))};
}

}  // namespace ntk::testing

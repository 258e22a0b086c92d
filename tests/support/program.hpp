#pragma once

// Runs the binary as a user would: exit code, stdout and stderr of one command line.

#include <gtest/gtest.h>

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace ntk::testing {

struct Outcome {
    int code = -1;
    std::string out, err;
};

/// An empty directory of its own for each test, removed afterwards.
class Scratch {
public:
    Scratch() {
        std::string name = (std::filesystem::temp_directory_path() / "ntkcuda-test-XXXXXX").string();
        if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
        path_ = name;
    }
    ~Scratch() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }
    [[nodiscard]] std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(file(name), std::ios::binary) << text;
        return file(name);
    }

private:
    std::filesystem::path path_;
};

inline std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// `arguments` is split by the shell, with the scratch directory as the working directory.
inline Outcome run_program(const Scratch& scratch, const std::string& arguments) {
    const std::string command = "cd '" + scratch.file("") + "' && '" + NTKCUDA_PROGRAM + "' " + arguments + " >'" + scratch.file(".out") +
                                "' 2>'" + scratch.file(".err") + "'";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, contents(scratch.file(".out")), contents(scratch.file(".err"))};
}

}  // namespace ntk::testing

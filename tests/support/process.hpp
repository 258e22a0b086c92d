#pragma once

// The program as a process that can be killed and watched.

#include "program.hpp"

#include <nlohmann/json.hpp>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>

namespace ntk::testing {

class RunningProgram {
public:
    /// As run_program(), without waiting for the end.
    RunningProgram(const TemporaryFolder& folder, const std::string& arguments) {
        const std::string command = "cd '" + folder.path("") + "' && exec '" + paths::program + "' " + arguments + " >/dev/null 2>&1";
        pid_ = fork();
        if (pid_ == 0) {
            execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
            _exit(127);
        }
    }
    ~RunningProgram() {
        if (pid_ > 0) kill();
    }
    RunningProgram(const RunningProgram&) = delete;
    RunningProgram& operator=(const RunningProgram&) = delete;

    void kill() {
        ::kill(pid_, SIGKILL);
        (void)wait();
    }
    /// The exit code, or -1 when it was killed.
    int wait() {
        int status = 0;
        waitpid(pid_, &status, 0);
        pid_ = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    /// Whether it has not ended yet.
    [[nodiscard]] bool running() const {
        siginfo_t info{};
        return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
    }
    [[nodiscard]] pid_t pid() const { return pid_; }

private:
    pid_t pid_ = 0;
};

/// The files below a folder by their names in it.
inline std::map<std::string, std::string> files_below(const std::string& folder) {
    std::map<std::string, std::string> files;
    if (std::filesystem::exists(folder))
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
            if (entry.is_regular_file())
                files[std::filesystem::relative(entry.path(), folder).string()] = read_bytes(entry.path().string());
    return files;
}

/// Expects the same files below two folders, byte by byte, but for what a run took in what tells of the run itself. `same_record`: run.json
/// too, timings and memory aside.
inline void expect_same_files(const std::string& a, const std::string& b, bool same_record = true) {
    const auto found = files_below(a), expected = files_below(b);
    const auto without_costs = [](const std::string& text) {
        nlohmann::json record = nlohmann::json::parse(text);
        record.erase("timings");
        record.erase("memory");
        return record;
    };
    for (const auto& [name, bytes] : found) EXPECT_TRUE(expected.contains(name)) << name;
    for (const auto& [name, bytes] : expected) {
        ASSERT_TRUE(found.contains(name)) << name;
        if (name.ends_with("run.json")) {
            if (same_record) {
                EXPECT_EQ(without_costs(found.at(name)), without_costs(bytes)) << name;
            }
        } else if (!name.ends_with("report.html")) {
            EXPECT_TRUE(found.at(name) == bytes) << name;
        }
    }
}

}  // namespace ntk::testing

#include "output.hpp"

#include "host/write_aside.hpp"

#include <ntkcuda/array_file.hpp>

#include <fmt/format.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace ntk::cli {

namespace fs = std::filesystem;

std::string beside(const std::string& file, const std::string& suffix) { return fs::path(file).replace_extension().string() + suffix; }

void require_writable_file(const RunArguments& run) {
    const std::string& path = run.out;
    if (path.empty() && run.plan.dry_run) return;
    if (path.empty()) throw Error(ErrorCode::invalid_argument, "--out FILE.npy is needed: where the result goes");
    if (fs::path(path).extension() != ".npy")
        throw Error(ErrorCode::invalid_argument, fmt::format("--out '{}': this command writes one .npy file; end the name in .npy", path));
    if (fs::is_directory(path)) throw Error(ErrorCode::io, fmt::format("--out '{}' is a directory; this command writes one file", path));
    const fs::path folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : fs::path(".");
    if (!fs::is_directory(folder))
        throw Error(ErrorCode::io, fmt::format("--out '{}': the directory '{}' does not exist", path, folder.string()));
    if (access(folder.c_str(), W_OK) != 0)
        throw Error(ErrorCode::io, fmt::format("--out '{}': cannot write to '{}': {}", path, folder.string(), std::strerror(errno)));
    if (!run.plan.dry_run && ranks().root()) remove_abandoned(folder);
}

namespace {

std::unique_ptr<FolderLock> hold_for_all(const std::string& path) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) throw Error(ErrorCode::io, fmt::format("--out '{}': cannot create the directory: {}", path, error.message()));
    if (access(path.c_str(), W_OK) != 0)
        throw Error(ErrorCode::io, fmt::format("--out '{}': cannot write there: {}", path, std::strerror(errno)));
    auto lock = std::make_unique<FolderLock>(path);
    remove_abandoned(path);
    for (const auto& entry : fs::recursive_directory_iterator(path, fs::directory_options::skip_permission_denied))
        if (entry.is_directory()) remove_abandoned(entry.path());
    return lock;
}

/// Whether the directory, or the nearest one above it that is there, can be written; nothing is made.
void require_possible_directory(const std::string& path) {
    fs::path nearest = fs::absolute(path);
    while (!fs::exists(nearest) && nearest.has_relative_path()) nearest = nearest.parent_path();
    if (!fs::is_directory(nearest)) throw Error(ErrorCode::io, fmt::format("--out '{}': '{}' is not a directory", path, nearest.string()));
    if (access(nearest.c_str(), W_OK) != 0)
        throw Error(ErrorCode::io, fmt::format("--out '{}': cannot write to '{}': {}", path, nearest.string(), std::strerror(errno)));
}

}  // namespace

std::unique_ptr<FolderLock> hold_output_directory(const std::string& path) {
    std::unique_ptr<FolderLock> lock = ranks().root() ? hold_for_all(path) : nullptr;
    (void)ranks().broadcast({});  // nobody looks before the root is ready
    return lock;
}

std::unique_ptr<FolderLock> hold_output(const RunArguments& run, const std::string& contents) {
    if (run.plan.dry_run) {
        if (!run.out.empty()) require_possible_directory(run.out);
        return nullptr;
    }
    if (run.out.empty()) throw Error(ErrorCode::invalid_argument, fmt::format("--out DIRECTORY is needed: where {} go", contents));
    return hold_output_directory(run.out);
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> width;
    for (const auto& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (i >= width.size()) width.push_back(0);
            width[i] = std::max(width[i], row[i].size());
        }
    std::string text;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:>{}}  ", row[i], width[i]);
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    if (!text.empty()) text.pop_back();
    return text;
}

namespace {

struct Terminal {
    const char* extension;
    const char* setting;
};

/// In the script's own directory, so that it holds plain file names and runs again by hand; without a shell, so any path is safe. It ends
/// with this process, however that ends: one left behind would write on into the files of the next run. (posix_spawn cannot say this.)
bool run_gnuplot(const std::string& directory, const std::string& script) {
    const pid_t self = getpid(), child = vfork();  // nothing of a large memory is copied
    if (child == 0) {
        const int nowhere = open("/dev/null", O_WRONLY);
        const bool ready = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == self && chdir(directory.c_str()) == 0 &&
                           dup2(nowhere, STDOUT_FILENO) >= 0 && dup2(nowhere, STDERR_FILENO) >= 0;
        if (ready) execlp("gnuplot", "gnuplot", script.c_str(), nullptr);
        _exit(127);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace

std::string with_error(double value, double error) { return fmt::format("{:.3g} +- {:.1g}", value, error); }

std::string draw_figure(Run& run, const std::string& directory, const std::string& name, const std::string& data,
                        const std::string& script) {
    const std::string folder = (fs::path(directory) / "figures").string(), base = (fs::path(folder) / name).string();
    fs::create_directories(folder);
    write_text(base + ".dat", data);
    const Terminal terminals[] = {{"svg", "svg size 900,600 font 'Helvetica,16' background 'white' dynamic"},
                                  {"png", "pngcairo size 1350,900 font 'Helvetica,22'"}};
    std::string whole;
    for (const auto& terminal : terminals)
        whole += fmt::format("set terminal {}\nset output '{}.{}.part'\ndata = '{}.dat'\n{}\nunset output\nreset\n", terminal.setting, name,
                             terminal.extension, name, script);
    write_text(base + ".gp", whole);
    if (!run_gnuplot(folder, name + ".gp")) {
        run.warn(
            fmt::format("no figure: gnuplot is missing or failed (to install it: apt-get install gnuplot-nox); the data are in {}.dat, the "
                        "script in {}.gp",
                        base, base));
        return {};
    }
    for (const auto& terminal : terminals)
        fs::rename(fmt::format("{}.{}.part", base, terminal.extension), fmt::format("{}.{}", base, terminal.extension));
    return base + ".png";
}

}  // namespace ntk::cli

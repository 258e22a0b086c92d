#include "write_aside.hpp"

#include <ntkcuda/error.hpp>

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace ntk {
namespace {

[[noreturn]] void cannot_write(const std::string& path, const std::string& reason) {
    throw Error(ErrorCode::io, fmt::format("{}: cannot be written: {}", path, reason));
}

[[noreturn]] void cannot_write(const std::string& path) { cannot_write(path, std::strerror(errno)); }

/// Renaming would replace a directory's, a device's or a read-only file's name without asking what it is.
void require_replaceable(const std::string& path) {
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) {
        if (errno == ENOENT) return;
        cannot_write(path);
    }
    if (S_ISDIR(info.st_mode)) cannot_write(path, "it is a directory");
    if (!S_ISREG(info.st_mode)) cannot_write(path, "it is not a regular file");
    if (access(path.c_str(), W_OK) != 0) cannot_write(path);
}

/// A file that is removed unless it is renamed.
class AsideFile {
public:
    explicit AsideFile(const std::string& path) : path_(path) {
        static std::atomic<unsigned> count{0};
        const std::filesystem::path directory = std::filesystem::path(path).parent_path();
        do {
            aside_ = directory / fmt::format(".ntkcuda-{}-{}.part", getpid(), count++);
            descriptor_ = open(aside_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        } while (descriptor_ < 0 && errno == EEXIST);
        if (descriptor_ < 0) cannot_write(path_);
    }
    ~AsideFile() {
        if (descriptor_ >= 0) close(descriptor_);
        if (!aside_.empty()) unlink(aside_.c_str());
    }
    AsideFile(const AsideFile&) = delete;
    AsideFile& operator=(const AsideFile&) = delete;

    void write(std::string_view piece) {
        while (!piece.empty()) {
            const ssize_t written = ::write(descriptor_, piece.data(), piece.size());
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) cannot_write(path_);
            piece.remove_prefix(static_cast<std::size_t>(written));
        }
    }

    void rename_to(const std::string& target) {
        const int closed = close(descriptor_);  // a full disk or quota may show only here
        descriptor_ = -1;
        if (closed != 0 || std::rename(aside_.c_str(), target.c_str()) != 0) cannot_write(path_);
        aside_.clear();
    }

private:
    std::string path_;
    std::filesystem::path aside_;
    int descriptor_ = -1;
};

}  // namespace

void write_aside(const std::string& path, const std::vector<std::string_view>& pieces) {
    if (path.empty()) cannot_write("the output", "its path is empty");
    require_replaceable(path);
    std::string target = path;
    if (std::error_code error; std::filesystem::is_symlink(path, error)) {
        target = std::filesystem::weakly_canonical(path, error);
        if (error) cannot_write(path, error.message());
    }
    AsideFile file(target);
    for (const std::string_view piece : pieces) file.write(piece);
    file.rename_to(target);
}

}  // namespace ntk

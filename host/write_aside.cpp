#include "write_aside.hpp"

#include <ntkcuda/error.hpp>

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

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

std::filesystem::path directory_of(const std::string& file) {
    const std::filesystem::path parent = std::filesystem::path(file).parent_path();
    return parent.empty() ? "." : parent;
}

constexpr std::string_view aside_prefix = ".ntkcuda-", aside_suffix = ".part";

/// Marks a new file as being written for as long as it is open, for remove_abandoned(), which must not have been faster.
bool lock(int descriptor) { return flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK; }

}  // namespace

FileAside::FileAside(const std::string& path, Name name) : path_(path), target_(path) {
    if (path.empty()) cannot_write("the output", "its path is empty");
    require_replaceable(path);
    if (std::error_code error; std::filesystem::is_symlink(path, error)) {
        target_ = std::filesystem::weakly_canonical(path, error);
        if (error) cannot_write(path, error.message());
    }
    if (name == Name::at_the_end) descriptor_ = open(directory_of(target_).c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
    if (descriptor_ < 0)
        open_beside();
    else
        (void)lock(descriptor_);
}

FileAside::~FileAside() {
    if (descriptor_ >= 0) close(descriptor_);
    if (!name_.empty()) unlink(name_.c_str());
}

/// A name that no other process and no other file of this one has.
std::string FileAside::new_name() const {
    static std::atomic<unsigned> count{0};
    return directory_of(target_) / fmt::format("{}{}-{}{}", aside_prefix, getpid(), count++, aside_suffix);
}

void FileAside::open_beside() {
    for (;;) {
        std::string name = new_name();
        descriptor_ = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor_ < 0 && errno != EEXIST) cannot_write(path_);
        if (descriptor_ < 0) continue;
        struct stat info {};
        if (lock(descriptor_) && fstat(descriptor_, &info) == 0 && info.st_nlink > 0) {
            name_ = std::move(name);
            return;
        }
        close(descriptor_);  // remove_abandoned() was faster
    }
}

void FileAside::give_name() {
    const std::string file = fmt::format("/proc/self/fd/{}", descriptor_);
    std::string name;
    int linked = 0;
    do {
        name = new_name();
        linked = linkat(AT_FDCWD, file.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW);
    } while (linked != 0 && errno == EEXIST);
    if (linked != 0) cannot_write(path_);
    name_ = std::move(name);  // a copy could find no memory, and leave the file
}

void FileAside::reserve(std::int64_t bytes) {
    if (bytes == 0) return;
    const auto gib = [](auto size) { return static_cast<double>(size) / 0x1p30; };
    struct statvfs disk {};
    // Asked first, so that what cannot succeed does not fill the disk on the way.
    if (fstatvfs(descriptor_, &disk) == 0 &&
        static_cast<double>(bytes) > static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize))
        cannot_write(path_, fmt::format("it needs {} bytes ({:.1f} GiB) and the disk has {:.1f} GiB free", bytes, gib(bytes),
                                        gib(disk.f_bavail) * static_cast<double>(disk.f_frsize)));
    int status = EINTR;
    while (status == EINTR) status = posix_fallocate(descriptor_, 0, bytes);
    if (status != 0) cannot_write(path_, fmt::format("{} bytes ({:.1f} GiB): {}", bytes, gib(bytes), std::strerror(status)));
}

void FileAside::write_at(std::int64_t offset, std::string_view piece) {
    while (!piece.empty()) {
        const ssize_t written = pwrite(descriptor_, piece.data(), piece.size(), offset);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) cannot_write(path_);
        piece.remove_prefix(static_cast<std::size_t>(written));
        offset += written;
    }
}

void FileAside::commit() {
    if (name_.empty()) give_name();
    const int locked = dup(descriptor_);                           // of the same open file, which stays locked
    const int closed = close(std::exchange(descriptor_, locked));  // a full disk or quota may show only here
    if (closed != 0 || std::rename(name_.c_str(), target_.c_str()) != 0) cannot_write(path_);
    name_.clear();
}

void write_aside(const std::string& path, const std::vector<std::string_view>& pieces) {
    FileAside file(path);
    std::int64_t offset = 0;
    for (const std::string_view piece : pieces) {
        file.write_at(offset, piece);
        offset += static_cast<std::int64_t>(piece.size());
    }
    file.commit();
}

void remove_abandoned(const std::filesystem::path& directory) {
    std::error_code unreadable;
    for (const auto& entry : std::filesystem::directory_iterator(directory, unreadable)) {
        const std::string name = entry.path().filename();
        if (!name.starts_with(aside_prefix) || !name.ends_with(aside_suffix)) continue;
        const int descriptor = open(entry.path().c_str(), O_RDWR | O_CLOEXEC);
        if (descriptor < 0) continue;
        if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) unlink(entry.path().c_str());
        close(descriptor);
    }
}

}  // namespace ntk

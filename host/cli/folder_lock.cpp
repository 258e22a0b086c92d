#include "folder_lock.hpp"

#include <ntkcuda/error.hpp>

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <cstdio>
#include <filesystem>

namespace ntk::cli {
namespace {

/// What the holder has written: empty when it has not come to that yet.
std::string signature(int descriptor) {
    char text[300] = {};
    return pread(descriptor, text, sizeof text - 1, 0) > 0 ? text : "another process";
}

}  // namespace

FolderLock::FolderLock(const std::string& directory) : path_((std::filesystem::path(directory) / ".ntkcuda.lock").string()) {
    for (;;) {
        descriptor_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (descriptor_ < 0) throw Error(ErrorCode::io, fmt::format("--out '{}': cannot write there: {}", directory, std::strerror(errno)));
        if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
            if (errno != EWOULDBLOCK) {
                const std::string warning = fmt::format("warning: --out '{}' cannot be locked ({}): no second run may use it meanwhile\n",
                                                        directory, std::strerror(errno));
                std::fputs(warning.c_str(), stderr);
                return;
            }
            const std::string holder = signature(descriptor_);
            close(descriptor_);
            throw Error(ErrorCode::io,
                        fmt::format("--out '{}': {} is writing there; wait until it ends, or give another directory", directory, holder));
        }
        if (is_the_file_there()) break;
        close(descriptor_);  // the holder has just removed it
    }
    sign();
}

FolderLock::~FolderLock() {
    unlink(path_.c_str());  // while it is held, so that nobody holds a file that is not there
    close(descriptor_);
}

bool FolderLock::is_the_file_there() const {
    struct stat held {
    }, there{};
    return fstat(descriptor_, &held) == 0 && stat(path_.c_str(), &there) == 0 && held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

/// For messages only: a full disk leaves the lock without a name.
void FolderLock::sign() const {
    char host[200] = {};
    gethostname(host, sizeof host - 1);
    const std::string text = fmt::format("process {} on {}", getpid(), host);
    if (ftruncate(descriptor_, 0) == 0) (void)!pwrite(descriptor_, text.data(), text.size(), 0);
}

}  // namespace ntk::cli

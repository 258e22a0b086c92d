#pragma once

// Two runs on one --out would write over each other: the first holds the directory.

#include <string>

namespace ntk::cli {

/// Holds a directory for this process, until the object goes or the process ends in whatever way (flock on a file in it).
class FolderLock {
public:
    /// Throws Error(io) naming the process that holds `directory`, and when the lock cannot be written there. A file system without locks
    /// is warned of on stderr.
    explicit FolderLock(const std::string& directory);
    ~FolderLock();
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;

private:
    [[nodiscard]] bool is_the_file_there() const;
    void sign() const;

    std::string path_;
    int descriptor_ = -1;
};

}  // namespace ntk::cli

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace ntk {

/// A new file beside `path` that takes its name at the end: the final name holds the old content or all of the new. A symbolic link is
/// followed. Where the file system can, the file has no name before, so that not even a killed process leaves it behind. Every function
/// throws Error(io) with the path and the system's reason; the new file is gone unless commit() returned.
class FileAside {
public:
    /// at_once: it has a name from the beginning, by which other processes write to it.
    enum class Name { at_the_end, at_once };
    explicit FileAside(const std::string& path, Name name = Name::at_the_end);
    ~FileAside();
    FileAside(const FileAside&) = delete;
    FileAside& operator=(const FileAside&) = delete;

    /// Makes sure that the disk has room for `bytes`.
    void reserve(std::int64_t bytes);
    void write_at(std::int64_t offset, std::string_view piece);
    void commit();
    /// Its own, empty while it has none.
    [[nodiscard]] const std::string& name() const { return name_; }

private:
    [[nodiscard]] std::string new_name() const;
    void open_beside();
    void give_name();

    std::string path_, target_, name_;  ///< name_: the file's own, empty while it has none
    int descriptor_ = -1;
};

/// Writes the pieces, one after another, as a FileAside.
void write_aside(const std::string& path, const std::vector<std::string_view>& pieces);

/// Removes the new files that processes which were killed have left in `directory`; those still being written are locked, and stay.
void remove_abandoned(const std::filesystem::path& directory);

}  // namespace ntk

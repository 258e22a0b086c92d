#pragma once

// The members of an .npz (a zip archive of .npy files), each read when it is asked for.

#include <ntkcuda/array_file.hpp>

#include <memory>
#include <string>
#include <vector>

namespace ntk {

class NpzReader {
public:
    /// Throws Error(io) for a file that is not a zip archive, is truncated, has a member that is not .npy, or has a name twice.
    explicit NpzReader(const std::string& path);
    ~NpzReader();
    NpzReader(const NpzReader&) = delete;
    NpzReader& operator=(const NpzReader&) = delete;

    /// Names without ".npy", in the order stored.
    [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
    [[nodiscard]] bool has(const std::string& name) const;
    /// The array of a name that is there. Throws Error(io) also when the checksum of the member is wrong.
    [[nodiscard]] Array read(const std::string& name) const;
    /// "weights.npz, array 'W1'", for messages.
    [[nodiscard]] std::string name_of(const std::string& array) const { return path_ + ", array '" + array + "'"; }

private:
    struct Archive;
    std::string path_;
    std::unique_ptr<Archive> archive_;
    std::vector<std::string> names_;
};

}  // namespace ntk

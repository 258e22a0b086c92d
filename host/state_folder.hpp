#pragma once

// The folder in which long work leaves its state: parameters.txt says what everything in it depends on, the rest are records. Each file
// is written aside and then renamed, so that an end at any time leaves a usable state.

#include <ntkcuda/matrix.hpp>

#include <filesystem>
#include <string>

namespace ntk {

class StateFolder {
public:
    /// Makes the folder if it is not there. `parameters`: one "name = value" a line; a folder that holds other ones throws
    /// Error(invalid_argument) naming the first that differs.
    StateFolder(const std::string& folder, const std::string& parameters);

    /// The path of a record without its extension. Makes the folders that `name` implies.
    [[nodiscard]] std::string record(const std::string& name) const;

private:
    std::filesystem::path folder_;
};

/// The contents of a file. Throws Error(io).
[[nodiscard]] std::string read_text(const std::filesystem::path& path);

/// "3 x 5, checksum 0123456789abcdef": what a record depends on when it depends on data.
[[nodiscard]] std::string data_checksum(const HostMatrix<double>& x);

}  // namespace ntk

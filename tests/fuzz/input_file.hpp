#pragma once

// What the fuzz targets share: their bytes as a file, and readers that may refuse it by ntk::Error and by nothing else.

#include <ntkcuda/data.hpp>
#include <ntkcuda/error.hpp>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace ntk::fuzz {

/// A file in a folder of its own, which goes with the process.
class InputFile {
public:
    explicit InputFile(const std::string& name) {
        std::string pattern = (std::filesystem::temp_directory_path() / "ntkcuda-fuzz-XXXXXX").string();
        if (!mkdtemp(pattern.data())) std::abort();
        folder_ = pattern;
        path_ = (folder_ / name).string();
    }
    ~InputFile() {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;

    void write(const std::uint8_t* bytes, std::size_t size) const {
        std::ofstream(path_, std::ios::binary).write(reinterpret_cast<const char*>(bytes), static_cast<std::streamsize>(size));
    }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::filesystem::path folder_;
    std::string path_;
};

template <class Read>
void may_refuse(Read&& read) {
    try {
        read();
    } catch (const Error&) {
    }
}

inline void require(bool condition) {
    if (!condition) std::abort();
}

/// Loads a source, and checks what load_data() promises of it.
inline void load(const DataOptions& options) {
    may_refuse([&] {
        const Dataset data = load_data(options);
        require(data.samples() > 0 && data.features() > 0);
        for (Index i = 0; i < data.x.size(); ++i) require(std::isfinite(data.x.data()[i]));
        if (data.has_targets()) require(data.y.rows() == data.samples());
        if (data.classification())
            for (const Index label : data.label) require(label >= 0 && label < std::ssize(data.classes));
    });
}

}  // namespace ntk::fuzz

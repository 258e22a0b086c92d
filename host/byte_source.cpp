#include "byte_source.hpp"

#include "memory_limit.hpp"

#include <ntkcuda/error.hpp>

#include <fmt/format.h>
#include <zlib.h>

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

namespace ntk {
namespace {

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using FileHandle = std::unique_ptr<std::FILE, CloseFile>;

[[noreturn]] void cannot_read(const std::string& path) {
    throw Error(ErrorCode::io, fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
}

FileHandle open_handle(const std::string& path) {
    FileHandle file(std::fopen(path.c_str(), "rb"));
    if (!file) cannot_read(path);
    return file;
}

std::size_t read_handle(std::FILE* file, const std::string& path, void* out, std::size_t count) {
    const std::size_t got = std::fread(out, 1, count, file);
    if (got < count && std::ferror(file)) cannot_read(path);
    return got;
}

class FileSource final : public ByteSource {
public:
    explicit FileSource(const std::string& path) : ByteSource(path), size_(require_regular_file(path)), file_(open_handle(path)) {}
    [[nodiscard]] std::uint64_t most_left() const override { return size_ - offset(); }
    [[nodiscard]] bool exact() const override { return true; }

protected:
    std::size_t read_some(void* out, std::size_t count) override { return read_handle(file_.get(), name(), out, count); }

private:
    std::uint64_t size_;
    FileHandle file_;
};

class GzipSource final : public ByteSource {
public:
    explicit GzipSource(const std::string& path)
        : ByteSource(path), limit_(most_inflated(require_regular_file(path))), file_(open_handle(path)), buffer_(1 << 16) {
        constexpr int gzip_format = 16 + MAX_WBITS;
        if (inflateInit2(&stream_, gzip_format) != Z_OK) throw Error(ErrorCode::out_of_memory, path + ": zlib could not be initialised");
    }
    ~GzipSource() override { inflateEnd(&stream_); }
    GzipSource(const GzipSource&) = delete;
    GzipSource& operator=(const GzipSource&) = delete;
    [[nodiscard]] std::uint64_t most_left() const override { return limit_ - offset(); }
    [[nodiscard]] bool exact() const override { return false; }

protected:
    std::size_t read_some(void* out, std::size_t count) override {
        constexpr std::size_t most = 1 << 30;  // zlib counts in 32 bits
        const auto wanted = static_cast<uInt>(std::min(count, most));
        stream_.next_out = static_cast<Bytef*>(out);
        stream_.avail_out = wanted;
        while (stream_.avail_out == wanted) {
            if (stream_.avail_in == 0) refill();
            if (stream_.avail_in == 0) {
                if (between_members_) return 0;
                throw Error(ErrorCode::io, fmt::format("{}: the gzip stream is truncated after {} bytes of the file ({} inflated)", name(),
                                                       read_, offset()));
            }
            if (between_members_) {
                inflateReset(&stream_);
                between_members_ = false;
            }
            const int status = inflate(&stream_, Z_NO_FLUSH);
            if (status == Z_STREAM_END) {
                between_members_ = true;
            } else if (status == Z_MEM_ERROR) {
                throw Error(ErrorCode::out_of_memory, name() + ": no memory to inflate it");
            } else if (status != Z_OK && status != Z_BUF_ERROR) {
                throw Error(ErrorCode::io, fmt::format("{}: the gzip stream is damaged near byte {} of the file: {}", name(),
                                                       read_ - stream_.avail_in, stream_.msg ? stream_.msg : "no reason given"));
            }
        }
        return wanted - stream_.avail_out;
    }

private:
    void refill() {
        const std::size_t got = read_handle(file_.get(), name(), buffer_.data(), buffer_.size());
        read_ += got;
        stream_.next_in = buffer_.data();
        stream_.avail_in = static_cast<uInt>(got);
    }

    std::uint64_t limit_;
    FileHandle file_;
    std::vector<Bytef> buffer_;
    z_stream stream_{};
    std::uint64_t read_ = 0;
    bool between_members_ = false;
};

}  // namespace

std::uint64_t require_regular_file(const std::string& path, const std::string& accepted) {
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) throw Error(ErrorCode::io, fmt::format("{}: {}{}", path, std::strerror(errno), accepted));
    if (S_ISDIR(info.st_mode)) throw Error(ErrorCode::io, path + ": is a directory, and a file was expected");
    if (!S_ISREG(info.st_mode)) throw Error(ErrorCode::io, path + ": is not a regular file (pipes and devices are not read)");
    if (info.st_size == 0) throw Error(ErrorCode::io, path + ": the file is empty");
    return static_cast<std::uint64_t>(info.st_size);
}

std::array<unsigned char, 6> first_bytes(const std::string& path) {
    std::array<unsigned char, 6> bytes{};
    read_handle(open_handle(path).get(), path, bytes.data(), bytes.size());
    return bytes;
}

std::string read_file(const std::string& path) {
    const std::uint64_t size = require_regular_file(path);
    require_memory(size, "reading " + path);
    const FileHandle file = open_handle(path);
    std::string content(size, '\0');
    if (read_handle(file.get(), path, content.data(), size) != size)
        throw Error(ErrorCode::io, path + ": became shorter while it was read");
    return content;
}

void ByteSource::read(void* out, std::size_t count, const std::string& what) {
    std::size_t done = 0;
    while (done < count) {
        const std::size_t got = read_some(static_cast<char*>(out) + done, count - done);
        if (got == 0)
            throw Error(ErrorCode::io, fmt::format("{}: truncated: it ends at byte {}, inside {} ({} bytes there, {} expected)", name_,
                                                   offset_, what, done, count));
        done += got;
        offset_ += got;
    }
}

void ByteSource::expect_end(const std::string& what) {
    char surplus = 0;
    if (read_some(&surplus, 1) != 0)
        throw Error(ErrorCode::io, fmt::format("{}: {} end at byte {}, and the file goes on", name_, what, offset_));
}

std::unique_ptr<ByteSource> open_file(const std::string& path) { return std::make_unique<FileSource>(path); }

std::unique_ptr<ByteSource> open_gzip_or_file(const std::string& path) {
    require_regular_file(path);
    const auto bytes = first_bytes(path);
    if (bytes[0] == 0x1f && bytes[1] == 0x8b) return std::make_unique<GzipSource>(path);
    return open_file(path);
}

}  // namespace ntk

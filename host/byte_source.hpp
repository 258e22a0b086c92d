#pragma once

// Where the bytes of an array come from: a file, a gzipped file, a member of an .npz. Readers check what a header promises against
// `most_left()` before they allocate anything.

#include <array>
#include <cstdint>
#include <memory>
#include <string>

namespace ntk {

/// Throws Error(io) unless `path` is a regular file that is not empty; `accepted` ends the message of a missing file. Returns its size.
std::uint64_t require_regular_file(const std::string& path, const std::string& accepted = {});

/// The first bytes of a file, zero-padded when it is shorter. The file must be readable: Error(io) with the system's reason otherwise.
[[nodiscard]] std::array<unsigned char, 6> first_bytes(const std::string& path);

/// The whole content of a file.
[[nodiscard]] std::string read_file(const std::string& path);

class ByteSource {
public:
    explicit ByteSource(std::string name) : name_(std::move(name)) {}
    virtual ~ByteSource() = default;
    ByteSource(const ByteSource&) = delete;
    ByteSource& operator=(const ByteSource&) = delete;

    /// Reads exactly `count` bytes. Throws Error(io) naming `what` and the byte offset when the source ends before.
    void read(void* out, std::size_t count, const std::string& what);
    /// Throws Error(io) when bytes are left; also finishes the source, so that a wrong checksum at its end is found.
    void expect_end(const std::string& what);

    /// Bytes that cannot be exceeded by what is left. With `exact()` it is what is left.
    [[nodiscard]] virtual std::uint64_t most_left() const = 0;
    [[nodiscard]] virtual bool exact() const = 0;
    /// For messages: the path, and for an .npz the member.
    [[nodiscard]] const std::string& name() const { return name_; }
    /// Bytes read so far.
    [[nodiscard]] std::uint64_t offset() const { return offset_; }

protected:
    /// Up to `count` bytes; 0 only at the end. Throws Error(io) when the source is damaged.
    virtual std::size_t read_some(void* out, std::size_t count) = 0;

private:
    std::string name_;
    std::uint64_t offset_ = 0;
};

/// A plain file.
[[nodiscard]] std::unique_ptr<ByteSource> open_file(const std::string& path);

/// A file that is inflated when its first bytes are those of gzip (one or several members), and read as it is otherwise.
[[nodiscard]] std::unique_ptr<ByteSource> open_gzip_or_file(const std::string& path);

/// Deflate makes at most 1032 bytes of one, so no compressed file can promise more than this.
[[nodiscard]] constexpr std::uint64_t most_inflated(std::uint64_t compressed) { return compressed * 1032 + 64; }

}  // namespace ntk

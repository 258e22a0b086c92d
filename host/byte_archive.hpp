#pragma once

// Values as bytes on their way from rank to rank of one program, so without care for other machines' formats. A struct is described once
// for both directions, by a function beside it:
//
//     template <class Archive, class Value> requires std::same_as<std::remove_const_t<Value>, Point>
//     void fields(Archive& archive, Value& point) { archive(point.x, point.y); }

#include <ntkcuda/error.hpp>

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace ntk {

template <class T>
concept PlainBytes = std::is_arithmetic_v<T> || std::is_enum_v<T>;

class ByteWriter {
public:
    template <class... Values>
    void operator()(const Values&... values) {
        (write(values), ...);
    }
    [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

private:
    template <PlainBytes T>
    void write(const T& value) {
        raw(&value, 1);
    }
    template <class T>
    void write(const std::vector<T>& values) {
        write(values.size());
        if constexpr (PlainBytes<T>) {
            raw(values.data(), values.size());
        } else {
            for (const T& value : values) write(value);
        }
    }
    void write(const std::string& text) {
        write(text.size());
        raw(text.data(), text.size());
    }
    template <class T>
    void write(const std::optional<T>& value) {
        write(value.has_value());
        if (value) write(*value);
    }
    template <class T>
    void write(const T& value) {
        fields(*this, value);
    }
    template <class T>
    void raw(const T* data, std::size_t count) {
        const auto bytes = std::as_bytes(std::span(data, count));
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }

    std::vector<std::byte> bytes_;
};

/// Reads what a ByteWriter has written, in the same order. Throws Error(io) where the bytes end early.
class ByteReader {
public:
    explicit ByteReader(std::span<const std::byte> bytes) : rest_(bytes) {}

    template <class... Values>
    void operator()(Values&... values) {
        (read(values), ...);
    }

private:
    template <PlainBytes T>
    void read(T& value) {
        raw(&value, 1);
    }
    template <class T>
    void read(std::vector<T>& values) {
        values.resize(size(PlainBytes<T> ? sizeof(T) : 1));
        if constexpr (PlainBytes<T>) {
            raw(values.data(), values.size());
        } else {
            for (T& value : values) read(value);
        }
    }
    void read(std::string& text) {
        text.resize(size(1));
        raw(text.data(), text.size());
    }
    template <class T>
    void read(std::optional<T>& value) {
        bool there = false;
        read(there);
        value.reset();
        if (there) read(value.emplace());
    }
    template <class T>
    void read(T& value) {
        fields(*this, value);
    }
    /// A number of values of at least so many bytes each, which must be there.
    std::size_t size(std::size_t bytes_each) {
        std::size_t count = 0;
        read(count);
        if (count > rest_.size() / bytes_each) too_short();
        return count;
    }
    template <class T>
    void raw(T* data, std::size_t count) {
        if (count == 0) return;
        if (count > rest_.size() / sizeof(T)) too_short();
        std::memcpy(data, rest_.data(), count * sizeof(T));
        rest_ = rest_.subspan(count * sizeof(T));
    }
    [[noreturn]] static void too_short() {
        throw Error(ErrorCode::io, "what another rank says ends early: do all ranks run the same program?");
    }

    std::span<const std::byte> rest_;
};

}  // namespace ntk

#include <ntkcuda/array_file.hpp>

#include "npy_header.hpp"
#include "write_aside.hpp"
#include "zip_failure.hpp"

#include <fmt/format.h>

#include <array>
#include <memory>

namespace ntk {
namespace {

struct FreeSource {
    void operator()(zip_source_t* source) const { zip_source_free(source); }
};
struct DiscardArchive {
    void operator()(zip_t* archive) const { zip_discard(archive); }
};
using Source = std::unique_ptr<zip_source_t, FreeSource>;
using Archive = std::unique_ptr<zip_t, DiscardArchive>;

[[noreturn]] void fail(const std::string& path, zip_error_t* error) { throw_zip_failure(path + ": cannot be written", error); }

/// The bytes of one member: what a .npy file begins with, and its values where the caller has them.
struct MemberBytes {
    std::string header;
    std::string_view values;
};

MemberBytes bytes_of(const NpzMember& member) {
    if (const auto* text = std::get_if<std::string_view>(&member.content))
        return {npy_header("|u1", {static_cast<Index>(text->size())}), *text};
    const auto& view = std::get<ConstMatrixView<double>>(member.content);
    if (!view.contiguous()) throw Error(ErrorCode::shape_mismatch, fmt::format("write_npz: '{}' has gaps between its rows", member.name));
    return {npy_header(native_float(sizeof(double)), {view.rows(), view.cols()}),
            {reinterpret_cast<const char*>(view.data()), static_cast<std::size_t>(view.size()) * sizeof(double)}};
}

void add_member(zip_t* archive, const std::string& path, const std::string& name, const MemberBytes& bytes) {
    std::array<zip_buffer_fragment_t, 2> fragments{};
    const std::array<std::string_view, 2> parts{bytes.header, bytes.values};
    for (std::size_t k = 0; k < parts.size(); ++k)  // libzip reads them; its type has no const
        fragments[k] = {reinterpret_cast<zip_uint8_t*>(const_cast<char*>(parts[k].data())), parts[k].size()};
    Source source(zip_source_buffer_fragment(archive, fragments.data(), bytes.values.empty() ? 1 : 2, 0));
    if (!source) fail(path, zip_get_error(archive));
    const zip_int64_t index = zip_file_add(archive, (name + ".npy").c_str(), source.get(), ZIP_FL_ENC_UTF_8);
    if (index < 0) fail(path, zip_get_error(archive));
    (void)source.release();                    // the archive's now
    constexpr zip_uint16_t first_date = 0x21;  // 1980-01-01, as NumPy has it: no trace of when
    if (zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(archive, static_cast<zip_uint64_t>(index), 0, first_date, 0) != 0)
        fail(path, zip_get_error(archive));
}

std::string content_of(zip_source_t* source, const std::string& path) {
    zip_stat_t info;
    if (zip_source_stat(source, &info) != 0 || zip_source_open(source) != 0) fail(path, zip_source_error(source));
    std::string content(info.size, '\0');
    const zip_int64_t got = zip_source_read(source, content.data(), content.size());
    zip_source_close(source);
    if (got != static_cast<zip_int64_t>(content.size())) fail(path, zip_source_error(source));
    return content;
}

}  // namespace

void write_npz(const std::string& path, const std::vector<NpzMember>& members) {
    std::vector<MemberBytes> bytes;
    for (const NpzMember& member : members) bytes.push_back(bytes_of(member));
    zip_error_t error;
    zip_error_init(&error);
    Source memory(zip_source_buffer_create(nullptr, 0, 0, &error));
    if (!memory) fail(path, &error);
    Archive archive(zip_open_from_source(memory.get(), ZIP_CREATE | ZIP_TRUNCATE, &error));
    if (!archive) fail(path, &error);
    zip_source_keep(memory.get());  // one for the archive, which frees it, and one for what is read below
    for (std::size_t i = 0; i < members.size(); ++i) add_member(archive.get(), path, members[i].name, bytes[i]);
    if (zip_close(archive.get()) != 0) fail(path, zip_get_error(archive.get()));
    (void)archive.release();
    write_aside(path, {content_of(memory.get(), path)});
}

}  // namespace ntk

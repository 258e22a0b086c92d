#include "npz_reader.hpp"

#include "array_reader.hpp"
#include "zip_failure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_set>

namespace ntk {
namespace {

constexpr std::string_view suffix = ".npy";

void check_promise(const zip_stat_t& info, std::uint64_t archive_size, const std::string& name) {
    if (info.comp_size > archive_size)
        throw Error(ErrorCode::io, fmt::format("{}: truncated: the archive promises {} compressed bytes and has {} bytes in all", name,
                                               info.comp_size, archive_size));
    const bool stored = info.comp_method == ZIP_CM_STORE;
    if (!stored && info.comp_method != ZIP_CM_DEFLATE)
        throw Error(ErrorCode::io,
                    fmt::format("{}: compression method {}: only stored and deflated members are read", name, info.comp_method));
    if (stored ? info.size != info.comp_size : info.size > most_inflated(info.comp_size))
        throw Error(ErrorCode::io, fmt::format("{}: the archive promises {} bytes, and {} {} bytes cannot hold them", name, info.size,
                                               info.comp_size, stored ? "stored" : "deflated"));
}

class MemberSource final : public ByteSource {
public:
    MemberSource(zip_t* archive, const zip_stat_t& info, const std::string& name)
        : ByteSource(name), size_(info.size), file_(zip_fopen_index(archive, info.index, 0)) {
        if (!file_) throw_zip_failure(name + ": cannot be read from the archive", zip_get_error(archive));
    }
    ~MemberSource() override { zip_fclose(file_); }
    MemberSource(const MemberSource&) = delete;
    MemberSource& operator=(const MemberSource&) = delete;
    [[nodiscard]] std::uint64_t most_left() const override { return offset() > size_ ? 0 : size_ - offset(); }
    [[nodiscard]] bool exact() const override { return true; }

protected:
    std::size_t read_some(void* out, std::size_t count) override {
        const zip_int64_t got = zip_fread(file_, out, count);
        if (got < 0)
            throw_zip_failure(fmt::format("{}: the archive is damaged at byte {} of the member", name(), offset()),
                              zip_file_get_error(file_));
        return static_cast<std::size_t>(got);
    }

private:
    std::uint64_t size_;
    zip_file_t* file_;
};

}  // namespace

struct NpzReader::Archive {
    struct Discard {
        void operator()(zip_t* archive) const { zip_discard(archive); }
    };
    std::unique_ptr<zip_t, Discard> handle;
    std::uint64_t size = 0;
};

NpzReader::NpzReader(const std::string& path) : path_(path), archive_(std::make_unique<Archive>()) {
    archive_->size = require_regular_file(path);
    int code = 0;
    archive_->handle.reset(zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &code));
    if (!archive_->handle) {
        require_zip_memory(code);
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        const std::string reason = zip_error_strerror(&error);
        zip_error_fini(&error);
        throw Error(ErrorCode::io, fmt::format("{}: is not a complete .npz (zip) archive of {} bytes: {}", path, archive_->size, reason));
    }
    const zip_int64_t count = zip_get_num_entries(archive_->handle.get(), 0);
    std::unordered_set<std::string_view> seen;
    for (zip_int64_t i = 0; i < count; ++i) {
        const char* member = zip_get_name(archive_->handle.get(), static_cast<zip_uint64_t>(i), 0);
        if (!member) throw_zip_failure(fmt::format("{}: member {} has no name", path, i), zip_get_error(archive_->handle.get()));
        const std::string_view name = member;
        if (!name.ends_with(suffix))
            throw Error(ErrorCode::io,
                        fmt::format("{}: member '{}' is not a .npy array: expected an archive made by numpy.savez", path, name));
        names_.emplace_back(name.substr(0, name.size() - suffix.size()));
        if (!seen.insert(name).second) throw Error(ErrorCode::io, fmt::format("{}: has two members '{}'", path, name));
    }
    if (names_.empty()) throw Error(ErrorCode::io, path + ": holds no arrays");
}

NpzReader::~NpzReader() = default;

bool NpzReader::has(const std::string& name) const { return std::find(names_.begin(), names_.end(), name) != names_.end(); }

Array NpzReader::read(const std::string& name) const {
    zip_t* archive = archive_->handle.get();
    const auto index = static_cast<zip_uint64_t>(std::find(names_.begin(), names_.end(), name) - names_.begin());
    zip_stat_t info;
    if (zip_stat_index(archive, index, 0, &info) != 0) throw_zip_failure(name_of(name), zip_get_error(archive));
    check_promise(info, archive_->size, name_of(name));
    MemberSource source(archive, info, name_of(name));
    return read_npy(source);
}

std::vector<std::pair<std::string, Array>> read_npz(const std::string& path) {
    const NpzReader reader(path);
    std::vector<std::pair<std::string, Array>> arrays;
    for (const std::string& name : reader.names()) arrays.emplace_back(name, reader.read(name));
    return arrays;
}

}  // namespace ntk

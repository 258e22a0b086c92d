#include "state_folder.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/error.hpp>

#include <fmt/format.h>

#include <fstream>
#include <sstream>

namespace ntk {
namespace {

namespace fs = std::filesystem;

/// The first line of two texts that is not the same, for people.
std::string first_difference(const std::string& stored, const std::string& wanted) {
    std::istringstream a(stored), b(wanted);
    for (std::string was, is;;) {
        const bool more_a = static_cast<bool>(std::getline(a, was)), more_b = static_cast<bool>(std::getline(b, is));
        if (!more_a && !more_b) return "";
        if (!more_a || !more_b || was != is) return fmt::format("it was '{}', it is '{}'", more_a ? was : "", more_b ? is : "");
    }
}

void make_folder(const fs::path& folder) {
    std::error_code failure;
    fs::create_directories(folder, failure);
    if (failure) throw Error(ErrorCode::io, fmt::format("{}: the folder cannot be made: {}", folder.string(), failure.message()));
}

}  // namespace

StateFolder::StateFolder(const std::string& folder, const std::string& parameters) : folder_(folder) {
    make_folder(folder_);
    const fs::path file = folder_ / "parameters.txt";
    if (!fs::exists(file)) write_text(file.string(), parameters);
    if (const std::string stored = read_text(file); stored != parameters)
        throw Error(ErrorCode::invalid_argument, fmt::format("{} holds work with other parameters: {}; give another folder or start over",
                                                             folder, first_difference(stored, parameters)));
}

std::string StateFolder::record(const std::string& name) const {
    const fs::path path = folder_ / name;
    make_folder(path.parent_path());
    return path.string();
}

std::string read_text(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file) throw Error(ErrorCode::io, fmt::format("{}: cannot be read", path.string()));
    return text.str();
}

std::string data_checksum(const HostMatrix<double>& x) {  // FNV-1a over the bytes
    std::uint64_t hash = 0xcbf29ce484222325U;
    const auto* bytes = reinterpret_cast<const unsigned char*>(x.data());
    for (std::size_t i = 0; i < static_cast<std::size_t>(x.size()) * sizeof(double); ++i) hash = (hash ^ bytes[i]) * 0x100000001b3U;
    return fmt::format("{} x {}, checksum {:016x}", x.rows(), x.cols(), hash);
}

}  // namespace ntk

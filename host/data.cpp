#include <ntkcuda/data.hpp>

#include "array_reader.hpp"
#include "byte_source.hpp"
#include "data_csv.hpp"
#include "data_labels.hpp"
#include "data_synthetic.hpp"
#include "idx_reader.hpp"
#include "npz_reader.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <new>

namespace ntk {
namespace {

constexpr const char* accepted_sources =
    ": expected digits, sphere:n=..,d=..,seed=.., gaussian:n=..,d=..,seed=.., or a file: .csv, .npy, .npz, or IDX (by its first bytes, "
    "gzipped or not)";
constexpr const char* accepted_labels = ": labels are read from .npy, .csv (one column) and IDX (by its first bytes, gzipped or not)";

enum class FileKind { csv, npy, npz, idx };

FileKind file_kind(const std::string& path, const char* accepted) {
    require_regular_file(path, accepted);
    if (is_idx(path)) return FileKind::idx;
    std::string extension = std::filesystem::path(path).extension();
    std::transform(extension.begin(), extension.end(), extension.begin(), [](unsigned char c) { return std::tolower(c); });
    if (extension == ".csv") return FileKind::csv;
    if (extension == ".npy") return FileKind::npy;
    if (extension == ".npz") return FileKind::npz;
    throw Error(ErrorCode::io, fmt::format("{}: is not IDX, and its name ends in '{}'{}", path, extension, accepted));
}

/// Samples and, perhaps, labels, before tasks and classes.
struct RawData {
    HostMatrix<double> x;
    std::optional<Labels> labels;
    Normalization normalization = Normalization::none;
};

RawData from_table(CsvTable&& table, Normalization normalization) {
    RawData raw;
    raw.normalization = normalization;
    raw.x = std::move(table.features);
    if (table.target_column >= 0) raw.labels = labels_of(std::move(table));
    return raw;
}

RawData from_npz(const std::string& path, bool with_labels) {
    const NpzReader reader(path);
    RawData raw;
    if (!reader.has("X")) {
        if (reader.names().size() != 1)
            throw Error(ErrorCode::io,
                        fmt::format("{}: holds the arrays {}: expected one array, or X (and y)", path, fmt::join(reader.names(), ", ")));
        const std::string& name = reader.names().front();
        raw.x = take_samples(reader.read(name), reader.name_of(name));
        return raw;
    }
    raw.x = take_samples(reader.read("X"), reader.name_of("X"));
    if (with_labels && reader.has("y")) raw.labels = labels_of(reader.read("y"), raw.x.rows(), reader.name_of("y"));
    return raw;
}

Labels read_labels(const std::string& path, Index samples) {
    switch (file_kind(path, accepted_labels)) {
        case FileKind::csv:
            return labels_of(read_csv_labels(path, samples));
        case FileKind::npy:
            return labels_of(read_npy(path), samples, path);
        case FileKind::idx:
            return labels_of(read_idx(path), samples, path);
        case FileKind::npz:
            break;
    }
    throw Error(ErrorCode::io, path + ": is an .npz archive" + accepted_labels);
}

HostMatrix<double> shape_alone(std::pair<Index, Index> shape) { return HostMatrix<double>::without_values(shape.first, shape.second); }

/// Without values where these need not be read, or made, for the shape, unless `values`.
RawData read_source(const DataOptions& options, bool values) {
    const std::string& source = options.source;
    const auto refuse = [&](bool given, const char* option, const std::string& reason) {
        if (given) throw Error(ErrorCode::invalid_argument, fmt::format("{}: {} does not go with it: {}", source, option, reason));
    };
    const bool target = options.target.has_value(), labels = !options.labels.empty();
    if (source == "digits") {
        refuse(target, "--target", "the digits have their labels; --target is for CSV files");
        refuse(labels, "--labels", "the digits have their labels");
        return from_table(read_csv(bundled_data("digits.csv"), "label"), Normalization::sphere);
    }
    if (is_synthetic(source)) {
        refuse(target, "--target", "synthetic sources have no labels; --target is for CSV files");
        refuse(labels, "--labels", "synthetic sources have no labels");
        return {values ? synthetic_samples(source) : shape_alone(synthetic_shape(source)), std::nullopt, Normalization::sphere};
    }
    RawData raw;
    const FileKind kind = file_kind(source, accepted_sources);
    refuse(target && kind != FileKind::csv, "--target", "it is for CSV files");
    switch (kind) {
        case FileKind::csv:
            refuse(labels, "--labels", "a CSV file has them in a column: use --target");
            return from_table(read_csv(source, options.target), Normalization::standardize);
        case FileKind::npy:
            raw.x = values ? take_samples(read_npy(source), source) : shape_alone(samples_shape(npy_shape(source), source));
            break;
        case FileKind::npz:
            raw = from_npz(source, !labels);
            break;
        case FileKind::idx:
            raw.x = take_samples(read_idx(source), source);
            raw.normalization = Normalization::sphere;
            break;
    }
    if (labels) raw.labels = read_labels(options.labels, raw.x.rows());
    return raw;
}

HostMatrix<double> first_rows(HostMatrix<double>&& x, const DataOptions& options) {
    if (!options.samples) return std::move(x);
    const Index wanted = *options.samples;
    if (wanted < 1) throw Error(ErrorCode::invalid_argument, fmt::format("--samples {}: expected 1 or more", wanted));
    if (wanted > x.rows())
        throw Error(ErrorCode::invalid_argument, fmt::format("--samples {}: {} has {} samples", wanted, options.source, x.rows()));
    if (wanted == x.rows()) return std::move(x);
    if (!x.has_values()) return shape_alone({wanted, x.cols()});
    return {wanted, x.cols(), {x.data(), x.data() + wanted * x.cols()}};
}

/// Where the shared library may have been installed, if this is in one: above its lib, or its lib/x86_64-linux-gnu.
std::vector<std::filesystem::path> prefixes_of_library() {
    Dl_info info;
    if (dladdr(reinterpret_cast<const void*>(&bundled_data), &info) == 0 || !info.dli_fname) return {};
    const std::filesystem::path library = info.dli_fname;
    if (!library.is_absolute() || library.filename().string().rfind("lib", 0) != 0) return {};
    const auto above = library.parent_path().parent_path();
    return {above, above.parent_path()};
}

Dataset load(const DataOptions& options, bool values) try {
    RawData raw = read_source(options, values);
    Dataset data;
    data.source = options.source;
    data.default_normalization = raw.normalization;
    data.x = first_rows(std::move(raw.x), options);
    if (raw.labels) encode_labels(*raw.labels, options, data);
    return data;
} catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory, options.source + ": the system refused the memory that reading it needs");
}

}  // namespace

Dataset load_data(const DataOptions& options) { return load(options, true); }

Dataset load_shape(const DataOptions& options) {
    Dataset data = load(options, false);
    for (auto* values : {&data.x, &data.y}) *values = shape_alone({values->rows(), values->cols()});
    return data;
}

Dataset load_targets(const DataOptions& options, Index samples) {
    Dataset data;
    data.source = options.labels;
    data.x = HostMatrix<double>(samples, 0);
    encode_labels(read_labels(options.labels, samples), options, data);
    return data;
}

std::string bundled_data(const std::string& file) {
    std::vector<std::filesystem::path> places;
    if (const char* chosen = std::getenv("NTKCUDA_DATA_DIR"); chosen && *chosen) {
        places.emplace_back(chosen);
    } else {
        std::error_code error;
        const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
        if (!error) places.push_back(program.parent_path().parent_path() / "share" / "ntkcuda");
        for (const auto& prefix : prefixes_of_library()) places.push_back(prefix / "share" / "ntkcuda");
        places.emplace_back(NTKCUDA_INSTALLED_DATA_DIR);
        places.emplace_back(NTKCUDA_SOURCE_DATA_DIR);
    }
    std::vector<std::string> tried;
    for (const auto& place : places) {
        tried.push_back(place / file);
        if (std::error_code error; std::filesystem::is_regular_file(tried.back(), error)) return tried.back();
    }
    throw Error(ErrorCode::io, fmt::format("the bundled data file {} is in none of: {} (set NTKCUDA_DATA_DIR to the folder that has it)",
                                           file, fmt::join(tried, ", ")));
}

}  // namespace ntk

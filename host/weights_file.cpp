#include <ntkcuda/array_file.hpp>

#include "array_reader.hpp"
#include "npz_reader.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace ntk {
namespace {

constexpr const char* expected = "expected W1..WL of shape out x in and, for all layers or none, b1..bL of length out";

Index layer_count(const NpzReader& reader) {
    Index layers = 0;
    while (reader.has(fmt::format("W{}", layers + 1))) ++layers;
    return layers;
}

void require_names(const NpzReader& reader, Index layers, bool biases, const std::string& path) {
    if (layers == 0)
        throw Error(ErrorCode::io, fmt::format("{}: has no array 'W1', but {}: {}", path, fmt::join(reader.names(), ", "), expected));
    std::vector<std::string> names;
    for (Index l = 1; l <= layers; ++l) names.push_back(fmt::format("W{}", l));
    for (Index l = 1; biases && l <= layers; ++l) {
        names.push_back(fmt::format("b{}", l));
        if (!reader.has(names.back()))
            throw Error(ErrorCode::io,
                        fmt::format("{}: has W1..W{} and some biases, but no '{}': {}", path, layers, names.back(), expected));
    }
    for (const std::string& name : reader.names())
        if (std::find(names.begin(), names.end(), name) == names.end())
            throw Error(ErrorCode::io, fmt::format("{}: surplus array '{}' beside W1..W{} (there is no 'W{}'): {}", path, name, layers,
                                                   layers + 1, expected));
}

HostMatrix<double> read_weight(const NpzReader& reader, Index layer) {
    const std::string name = fmt::format("W{}", layer);
    Array array = reader.read(name);
    if (array.shape.size() != 2 || array.values.empty())
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("{}: has shape {}: expected out x in", reader.name_of(name), shape_text(array.shape)));
    require_finite(array, reader.name_of(name));
    return std::move(array).as_matrix();
}

HostMatrix<double> read_bias(const NpzReader& reader, Index layer, const HostMatrix<double>& weight) {
    const std::string name = fmt::format("b{}", layer);
    Array array = reader.read(name);
    const bool vector = array.shape.size() == 1 || (array.shape.size() == 2 && std::min(array.shape[0], array.shape[1]) == 1);
    if (!vector || static_cast<Index>(array.values.size()) != weight.rows())
        throw Error(ErrorCode::shape_mismatch,
                    fmt::format("{}: has shape {}, and W{} has shape ({}, {}): expected {} biases", reader.name_of(name),
                                shape_text(array.shape), layer, weight.rows(), weight.cols(), weight.rows()));
    require_finite(array, reader.name_of(name));
    return {1, weight.rows(), std::move(array.values)};
}

void require_chain(const std::vector<HostMatrix<double>>& weights, const std::string& path) {
    for (std::size_t l = 1; l < weights.size(); ++l) {
        const auto &before = weights[l - 1], &here = weights[l];
        if (here.cols() != before.rows())
            throw Error(
                ErrorCode::shape_mismatch,
                fmt::format("{}: W{} of shape ({}, {}) gives {} values and W{} of shape ({}, {}) takes {}{}", path, l, before.rows(),
                            before.cols(), before.rows(), l + 1, here.rows(), here.cols(), here.cols(),
                            here.rows() == before.cols() ? ": weights are out x in; are these transposed?" : ": weights are out x in"));
    }
}

}  // namespace

Weights read_weights(const std::string& path) {
    const NpzReader reader(path);
    const Index layers = layer_count(reader);
    const bool biases = std::any_of(reader.names().begin(), reader.names().end(), [](const std::string& name) {
        return name.size() > 1 && name[0] == 'b' && name[1] >= '0' && name[1] <= '9';
    });
    require_names(reader, layers, biases, path);
    Weights result;
    for (Index l = 1; l <= layers; ++l) result.weights.push_back(read_weight(reader, l));
    require_chain(result.weights, path);
    for (Index l = 1; biases && l <= layers; ++l)
        result.biases.push_back(read_bias(reader, l, result.weights[static_cast<std::size_t>(l - 1)]));
    return result;
}

}  // namespace ntk

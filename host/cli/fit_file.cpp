#include "fit_file.hpp"

#include "host/memory_limit.hpp"
#include "host/npz_reader.hpp"

#include <ntkcuda/array_file.hpp>
#include <ntkcuda/version.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

namespace ntk::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* format_name = "ntkcuda fit";
constexpr int format_version = 1;

/// JSON has no infinity.
Json number_or_null(double x) { return std::isfinite(x) ? Json(x) : Json(); }
double number_or(const Json& value, double otherwise) { return value.is_null() ? otherwise : value.get<double>(); }

Json description_of(const SavedFit& fit) {
    const Architecture& a = fit.architecture;
    return {{"format", format_name},
            {"version", format_version},
            {"program", NTKCUDA_VERSION},
            {"data", fit.source},
            {"kernel", fit.kernel.kernel},
            {"block", fit.kernel.block},
            {"method", fit.kernel.method},
            {"precision", fit.precision},
            {"network",
             {{"inputs", a.inputs},
              {"hidden", a.hidden},
              {"outputs", a.outputs},
              {"activation", to_string(a.activation)},
              {"w-std", a.weight_std},
              {"b-std", a.bias_std},
              {"biases", to_string(a.biases)},
              {"param", to_string(a.parametrization)}}},
            {"normalize", to_string(fit.normalizer.normalization)},
            {"classes", fit.classes},
            {"targets", fit.targets},
            {"initial-function", fit.initial_function},
            {"solver", fit.solver},
            {"condition", number_or_null(fit.report.condition)},
            {"condition_is_estimate", fit.report.condition_is_estimate},
            {"log_determinant", std::isnan(fit.report.log_determinant) ? Json("unknown") : number_or_null(fit.report.log_determinant)}};
}

SavedFit fit_of(const Json& d) {
    SavedFit fit;
    fit.source = d.at("data").get<std::string>();
    fit.kernel.kernel = d.at("kernel").get<std::string>();
    fit.kernel.block = d.at("block").get<std::string>();
    fit.kernel.method = d.at("method").get<std::string>();
    fit.precision = d.at("precision").get<std::string>();
    if (fit.precision != "fp64" && fit.precision != "fp32" && fit.precision != "fast")
        throw Error(ErrorCode::io, fmt::format("the precision '{}' is none of fp64, fp32, fast", fit.precision));
    if (fit.precision == "fast") fit.kernel.gram = GramPrecision::half;
    (void)parse_kernel(fit.kernel.kernel);
    if (parse_block(fit.kernel.block) == Block::diag) throw Error(ErrorCode::io, "the block 'diag' is no system");
    Architecture& a = fit.architecture;
    const Json& network = d.at("network");
    a.inputs = network.at("inputs").get<Index>();
    a.hidden = network.at("hidden").get<std::vector<Index>>();
    a.outputs = network.at("outputs").get<Index>();
    a.activation = parse_activation(network.at("activation").get<std::string>());
    a.weight_std = network.at("w-std").get<double>();
    a.bias_std = network.at("b-std").get<double>();
    a.biases = parse_biases(network.at("biases").get<std::string>());
    a.parametrization = parse_parametrization(network.at("param").get<std::string>());
    a.validate();
    fit.normalizer.normalization = parse_normalization(d.at("normalize").get<std::string>());
    fit.normalizer.features = a.inputs;
    fit.classes = d.at("classes").get<std::vector<std::string>>();
    fit.targets = d.at("targets").get<Index>();
    if (fit.targets < 1 || (!fit.classes.empty() && fit.targets != static_cast<Index>(fit.classes.size())))
        throw Error(ErrorCode::io, fmt::format("{} targets and {} classes", fit.targets, fit.classes.size()));
    fit.initial_function = d.at("initial-function").get<bool>();
    if (fit.initial_function && (!is_empirical(parse_kernel(fit.kernel.kernel)) || a.outputs != fit.targets))
        throw Error(ErrorCode::io, "an initial function, and no network with one output a target");
    fit.solver = d.at("solver");
    constexpr double infinity = std::numeric_limits<double>::infinity();
    fit.report.condition = number_or(d.at("condition"), infinity);
    fit.report.condition_is_estimate = d.at("condition_is_estimate").get<bool>();
    const Json& determinant = d.at("log_determinant");
    fit.report.log_determinant = determinant == "unknown" ? std::nan("") : number_or(determinant, -infinity);
    return fit;
}

/// The arrays of a file, each asked for by name and shape; what nobody asked for is surplus.
class FitReader {
public:
    explicit FitReader(const std::string& path) : path_(path), reader_(path) {}

    [[nodiscard]] bool has(const std::string& name) const { return reader_.has(name); }

    [[nodiscard]] Json description() {
        if (!reader_.has("fit"))
            throw Error(ErrorCode::io, path_ + ": is not a fit: it has no array 'fit' (predict --save-fit writes one)");
        const Array array = take("fit");
        std::string text;
        for (const double value : array.values) {
            if (!array.integral || !(value >= 0 && value <= 255)) throw bad("fit", "is not text stored as bytes");
            text += static_cast<char>(static_cast<unsigned char>(value));
        }
        Json description = Json::parse(text, nullptr, false);
        if (!description.is_object()) throw bad("fit", "is not a JSON object");
        if (description.value("format", Json()) != format_name)
            throw bad("fit", fmt::format("does not say \"format\": \"{}\"", format_name));
        if (description.value("version", Json()) != format_version)
            throw bad("fit", fmt::format("is of version {}: this program ({}) reads version {}",
                                         description.value("version", Json()).dump(), NTKCUDA_VERSION, format_version));
        return description;
    }

    /// rows or cols < 0: any number, at least one.
    [[nodiscard]] HostMatrix<double> matrix(const std::string& name, Index rows, Index cols) {
        if (!reader_.has(name)) throw Error(ErrorCode::io, fmt::format("{}: has no array '{}'", path_, name));
        Array array = take(name);
        const auto fits = [](Index found, Index expected) { return expected < 0 ? found > 0 : found == expected; };
        const auto size = [](Index expected, const char* any) { return expected < 0 ? any : std::to_string(expected); };
        if (array.shape.size() != 2 || !fits(array.shape[0], rows) || !fits(array.shape[1], cols))
            throw bad(name, fmt::format("has shape ({}): expected ({}, {})", fmt::join(array.shape, ", "), size(rows, "samples"),
                                        size(cols, "columns")));
        for (const double value : array.values)
            if (!std::isfinite(value)) throw bad(name, "has a value that is not finite");
        return std::move(array).as_matrix();
    }

    void require_nothing_else() const {
        for (const std::string& name : reader_.names())
            if (std::find(taken_.begin(), taken_.end(), name) == taken_.end())
                throw Error(ErrorCode::io, fmt::format("{}: surplus array '{}', which this fit has no use for", path_, name));
    }

    [[nodiscard]] Error bad(const std::string& array, const std::string& what) const {
        return {ErrorCode::io, fmt::format("{}: {}", reader_.name_of(array), what)};
    }

private:
    [[nodiscard]] Array take(const std::string& name) {
        taken_.push_back(name);
        return reader_.read(name);
    }

    std::string path_;
    NpzReader reader_;
    std::vector<std::string> taken_;
};

Weights read_network(FitReader& reader, const Architecture& a) {
    Weights weights;
    for (Index l = 1; l <= a.depth(); ++l) {
        weights.weights.push_back(reader.matrix(fmt::format("W{}", l), a.width(l), a.width(l - 1)));
        if (a.biases != Biases::none) weights.biases.push_back(reader.matrix(fmt::format("b{}", l), 1, a.width(l)));
    }
    return weights;
}

}  // namespace

void require_fit_path(const std::string& path) {
    if (fs::path(path).extension() != ".npz")
        throw Error(ErrorCode::invalid_argument, fmt::format("--save-fit '{}': a fit is an .npz file; end the name in .npz", path));
    const fs::path folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : fs::path(".");
    if (!fs::is_directory(folder))
        throw Error(ErrorCode::io, fmt::format("--save-fit '{}': the directory '{}' does not exist", path, folder.string()));
}

void write_fit(const std::string& path, const SavedFit& fit) {
    const std::string description = description_of(fit).dump();
    std::vector<NpzMember> members{
        {"fit", std::string_view(description)}, {"X", fit.inputs.view()}, {"coefficients", fit.coefficients.view()}};
    if (!fit.normalizer.columns.empty()) members.push_back({"columns", fit.normalizer.columns.view()});
    if (fit.weights) {
        for (std::size_t l = 0; l < fit.weights->weights.size(); ++l)
            members.push_back({fmt::format("W{}", l + 1), fit.weights->weights[l].view()});
        for (std::size_t l = 0; l < fit.weights->biases.size(); ++l)
            members.push_back({fmt::format("b{}", l + 1), fit.weights->biases[l].view()});
    }
    if (fit.factor) members.push_back({"factor", fit.factor->view()});
    write_npz(path, members);
}

SavedFit read_fit(const std::string& path) {
    FitReader reader(path);
    const Json description = reader.description();
    SavedFit fit;
    try {
        fit = fit_of(description);
    } catch (const Json::exception& e) {
        throw reader.bad("fit", e.what());
    } catch (const Error& e) {
        throw reader.bad("fit", e.what());
    }
    fit.inputs = reader.matrix("X", -1, fit.architecture.inputs);
    const bool full = parse_block(fit.kernel.block) == Block::full;
    const Index rows =
        checked_product({fit.inputs.rows(), rows_per_sample(parse_block(fit.kernel.block), fit.architecture)}, sizeof(double), path);
    if (full && fit.architecture.outputs != fit.targets)
        throw reader.bad("fit", fmt::format("block full with {} outputs and {} targets", fit.architecture.outputs, fit.targets));
    fit.coefficients = reader.matrix("coefficients", rows, full ? 1 : fit.targets);
    if (fit.normalizer.normalization == Normalization::standardize)
        fit.normalizer.columns = reader.matrix("columns", 4, fit.architecture.inputs);
    if (is_empirical(parse_kernel(fit.kernel.kernel))) fit.weights = read_network(reader, fit.architecture);
    if (reader.has("factor")) fit.factor = reader.matrix("factor", rows, rows);
    reader.require_nothing_else();
    return fit;
}

}  // namespace ntk::cli

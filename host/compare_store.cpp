#include <ntkcuda/array_file.hpp>
#include <ntkcuda/compare.hpp>

#include "state_folder.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>

// parameters.txt                    what the records depend on (compare_parameters)
// depth-D-width-W/network-S.npy     the kept rows of train x train, then of test x train, then the diagonal
// depth-D-width-W/network-S.json    the numbers; written last, so a record is there if and only if this file is

namespace ntk {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json optional_number(const std::optional<double>& value) { return value ? json(*value) : json(nullptr); }

std::optional<double> optional_number(const json& value) { return value.is_null() ? std::nullopt : std::optional(value.get<double>()); }

class FolderStore final : public CompareStore {
public:
    FolderStore(const std::string& folder, const std::string& parameters) : folder_(folder, parameters) {}

    std::optional<NetworkRecord> load(Index depth, Index width, Index network) override {
        const std::string name = file_name(depth, width, network);
        if (!fs::exists(name + ".json")) return std::nullopt;
        try {
            const json numbers = json::parse(read_text(name + ".json"));
            NetworkRecord record;
            NetworkErrors& errors = record.errors;
            errors.depth = depth;
            errors.width = width;
            errors.network = network;
            errors.train_relative = numbers.at("train_relative");
            errors.train_largest = numbers.at("train_largest");
            errors.test_relative = numbers.at("test_relative");
            errors.test_largest = numbers.at("test_largest");
            errors.diagonal_mean = numbers.at("diagonal_mean");
            errors.diagonal_square = numbers.at("diagonal_square");
            errors.predictor_distance = optional_number(numbers.at("predictor_distance"));
            errors.score = optional_number(numbers.at("score"));
            errors.limit_score = optional_number(numbers.at("limit_score"));
            errors.failure = numbers.at("failure");
            const Array samples = read_npy(name + ".npy");
            const std::ptrdiff_t train = numbers.at("train_sample_size"), test = numbers.at("test_sample_size"),
                                 diagonal = numbers.at("diagonal_size");
            const auto size = std::ssize(samples.values);
            const bool fits = train >= 0 && test >= 0 && diagonal >= 0 && train <= size && test <= size - train;
            if (!fits || diagonal != size - train - test)
                throw Error(ErrorCode::io, fmt::format("expected {} + {} + {} values, and there are {}", train, test, diagonal, size));
            const auto begin = samples.values.begin();
            record.train_sample.assign(begin, begin + train);
            record.test_sample.assign(begin + train, begin + train + test);
            record.diagonal.assign(begin + train + test, samples.values.end());
            return record;
        } catch (const std::exception& error) {
            throw Error(ErrorCode::io, fmt::format("{}.json and .npy: not a record of a sweep ({}); remove the two files or start over",
                                                   name, error.what()));
        }
    }

    void save(const NetworkRecord& record) override {
        const NetworkErrors& errors = record.errors;
        const std::string name = file_name(errors.depth, errors.width, errors.network);
        std::vector<float> samples = record.train_sample;
        samples.insert(samples.end(), record.test_sample.begin(), record.test_sample.end());
        samples.insert(samples.end(), record.diagonal.begin(), record.diagonal.end());
        write_npy(name + ".npy", {static_cast<Index>(samples.size())}, samples.data());
        write_text(name + ".json", json{{"train_relative", errors.train_relative},
                                        {"train_largest", errors.train_largest},
                                        {"test_relative", errors.test_relative},
                                        {"test_largest", errors.test_largest},
                                        {"diagonal_mean", errors.diagonal_mean},
                                        {"diagonal_square", errors.diagonal_square},
                                        {"predictor_distance", optional_number(errors.predictor_distance)},
                                        {"score", optional_number(errors.score)},
                                        {"limit_score", optional_number(errors.limit_score)},
                                        {"failure", errors.failure},
                                        {"train_sample_size", record.train_sample.size()},
                                        {"test_sample_size", record.test_sample.size()},
                                        {"diagonal_size", record.diagonal.size()}}
                                       .dump(1));
    }

private:
    [[nodiscard]] std::string file_name(Index depth, Index width, Index network) const {
        return folder_.record(fmt::format("depth-{}-width-{}/network-{}", depth, width, network));
    }

    StateFolder folder_;
};

}  // namespace

std::unique_ptr<CompareStore> open_compare_store(const std::string& folder, const std::string& parameters) {
    return std::make_unique<FolderStore>(folder, parameters);
}

}  // namespace ntk

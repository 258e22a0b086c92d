#include <ntkcuda/array_file.hpp>
#include <ntkcuda/depth_limit.hpp>
#include <ntkcuda/version.hpp>

#include "depth_record.hpp"
#include "memory_limit.hpp"
#include "state_folder.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

// parameters.txt   what the records depend on (depth_parameters)
// depth-L.npy      the numbers of a level, then its lists, then u
// depth-L.json     their sizes and the note; written last, so a record is there if and only if this file is

namespace ntk {
namespace {

using nlohmann::json;

class FolderStore final : public DepthStore {
public:
    FolderStore(const std::string& folder, const std::string& parameters) : folder_(folder, parameters) {}

    std::optional<DepthRecord> load(Index depth) override {
        const std::string name = file_name(depth);
        if (!std::filesystem::exists(name + ".json")) return std::nullopt;
        try {
            const json sizes = json::parse(read_text(name + ".json"));
            const Array array = read_npy(name + ".npy");
            auto at = array.values.begin();
            const auto take = [&](Index count) {
                if (count < 0 || array.values.end() - at < count) throw Error(ErrorCode::io, "it is too short");
                at += count;
                return std::vector<double>(at - count, at);
            };
            DepthRecord record;
            DepthPoint& point = record.point;
            point.depth = depth;
            for (const auto number : depth_numbers) point.*number = take(1).front();
            for (std::size_t i = 0; i < std::size(depth_lists); ++i) point.*depth_lists[i] = take(sizes.at("lists").at(i));
            if (sizes.at("scored")) point.score = take(1).front();
            point.still = sizes.at("still");
            point.closed_form_note = sizes.at("note");
            const Index tests = sizes.at("tests"), samples = sizes.at("samples");
            if (tests < 0 || samples < 0) throw Error(ErrorCode::io, "a size is negative");
            record.weights = {tests, samples, take(checked_product({tests, samples}, sizeof(double), "u"))};
            return record;
        } catch (const std::exception& error) {
            throw Error(ErrorCode::io, fmt::format("{}.json and .npy: not a record of a depth study ({}); remove the two files or start "
                                                   "over",
                                                   name, error.what()));
        }
    }

    void save(const DepthRecord& record) override {
        const DepthPoint& point = record.point;
        const HostMatrix<double>& u = record.weights;
        const std::string name = file_name(point.depth);
        std::vector<double> values;
        json list_sizes = json::array();
        for (const auto number : depth_numbers) values.push_back(point.*number);
        for (const auto list : depth_lists) {
            values.insert(values.end(), (point.*list).begin(), (point.*list).end());
            list_sizes.push_back((point.*list).size());
        }
        if (point.score) values.push_back(*point.score);
        values.insert(values.end(), u.data(), u.data() + u.size());
        write_npy(name + ".npy", {static_cast<Index>(values.size())}, values.data());
        write_text(name + ".json", json{{"lists", list_sizes},
                                        {"scored", point.score.has_value()},
                                        {"still", point.still},
                                        {"note", point.closed_form_note},
                                        {"tests", u.rows()},
                                        {"samples", u.cols()}}
                                       .dump(1));
    }

private:
    [[nodiscard]] std::string file_name(Index depth) const { return folder_.record(fmt::format("depth-{}", depth)); }

    StateFolder folder_;
};

}  // namespace

std::unique_ptr<DepthStore> open_depth_store(const std::string& folder, const std::string& parameters) {
    return std::make_unique<FolderStore>(folder, parameters);
}

std::string depth_parameters(const Backend<double>& backend, const Dataset& train, const Dataset* test, const DepthOptions& options) {
    const KernelFamily& family = options.family;
    std::string text;
    const auto add = [&](const char* name, const auto& value) { text += fmt::format("{} = {}\n", name, value); };
    add("version", NTKCUDA_VERSION);
    add("device", backend.info().kind == DeviceKind::cpu ? "cpu" : "cuda");
    add("kernel", family.kernel == InfiniteKernel::ntk ? "ntk" : "nngp");
    add("activation", family.dual.name());
    add("w-std", family.weight_std);
    add("b-std", family.bias_std);
    add("biases", family.bias_std == 0 ? "none" : family.trained_biases ? "trained" : "fixed");
    add("spectrum", options.spectrum ? "all" : "extreme");
    add("off-diagonal limit", options.off_diagonal_limit ? fmt::format("{}", *options.off_diagonal_limit) : "unknown");
    add("training samples", data_checksum(train.x));
    add("training targets", data_checksum(train.y));
    if (test != nullptr) add("test samples", data_checksum(test->x));
    if (test != nullptr) add("test targets", data_checksum(test->y));
    add("record format", 1);
    return text;
}

}  // namespace ntk

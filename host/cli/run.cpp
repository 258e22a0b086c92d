#include "run.hpp"

#include "rates_file.hpp"
#include "terminal.hpp"

#include "host/backend/cuda_entry.hpp"

#include <ntkcuda/version.hpp>

#include <cblas.h>
#include <fmt/format.h>

#include <zip.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

namespace ntk::cli {

int exit_code(ErrorCode code) {
    switch (code) {
        case ErrorCode::invalid_argument:
        case ErrorCode::shape_mismatch:
        case ErrorCode::io:
            return exit_bad_input;
        case ErrorCode::not_positive_definite:
            return exit_refused;
        case ErrorCode::device_unavailable:
        case ErrorCode::out_of_memory:
            return exit_no_device_or_memory;
        case ErrorCode::device_failure:
        case ErrorCode::cancelled:
            break;
    }
    return exit_other;
}

void print_line(std::FILE* to, const std::string& line) {
    const bool written = std::fputs((line + "\n").c_str(), to) >= 0;
    if (!written && to == stdout) throw Error(ErrorCode::io, fmt::format("standard output: cannot be written: {}", std::strerror(errno)));
}

namespace {

Json device_json(const DeviceInfo& device) {
    return {{"id", device.id()}, {"name", device.name}, {"memory_total", device.memory_total}, {"threads", device.threads}};
}

}  // namespace

Run::Run(std::string command, RunArguments arguments) : command_(std::move(command)), arguments_(std::move(arguments)) {
    parameters = {{"device", arguments_.device}, {"precision", arguments_.precision}, {"threads", arguments_.threads}};
    if (arguments_.memory_gib) parameters["memory"] = *arguments_.memory_gib;
    data = Json::object();
    results = Json::object();
    if (!arguments_.plan.rates.empty()) rates_ = read_rates(arguments_.plan.rates);
}

Samples Run::load(const DataArguments& arguments, bool hold_out) {
    Samples samples = timed("data", false, [&] { return load_samples(arguments, hold_out, arguments_.plan); });
    describe(samples);
    return samples;
}

void Run::say(const std::string& line) const {
    if (!arguments_.quiet && ranks_.root()) print_line(arguments_.json ? stderr : stdout, line);
}

void Run::warn(const std::string& message) {
    if (ranks_.root()) print_line(stderr, fmt::format("{} {}", painted(stderr, Colour::warning, "warning:"), message));
    warnings_.push_back(message);
}

void Run::describe(const Samples& samples) {
    const Dataset& train = samples.train;
    data = {{"source", train.source},
            {"samples", train.samples()},
            {"features", train.features()},
            {"test_samples", samples.test ? Json(samples.test->samples()) : Json()},
            {"task", !train.has_targets() ? Json() : Json(train.classification() ? "classification" : "regression")},
            {"classes", train.classes},
            {"normalize", to_string(samples.normalizer.normalization)}};
    std::string task = !train.has_targets()     ? "no targets"
                       : train.classification() ? fmt::format("classification, {} classes", train.classes.size())
                                                : fmt::format("regression, {} targets", train.y.cols());
    const std::string test = samples.test ? fmt::format(" + {} test", samples.test->samples()) : "";
    say(fmt::format("data      {}: {}{} samples x {} features, {}; normalisation {}", train.source, train.samples(), test, train.features(),
                    task, to_string(samples.normalizer.normalization)));
}

void Run::report_resolution(double resolution) {
    results["resolution"] = resolution;
    say(fmt::format("precision fast: FP16 operands, float32 sums; resolves eigenvalues down to {:.1e} of the mean diagonal", resolution));
}

void Run::add_time(const std::string& phase, bool compute, double seconds) {
    timings_[phase] = timings_.value(phase, 0.0) + seconds;
    if (compute) timings_["compute"] = timings_.value("compute", 0.0) + seconds;
}

void Run::add_device(std::function<DeviceInfo()> ask) {
    ask_devices_.push_back(std::move(ask));
    DeviceInfo& device = devices_.emplace_back(ask_devices_.back()());
    if (!rates_) return;
    device.kind = rates_->kind;
    device.name = rates_->device;
    device.memory_total = device.memory_free = static_cast<std::uint64_t>(rates_->memory);
}

void Run::say_devices() const {
    for (const DeviceInfo& device : devices_) say(fmt::format("device    {} ({}), {}", device.id(), device.name, arguments_.precision));
    if (idle_ranks() > 0) say(fmt::format("ranks     1 of {}: this is not shared among ranks", idle_ranks() + 1));
    if (ranks_.size() > 1)
        say(fmt::format("ranks     {}, {} on this machine, {} threads each", ranks_.size(), local_ranks(), devices_.front().threads));
}

std::uint64_t Run::memory_peak() const {
    std::uint64_t peak = 0;
    for (const auto& ask : ask_devices_) peak = std::max(peak, ask().memory_peak);
    return peak;
}

double Run::memory_available() const {
    if (arguments_.memory_gib) return *arguments_.memory_gib * gib;
    const auto free = [this](const DeviceInfo& device) {
        // Each planned rank has a device of the rates' kind to itself.
        return static_cast<double>(device.memory_free) / (rates_ ? 1 : ranks_on_device(device));
    };
    const auto least =
        std::min_element(devices_.begin(), devices_.end(), [&](const DeviceInfo& a, const DeviceInfo& b) { return free(a) < free(b); });
    return least == devices_.end() ? 0 : free(*least);
}

std::string Run::memory_available_text() const {
    return fmt::format("{} is {}", readable_bytes(memory_available()), arguments_.memory_gib ? "what --memory allows" : "free");
}

void Run::require_memory(const std::string& what, double bytes) {
    planned_memory_ = std::max(planned_memory_, bytes);
    if (bytes <= memory_available()) return;
    throw Error(ErrorCode::out_of_memory,
                fmt::format("{} needs {} on {}{}, and {}; use fewer samples, --precision fp32, {}or a larger device", what,
                            readable_bytes(bytes), devices_.size() > 1 ? "each device" : devices_.front().id(),
                            ranks_.size() > 1 ? " for each rank" : "", memory_available_text(), ranks_.size() > 1 ? "more ranks, " : ""));
}

bool Run::writes() {
    if (ranks_.size() == 1) return true;
    of_ranks_ = {{"count", ranks_.size()}, {"memory_peak", of_every_rank(ranks_, memory_peak())}};
    return ranks_.root();
}

Json Run::record() const {
    Json timings = timings_;
    timings["total"] = std::chrono::duration<double>(Clock::now() - start_).count();
    Json memory = Json::object();
    if (planned_memory_ > 0) memory["planned"] = planned_memory_;
    if (!ask_devices_.empty()) memory["peak"] = memory_peak();
    Json whole = {{"program", "ntkcuda"},
                  {"version", NTKCUDA_VERSION},
                  {"command", command_},
                  {"parameters", parameters},
                  {"data", data},
                  {"device", device_json(devices_.empty() ? DeviceInfo{} : devices_.front())},
                  {"libraries", libraries()},
                  {"results", results},
                  {"memory", memory},
                  {"timings", timings},
                  {"warnings", warnings_}};
    if (devices_.size() > 1)
        for (const DeviceInfo& device : devices_) whole["devices"].push_back(device_json(device));
    if (!of_ranks_.is_null()) whole["ranks"] = of_ranks_;
    return whole;
}

void Run::finish() const {
    if (arguments_.json) print_line(stdout, record().dump(2));
}

Json libraries() {
    Json all = {{"openblas", fmt::format("{}, core {}", openblas_get_config(), openblas_get_corename())}, {"libzip", zip_libzip_version()}};
    if (const auto cuda = cuda::versions(); !cuda.empty()) all["cuda"] = cuda;
    return all;
}

Json network_parameters(const NetworkArguments& arguments, const Architecture& architecture) {
    Json parameters = {{"depth", architecture.depth()},
                       {"outputs", architecture.outputs},
                       {"activation", to_string(architecture.activation)},
                       {"w-std", architecture.weight_std},
                       {"b-std", architecture.bias_std},
                       {"biases", to_string(architecture.biases)},
                       {"param", to_string(architecture.parametrization)},
                       {"seed", arguments.seed}};
    if (!arguments.weights.empty()) parameters["weights"] = arguments.weights;
    // One width says it shorter, and a deep network needs no list.
    else if (!arguments.hidden.empty())
        parameters["hidden"] = architecture.hidden;
    else if (!architecture.hidden.empty())
        parameters["width"] = architecture.hidden.front();
    return parameters;
}

Json data_parameters(const DataArguments& arguments, const Samples& samples) {
    Json parameters = {{"data", arguments.data.source}, {"normalize", to_string(samples.normalizer.normalization)}};
    const auto add = [&](const char* name, const std::string& value) {
        if (!value.empty()) parameters[name] = value;
    };
    add("test", arguments.test);
    add("labels", arguments.data.labels);
    add("test-labels", arguments.test_labels);
    add("target", arguments.data.target.value_or(""));
    if (arguments.data.task != Task::automatic)
        parameters["task"] = arguments.data.task == Task::classification ? "classification" : "regression";
    if (arguments.data.samples) parameters["samples"] = *arguments.data.samples;
    return parameters;
}

}  // namespace ntk::cli

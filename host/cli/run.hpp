#pragma once

// One run of a command: its device, messages, timings, warnings, and the record that becomes run.json.

#include "arguments.hpp"
#include "ranks.hpp"
#include "units.hpp"

#include <ntkcuda/backend.hpp>
#include <ntkcuda/rates.hpp>

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdio>
#include <functional>
#include <string>

namespace ntk::cli {

using Json = nlohmann::ordered_json;

/// Exit codes of the contract.
enum ExitCode { exit_done = 0, exit_other = 1, exit_bad_input = 2, exit_refused = 3, exit_no_device_or_memory = 4 };
[[nodiscard]] int exit_code(ErrorCode code);

/// Throws Error(io) when stdout cannot be written; that nobody can read stderr stops no work.
void print_line(std::FILE* to, const std::string& line);

class Run {
public:
    Run(std::string command, RunArguments arguments);

    [[nodiscard]] const RunArguments& arguments() const { return arguments_; }
    /// "parameters" (named like the options), "data", "results": filled by the command.
    Json parameters, data, results;

    /// The ranks that do the command's work together; the root alone says, warns and writes.
    [[nodiscard]] Ranks& ranks() const { return ranks_; }
    /// The end of common work, which every rank calls: the record has the ranks then. Whether this is the rank that goes on to write.
    [[nodiscard]] bool writes();

    /// A line for people: on stdout, or on stderr with --json; nothing with --quiet.
    void say(const std::string& line) const;
    /// Printed on stderr at once (also with --quiet) and kept for run.json.
    void warn(const std::string& message);
    /// Loads the samples, or their shapes for a dry run, and says what was chosen for the user: samples, features, classes, normalisation.
    [[nodiscard]] Samples load(const DataArguments& arguments, bool hold_out);
    /// Whether this is a dry run.
    [[nodiscard]] bool planning() const { return arguments_.plan.dry_run; }
    /// Numbers of ranks that a dry run is for.
    [[nodiscard]] std::vector<int> planned_ranks() const {
        return arguments_.plan.ranks.empty() ? std::vector{ranks_.size()} : arguments_.plan.ranks;
    }
    /// Of a dry run with --rates.
    [[nodiscard]] const std::optional<Rates>& given_rates() const { return rates_; }
    /// The device of the run; for a dry run with --rates that of the rates.
    [[nodiscard]] const DeviceInfo& device() const { return devices_.front(); }

    /// A line and a result that say what a kernel of --precision fast resolves.
    void report_resolution(double resolution);

    /// Runs `work` and adds its seconds to timings[phase]; `compute` phases also count in timings.compute.
    template <class Work>
    auto timed(const std::string& phase, bool compute, Work&& work) {
        const Stopwatch watch(*this, phase, compute);
        return work();
    }

    /// The backend of --device and --threads in this precision.
    template <class Real>
    [[nodiscard]] std::shared_ptr<Backend<Real>> backend() {
        return use(std::vector{make_backend<Real>(own_device(arguments_.device), arguments_.threads)}).front();
    }
    /// Those of a --device that may name several.
    template <class Real>
    [[nodiscard]] std::vector<std::shared_ptr<Backend<Real>>> backends() {
        return use(make_backends<Real>(own_device(arguments_.device), arguments_.threads));
    }
    /// Bytes that --memory allows on each device, or that were free at the start on the device with the least.
    [[nodiscard]] double memory_available() const;
    /// "2.0 GiB is what --memory allows".
    [[nodiscard]] std::string memory_available_text() const;
    /// Throws Error(out_of_memory) naming the number when `bytes` exceeds --memory or what is free on the device. The record keeps it.
    void require_memory(const std::string& what, double bytes);

    /// The whole record; `timings.total` is up to now.
    [[nodiscard]] Json record() const;
    /// With --json prints the record on stdout.
    void finish() const;

    void add_time(const std::string& phase, bool compute, double seconds);

private:
    static constexpr double gib = 1024.0 * 1024.0 * 1024.0;
    using Clock = std::chrono::steady_clock;
    struct Stopwatch {
        Stopwatch(Run& owner, std::string name, bool counts) : run(owner), phase(std::move(name)), compute(counts) {
            run.add_time(phase, compute, 0);  // makes the entries: the destructor allocates nothing
        }
        ~Stopwatch() { run.add_time(phase, compute, std::chrono::duration<double>(Clock::now() - start).count()); }
        Run& run;
        std::string phase;
        bool compute;
        Clock::time_point start = Clock::now();
    };
    template <class Real>
    std::vector<std::shared_ptr<Backend<Real>>> use(std::vector<std::shared_ptr<Backend<Real>>> made) {
        ask_devices_.clear();  // the last choice counts
        devices_.clear();
        for (const auto& backend : made) {
            if (arguments_.memory_gib) backend->limit_memory(static_cast<std::uint64_t>(*arguments_.memory_gib * gib));
            add_device([backend] { return backend->info(); });
        }
        say_devices();
        return made;
    }
    void add_device(std::function<DeviceInfo()> ask);
    void say_devices() const;
    /// The largest of the devices; 0 without any.
    [[nodiscard]] std::uint64_t memory_peak() const;
    void describe(const Samples& samples);

    Ranks& ranks_ = cli::ranks();
    std::string command_;
    RunArguments arguments_;
    Clock::time_point start_ = Clock::now();
    std::vector<std::function<DeviceInfo()>> ask_devices_;  ///< what they say now
    std::vector<DeviceInfo> devices_;                       ///< what they said at the start
    std::optional<Rates> rates_;
    double planned_memory_ = 0;
    Json of_ranks_;  ///< null on one rank
    Json timings_ = Json::object();
    std::vector<std::string> warnings_;
};

/// Whether a command has a use for layer Grams of FP16 operands.
enum class Fast { refused, taken };

/// Calls work with a std::type_identity of float or double, as --precision says; fast is float64 everywhere but in the layer Grams.
/// Throws Error(invalid_argument) for --precision fast where it is refused.
template <class Work>
auto with_precision(const RunArguments& arguments, Fast fast, Work&& work) {
    if (fast == Fast::refused && arguments.fast())
        throw Error(ErrorCode::invalid_argument,
                    "--precision fast is for kernel and predict with --kernel empirical-ntk; use fp64 or fp32");
    return arguments.precision == "fp32" ? work(std::type_identity<float>{}) : work(std::type_identity<double>{});
}

/// Versions of the program and the libraries it runs on.
[[nodiscard]] Json libraries();

/// The parameters of a network, named like the options.
[[nodiscard]] Json network_parameters(const NetworkArguments& arguments, const Architecture& architecture);
/// The parameters of the data.
[[nodiscard]] Json data_parameters(const DataArguments& arguments, const Samples& samples);

}  // namespace ntk::cli

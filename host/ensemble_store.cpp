#include <ntkcuda/array_file.hpp>
#include <ntkcuda/backend.hpp>
#include <ntkcuda/ensemble.hpp>
#include <ntkcuda/version.hpp>

#include "state_folder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

// parameters.txt   what the state depends on (ensemble_parameters)
// ensemble.npy     one row of numbers, so that they are of one moment: networks, columns, products, histograms; the moments; centres and
//                  moments of the pairs; of each histogram the number of bins, then bin and count of each

namespace ntk {
namespace {

class FolderStore final : public EnsembleStore {
public:
    FolderStore(const std::string& folder, const std::string& parameters) : path_(StateFolder(folder, parameters).record("ensemble.npy")) {}

    std::optional<EnsembleState> load() override {
        if (!std::filesystem::exists(path_)) return std::nullopt;
        const Array array = read_npy(path_);
        auto at = array.values.begin();
        const auto next = [&] {
            if (at == array.values.end()) throw Error(ErrorCode::io, fmt::format("{}: too short for the state of an ensemble", path_));
            return *at++;
        };
        const auto whole = [&] {
            const double value = next();
            if (!(value >= 0 && value <= 0x1p53 && value == std::floor(value)))
                throw Error(ErrorCode::io,
                            fmt::format("{}: {} where a number of things was expected: not the state of an ensemble", path_, value));
            return static_cast<Index>(value);
        };
        const auto moments = [&](Index count, Index columns) {
            HostMatrix<double> values(6, columns);
            std::generate(values.data(), values.data() + values.size(), next);
            return Moments(count, std::move(values));
        };
        const Index networks = whole(), columns = whole(), products = whole(), histograms = whole();
        if (columns > std::ssize(array.values) || products > std::ssize(array.values))
            throw Error(ErrorCode::io, fmt::format("{}: too short for the state of an ensemble", path_));
        EnsembleState state;
        state.moments = moments(networks, columns);
        for (Index i = 0; i < products; ++i) state.centres.push_back(next());
        state.products = moments(networks, products);
        for (Index h = 0; h < histograms; ++h) {
            ValueHistogram histogram;
            for (Index bins = whole(); bins > 0; --bins) {
                const double bin = next();
                if (!(std::fabs(bin) < 0x1p31)) throw Error(ErrorCode::io, fmt::format("{}: no bin has the number {}", path_, bin));
                histogram.add_bin(static_cast<std::int32_t>(bin), static_cast<std::uint64_t>(whole()));
            }
            state.histograms.push_back(std::move(histogram));
        }
        return state;
    }

    void save(const EnsembleState& state) override {
        std::vector<double> values{static_cast<double>(state.moments.count()), static_cast<double>(state.moments.columns()),
                                   static_cast<double>(state.products.columns()), static_cast<double>(state.histograms.size())};
        const auto append = [&](const auto* data, Index size) { values.insert(values.end(), data, data + size); };
        append(state.moments.values().data(), state.moments.values().size());
        append(state.centres.data(), std::ssize(state.centres));
        append(state.products.values().data(), state.products.values().size());
        for (const ValueHistogram& histogram : state.histograms) {
            values.push_back(static_cast<double>(histogram.bins().size()));
            for (const auto& [bin, count] : histogram.bins())
                values.insert(values.end(), {static_cast<double>(bin), static_cast<double>(count)});
        }
        write_npy(path_, {std::ssize(values)}, values.data());
    }

private:
    std::string path_;
};

}  // namespace

std::unique_ptr<EnsembleStore> open_ensemble_store(const std::string& folder, const std::string& parameters) {
    return std::make_unique<FolderStore>(folder, parameters);
}

template <class Real>
std::string ensemble_parameters(const Backend<Real>& backend, const HostMatrix<double>& x, const EnsembleOptions& options) {
    const KernelSamplerOptions& sampler = options.sampler;
    const Architecture& a = sampler.architecture;
    std::string text;
    const auto add = [&](const char* name, const auto& value) { text += fmt::format("{} = {}\n", name, value); };
    add("version", NTKCUDA_VERSION);
    add("device", backend.info().kind == DeviceKind::cpu ? "cpu" : "cuda");
    add("precision", sizeof(Real) == sizeof(double) ? "fp64" : "fp32");
    add("sampler", sampler.sampler == Sampler::weights ? "weights" : "conditional");
    add("seed", sampler.seed);
    add("hidden", fmt::format("{}", fmt::join(a.hidden, ",")));
    add("outputs", a.outputs);
    add("activation", to_string(a.activation));
    add("w-std", a.weight_std);
    add("b-std", a.bias_std);
    add("biases", a.biases == Biases::none ? "none" : a.biases == Biases::fixed ? "fixed" : "trained");
    add("param", a.parametrization == Parametrization::ntk ? "ntk" : "standard");
    add("block", sampler.block == Block::full ? "full" : sampler.block == Block::trace ? "trace" : "diag");
    add("per-layer", sampler.per_layer ? "yes" : "no");
    std::vector<std::string> names;
    for (const KernelEntry& entry : options.histograms) names.push_back(to_string(entry));
    add("histograms", fmt::format("{}", fmt::join(names, " ")));
    names.clear();
    for (const auto& [first, second] : options.covariances) names.push_back(to_string(first) + "*" + to_string(second));
    add("covariances", fmt::format("{}", fmt::join(names, " ")));
    add("samples", data_checksum(x));
    add("record format", 1);
    return text;
}

template std::string ensemble_parameters(const Backend<float>&, const HostMatrix<double>&, const EnsembleOptions&);
template std::string ensemble_parameters(const Backend<double>&, const HostMatrix<double>&, const EnsembleOptions&);

}  // namespace ntk

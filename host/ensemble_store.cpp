#include <ntkcuda/array_file.hpp>
#include <ntkcuda/backend.hpp>
#include <ntkcuda/ensemble.hpp>
#include <ntkcuda/version.hpp>

#include "ensemble_state.hpp"
#include "state_folder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

// parameters.txt   what the state depends on (ensemble_parameters)
// ensemble.npy     one row of numbers, so that they are of one moment (ensemble_state.hpp)

namespace ntk {
namespace {

class FolderStore final : public EnsembleStore {
public:
    FolderStore(const std::string& folder, const std::string& parameters) : path_(StateFolder(folder, parameters).record("ensemble.npy")) {}

    std::optional<EnsembleState> load() override {
        if (!std::filesystem::exists(path_)) return std::nullopt;
        return from_numbers(read_npy(path_).values, path_);
    }
    void save(const EnsembleState& state) override {
        const std::vector<double> numbers = to_numbers(state);
        write_npy(path_, {std::ssize(numbers)}, numbers.data());
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

#include "fused_plan.hpp"

#include <algorithm>
#include <cmath>

namespace ntk::cuda {
namespace {

/// Gives out places one after another.
class Places {
public:
    int take(int elements) { return std::exchange(end_, end_ + elements); }
    [[nodiscard]] int end() const { return end_; }

private:
    int end_ = 0;
};

void add_draw(FusedNetwork& network, const FusedDraw& draw) {
    network.draws.push_back(draw);
    network.draws.back().first_block = network.plan.draw_blocks;
    network.plan.draw_blocks += (draw.elements + 3) / 4;
}

}  // namespace

Index fused_elements(const KernelSamplerOptions& options, Index samples) {
    const Architecture& architecture = options.architecture;
    const auto capped = [](Index a, Index b) { return a > (Index{1} << 30) / std::max<Index>(b, 1) ? Index{1} << 30 : a * b; };
    Index elements = capped(samples, samples), widest = 0;
    for (Index l = 1; l <= architecture.depth(); ++l) {
        const Index units = architecture.width(l);
        elements += capped(units, architecture.width(l - 1) + 2) + capped(capped(2, samples), units + 1);
        widest = std::max(widest, units);
    }
    return elements + capped(capped(capped(2, samples), architecture.outputs), widest + 1);
}

FusedNetwork plan_fused_network(const KernelSamplerOptions& options, const KernelLayout& layout, Index samples) {
    const Architecture& architecture = options.architecture;
    FusedNetwork network{};
    FusedPlan& plan = network.plan;
    plan.seed = options.seed;
    plan.activation = architecture.activation;
    plan.block = options.block;
    plan.samples = static_cast<int>(samples);
    plan.outputs = static_cast<int>(architecture.outputs);
    plan.depth = static_cast<int>(architecture.depth());
    plan.nngp = nngp_term(architecture);
    plan.tangent_entries = static_cast<int>(layout.tangent);
    plan.nngp_entries = static_cast<int>(layout.nngp);
    plan.terms = layout.layers > 0;
    Places places;
    int widest = 0;
    for (Index l = 1; l <= architecture.depth(); ++l) {
        const bool hidden = l < architecture.depth();
        FusedLayer layer{
            static_cast<int>(architecture.width(l - 1)), static_cast<int>(architecture.width(l)), 0, -1, -1, -1, layer_term(options, l)};
        layer.weight = places.take(layer.units * odd_stride(layer.inputs));
        const double scale = architecture.weight_std / std::sqrt(static_cast<double>(layer.inputs));
        add_draw(network, {weight_stream(l), 0, layer.units * layer.inputs, layer.inputs, layer.weight, scale});
        if (hidden) {
            if (architecture.biases != Biases::none) {
                layer.bias = places.take(layer.units);
                add_draw(network, {bias_stream(l), 0, layer.units, layer.units, layer.bias, architecture.bias_std});
            }
            layer.activation = places.take(plan.samples * odd_stride(layer.units));
            layer.slope = places.take(plan.samples * odd_stride(layer.units));
            widest = std::max(widest, layer.units);
        }
        network.layers.push_back(layer);
    }
    plan.delta = places.take(plan.samples * plan.outputs * odd_stride(widest));
    plan.next_delta = places.take(plan.samples * plan.outputs * odd_stride(widest));
    plan.gram = places.take(plan.samples * (plan.samples + 1) / 2);
    plan.elements = places.end();
    plan.draws = static_cast<int>(network.draws.size());
    return network;
}

}  // namespace ntk::cuda

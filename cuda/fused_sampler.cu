// The weights sampler for small networks: a block of threads a network, in shared memory where a network fits, else in memory of its own
// for each block. Weights are drawn in place; a thread has one unit (or input) and up to four samples, so that it reads a weight once for
// them; an entry of a kernel has a thread, or a warp where entries are few.

#include "fused_sampler.hpp"

#include "device_matrix.hpp"
#include "fused_plan.hpp"

#include <ntkcuda/formulas/activation.hpp>
#include <ntkcuda/formulas/normals.hpp>

namespace ntk::cuda {
namespace {

constexpr int least_threads = 64;

template <class Real>
struct Rows {
    Real* data;
    int stride;
    __device__ Real& operator()(int i, int j) const { return data[i * stride + j]; }
};

/// A network in the middle of its block's memory.
template <class Real>
struct FusedState {
    const FusedPlan& plan;
    const FusedLayer* layers;
    DeviceMatrix<const Real> inputs;
    Real* memory;

    __device__ const FusedLayer& layer(int l) const { return layers[l - 1]; }
    __device__ Rows<Real> rows(int at, int cols) const { return {memory + at, odd_stride(cols)}; }
    __device__ Rows<Real> weight(int l) const { return rows(layer(l).weight, layer(l).inputs); }
    __device__ Rows<Real> slope(int l) const { return rows(layer(l).slope, layer(l).units); }
    __device__ Rows<const Real> activation(int l) const {
        if (l == 0) return {inputs.data, static_cast<int>(inputs.stride)};
        return {memory + layer(l).activation, odd_stride(layer(l).units)};
    }
};

/// f(item) for items shared out over the threads of the block.
template <class F>
__device__ void for_each_item(int count, F f) {
    for (int item = static_cast<int>(threadIdx.x); item < count; item += static_cast<int>(blockDim.x)) f(item);
}

template <class Real>
__device__ void draw_all(const FusedPlan& plan, const FusedDraw* draws, std::uint32_t network, Real* memory) {
    int d = 0;
    for_each_item(plan.draw_blocks, [&](int block) {
        while (d + 1 < plan.draws && block >= draws[d + 1].first_block) ++d;
        const FusedDraw& draw = draws[d];
        const int first = 4 * (block - draw.first_block);
        const formulas::Normals4 normals =
            formulas::normals_of_block(plan.seed, network, draw.stream, static_cast<std::uint64_t>(block - draw.first_block));
        int i = first / draw.cols, j = first % draw.cols;
        for (int k = 0; k < 4 && first + k < draw.elements; ++k) {
            memory[draw.at + i * odd_stride(draw.cols) + j] = static_cast<Real>(draw.scale * static_cast<double>(normals.value[k]));
            if (++j == draw.cols) ++i, j = 0;
        }
    });
}

/// store(row, j, sum_k left(row, k) right(k, j)) for rows x cols entries; a thread has `tile` rows.
template <int tile, class Real, class Right, class Store>
__device__ void product(int rows, int cols, int inner, Rows<const Real> left, const Right& right, const Store& store) {
    for_each_item((rows + tile - 1) / tile * cols, [&](int item) {
        const int j = item % cols, first = item / cols * tile;
        const Real* at[tile];
        Real sums[tile];
        NTK_UNROLL
        for (int t = 0; t < tile; ++t) {
            at[t] = &left(first + t < rows ? first + t : rows - 1, 0);
            sums[t] = 0;
        }
        for (int k = 0; k < inner; ++k) {
            const Real factor = right(k, j);
            NTK_UNROLL
            for (int t = 0; t < tile; ++t) sums[t] += at[t][k] * factor;
        }
        NTK_UNROLL
        for (int t = 0; t < tile; ++t)
            if (first + t < rows) store(first + t, j, sums[t]);
    });
}

template <class Real, class Right, class Store>
__device__ void product(int rows, int cols, int inner, Rows<const Real> left, const Right& right, const Store& store) {
    if (rows < 4) {
        product<1>(rows, cols, inner, left, right, store);
    } else {
        product<4>(rows, cols, inner, left, right, store);
    }
}

/// a^l and phi'(z^l) from a^{l-1}.
template <class Real>
__device__ void forward(const FusedState<Real>& state, int l) {
    const FusedLayer& layer = state.layer(l);
    const Rows<Real> weight = state.weight(l), slope = state.slope(l), a = state.rows(layer.activation, layer.units);
    const auto [kind, parameter] = state.plan.activation;
    product(
        state.plan.samples, layer.units, layer.inputs, state.activation(l - 1), [&](int k, int j) { return weight(j, k); },
        [&, kind = kind, parameter = parameter](int i, int j, Real sum) {
            const double z = static_cast<double>(layer.bias < 0 ? sum : sum + state.memory[layer.bias + j]);
            a(i, j) = static_cast<Real>(formulas::activation(kind, parameter, z));
            slope(i, j) = static_cast<Real>(formulas::activation_slope(kind, parameter, z));
        });
}

/// delta^{l-1} from delta^l; at the output layer delta is the identity.
template <class Real>
__device__ void backward(const FusedState<Real>& state, int l, Rows<const Real> delta, Rows<Real> below) {
    const FusedLayer& layer = state.layer(l);
    const int outputs = state.plan.outputs, rows = state.plan.samples * outputs;
    const Rows<Real> weight = state.weight(l), slope = state.slope(l - 1);
    if (l == state.plan.depth) {
        for_each_item(rows * layer.inputs, [&](int item) {
            const int row = item / layer.inputs, k = item % layer.inputs;
            below(row, k) = weight(row % outputs, k) * slope(row / outputs, k);
        });
        return;
    }
    product(
        rows, layer.inputs, layer.units, delta, [&](int j, int k) { return weight(j, k); },
        [&](int row, int k, Real sum) { below(row, k) = sum * slope(row / outputs, k); });
}

/// use(entry, sum of all parts(entry, lane, lanes)) in one thread: a thread sums alone where entries are many, a warp where they are few
/// and their sums long.
template <class Real, class Part, class Use>
__device__ void for_each_sum(int entries, int length, const Part& part, const Use& use) {
    const int threads = static_cast<int>(blockDim.x), thread = static_cast<int>(threadIdx.x);
    const bool by_warps = length >= warp_threads && 2 * entries < threads;
    const int lanes = by_warps ? warp_threads : 1, lane = thread % lanes;
    for (int e = thread / lanes; e < entries; e += threads / lanes) {
        Real sum = part(e, lane, lanes);
        if (by_warps) sum = static_cast<Real>(warp_sum(static_cast<double>(sum)));
        if (lane == 0) use(e, sum);
    }
}

template <class Real>
__device__ Real partial_dot(const Real* x, const Real* y, int length, int lane, int lanes) {
    Real sum = 0;
    for (int k = lane; k < length; k += lanes) sum += x[k] * y[k];
    return sum;
}

/// The products of the rows of a^{l-1}.
template <class Real>
__device__ void sample_products(const FusedState<Real>& state, int l) {
    const Rows<const Real> a = state.activation(l - 1);
    const int length = state.layer(l).inputs;
    for_each_sum<Real>(
        state.plan.nngp_entries, length,
        [&](int e, int lane, int lanes) {
            const auto [row, col] = lower_entry(e);
            return partial_dot(&a(row, 0), &a(col, 0), length, lane, lanes);
        },
        [&](int e, Real sum) { state.memory[state.plan.gram + e] = sum; });
}

/// The term of layer l into the row of the network.
template <class Real>
__device__ void add_term(const FusedState<Real>& state, int l, Rows<const Real> delta, Real* out) {
    const FusedPlan& plan = state.plan;
    const FusedLayer& layer = state.layer(l);
    const bool output_layer = l == plan.depth;
    const int sums = plan.block == Block::trace ? plan.outputs : 1;
    Real* const terms = out + plan.nngp_entries + static_cast<Index>(l) * plan.tangent_entries;
    for_each_sum<Real>(
        plan.tangent_entries, output_layer ? 0 : layer.units,
        [&](int e, int lane, int lanes) {
            const auto entry = tangent_entry(plan.block, plan.outputs, e).deltas;
            if (output_layer) return static_cast<Real>(equal_outputs(plan.block, plan.outputs, entry) ? 1 : 0);
            Real sum = 0;
            for (int o = 0; o < sums; ++o)
                sum += partial_dot(&delta(entry.row * sums + o, 0), &delta(entry.col * sums + o, 0), layer.units, lane, lanes);
            return sum;
        },
        [&](int e, Real sum) {
            const auto [row, col] = tangent_entry(plan.block, plan.outputs, e).samples;
            const Real products = state.memory[plan.gram + row * (row + 1) / 2 + col];
            const Real term = (static_cast<Real>(layer.term.scale) * products + static_cast<Real>(layer.term.shift)) * sum;
            out[e] = output_layer ? term : out[e] + term;
            if (plan.terms) terms[e] = term;
        });
}

template <class Real>
__device__ void sample_network(const FusedState<Real>& state, const FusedDraw* draws, std::uint32_t network, Real* out) {
    const FusedPlan& plan = state.plan;
    draw_all(plan, draws, network, state.memory);
    __syncthreads();
    for (int l = 1; l < plan.depth; ++l) {
        forward(state, l);
        __syncthreads();
    }
    Real *delta = state.memory + plan.delta, *below = state.memory + plan.next_delta;
    const auto rows_of = [&](Real* data, int l) { return Rows<Real>{data, odd_stride(state.layer(l).units)}; };
    const auto constant = [](Rows<Real> rows) { return Rows<const Real>{rows.data, rows.stride}; };
    for (int l = plan.depth; l >= 1; --l) {
        sample_products(state, l);
        if (l > 1) backward(state, l, constant(rows_of(delta, l)), rows_of(below, l - 1));
        __syncthreads();
        if (l == plan.depth)
            for_each_item(plan.nngp_entries, [&](int e) {
                out[plan.tangent_entries + e] =
                    static_cast<Real>(plan.nngp.scale) * state.memory[plan.gram + e] + static_cast<Real>(plan.nngp.shift);
            });
        add_term(state, l, constant(rows_of(delta, l)), out);
        __syncthreads();
        Real* const done = delta;
        delta = below;
        below = done;
    }
}

/// shared_bytes 0: a block works in `memory`.
template <class Real, int shared_bytes>
__global__ void fused_kernel(FusedPlan plan, const FusedDraw* draws, const FusedLayer* layers, DeviceMatrix<const Real> inputs,
                             std::uint32_t first, DeviceMatrix<Real> out, Real* memory) {
    Real* own = nullptr;
    if constexpr (shared_bytes > 0) {
        __shared__ double shared[shared_bytes / sizeof(double)];
        own = reinterpret_cast<Real*>(shared);
    } else {
        own = memory + static_cast<Index>(blockIdx.x) * plan.elements;
    }
    const FusedState<Real> state{plan, layers, inputs, own};
    for (Index row = blockIdx.x; row < out.rows; row += gridDim.x)
        sample_network(state, draws, first + static_cast<std::uint32_t>(row), &out(row, 0));
}

template <class T>
void upload_table(Context& context, const std::vector<T>& table, Buffer& memory) {
    memory.reserve(table.size() * sizeof(T));
    check(cudaMemcpyAsync(memory.as<T>(), table.data(), table.size() * sizeof(T), cudaMemcpyHostToDevice, context.stream()),
          "cudaMemcpyAsync");
    context.synchronize();  // the table may end
}

template <class Real>
class FusedSampler final : public CheckedSampler<Real> {
public:
    FusedSampler(Context& context, std::shared_ptr<Backend<Real>> backend, const KernelSamplerOptions& options, ConstMatrixView<Real> x,
                 Index blocks)
        : CheckedSampler<Real>(std::move(backend), options, x),
          context_(context),
          blocks_(blocks),
          network_(plan_fused_network(options, this->layout(), x.rows())),
          draws_(context),
          layers_(context),
          memory_(context) {
        upload_table(context_, network_.draws, draws_);
        upload_table(context_, network_.layers, layers_);
        if (bytes() > 49152) memory_.reserve(blocks_ * bytes());
    }

private:
    [[nodiscard]] Index bytes() const { return network_.plan.elements * static_cast<Index>(sizeof(Real)); }

    /// A function of the network alone, as the order of sums depends on it.
    [[nodiscard]] unsigned threads() const {
        Index wanted = network_.plan.draw_blocks / 4;
        for (const FusedLayer& layer : network_.layers) wanted = std::max(wanted, Index{network_.plan.samples} * layer.units);
        return static_cast<unsigned>(std::clamp<Index>(ceil_divide(wanted, warp_threads) * warp_threads, least_threads, threads_per_block));
    }

    void sample_checked(std::uint32_t first, MatrixView<Real> out) override {
        context_.make_current();
        if (bytes() <= 12288) return launch<12288>(first, out);
        if (bytes() <= 24576) return launch<24576>(first, out);
        if (bytes() <= 49152) return launch<49152>(first, out);
        launch<0>(first, out);
    }

    template <int shared_bytes>
    void launch(std::uint32_t first, MatrixView<Real> out) {
        const Index blocks = std::min(out.rows(), shared_bytes > 0 ? Index{1} << 16 : blocks_);
        context_.launch("fused_sampler", LaunchShape{dim3(static_cast<unsigned>(blocks)), dim3(threads())},
                        fused_kernel<Real, shared_bytes>, network_.plan, draws_.as<FusedDraw>(), layers_.as<FusedLayer>(), this->inputs(),
                        first, out, memory_.as<Real>());
    }

    Context& context_;
    Index blocks_;
    FusedNetwork network_;
    Buffer draws_, layers_, memory_;
};

}  // namespace

template <class Real>
Index fused_bytes(const KernelSamplerOptions& options, Index samples) {
    return fused_elements(options, samples) * static_cast<Index>(sizeof(Real));
}

template <class Real>
std::unique_ptr<KernelSampler<Real>> make_fused_sampler(Context& context, std::shared_ptr<Backend<Real>> backend,
                                                        const KernelSamplerOptions& options, ConstMatrixView<Real> x, Index blocks) {
    return std::make_unique<FusedSampler<Real>>(context, std::move(backend), options, x, blocks);
}

#define NTKCUDA_INSTANTIATE(Real)                                                                              \
    template Index fused_bytes<Real>(const KernelSamplerOptions&, Index);                                      \
    template std::unique_ptr<KernelSampler<Real>> make_fused_sampler(Context&, std::shared_ptr<Backend<Real>>, \
                                                                     const KernelSamplerOptions&, ConstMatrixView<Real>, Index)
NTKCUDA_INSTANTIATE(float);
NTKCUDA_INSTANTIATE(double);
#undef NTKCUDA_INSTANTIATE

}  // namespace ntk::cuda

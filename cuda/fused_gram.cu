// All layers of a tangent kernel from FP16 operands, for compute capability 9.0: a block of threads keeps a tile of theta (128 x 128) in
// registers, with the two products of the layer at hand, so that theta is read and written once whatever the number of layers.
//
// One block for each multiprocessor takes tile after tile. Its first warpgroup has one thread at work, which copies the operands into
// a ring of stages in shared memory; two more compute, each 64 rows of the tile, by asynchronous tensor-core products straight from a
// stage. A stage is 64 columns of the tile's rows of both sides, of samples or of deltas; layers and tiles follow one another in the
// ring without a gap.

#include "fused_gram.hpp"

#include "device_matrix.hpp"
#include "half_rows.hpp"
#include "tile_walk.hpp"

#include "cuda/hopper.hpp"

#include <ntkcuda/formulas/half_rounding.hpp>

#include <cmath>

namespace ntk::cuda {
namespace {

constexpr int side = panel_rows, stages = 6, warpgroup = 4 * warp_threads, consumers = 2, threads = (1 + consumers) * warpgroup;
constexpr int consumer_rows = side / consumers, consumer_sums = consumer_rows * side / warpgroup;
constexpr int producer_registers = 24, consumer_registers = 240;
constexpr int slice = side * panel_cols;  ///< a tile's part of a panel

struct alignas(1024) Stage {  // the swizzle counts from multiples of 1024 bytes
    __half rows[slice], cols[slice];
};

struct Ring {
    Stage stage[stages];
    hopper::Barrier full[stages], empty[stages];
};
static_assert(sizeof(Ring) <= 227 * 1024);

/// The stage where a thread is, and the parity of its round.
struct RingPosition {
    int stage = 0;
    unsigned parity = 0;

    __device__ void advance() {
        if (++stage < stages) return;
        stage = 0;
        parity ^= 1;
    }
};

/// The matrix descriptor of rows in a stage: groups of eight rows are 1024 bytes apart, swizzled by 128 bytes.
__device__ std::uint64_t descriptor(const __half* rows) {
    constexpr std::uint64_t leading = 1, stride = 1024 / 16, swizzle = 1;  // leading: not used by swizzled rows
    return (hopper::shared_address(rows) & 0x3ffff) / 16 | leading << 16 | stride << 32 | swizzle << 62;
}
constexpr std::uint64_t descriptor_step = 16 * sizeof(__half) / 16;  ///< to the next 16 columns

/// What the powers of two are of one side (GramSide).
struct SideFactors {
    const DeviceMatrix<const float2>& factors;
    const int* units;
};

struct Task {
    const GramLayers& layers;
    TileWalk walk;

    template <class F>
    __device__ void for_each_tile(F f) const {
        for (int step = static_cast<int>(blockIdx.x); step < walk.count(); step += static_cast<int>(gridDim.x)) f(walk.at(step));
    }
};

/// One thread that fills the ring.
class Producer {
public:
    __device__ explicit Producer(Ring& ring) : ring_(ring) {}

    __device__ void run(const Task& task) {
        task.for_each_tile([&](TilePosition tile) {
            for (int l = 0; l < task.layers.count; ++l) {
                const GramLayer& layer = task.layers.layer[l];
                load(layer.a1, layer.a2, layer.a_panels, task.walk, tile);
                load(layer.d1, layer.d2, layer.d_panels, task.walk, tile);
            }
        });
    }

private:
    __device__ void load(const __half* rows, const __half* cols, int panels, const TileWalk& walk, TilePosition tile) {
        for (int p = 0; p < panels; ++p) {
            hopper::Barrier& full = ring_.full[at_.stage];
            Stage& stage = ring_.stage[at_.stage];
            ring_.empty[at_.stage].wait(at_.parity ^ 1);
            full.arrive_and_expect(sizeof(Stage));
            hopper::copy(stage.rows, rows + (Index{p} * walk.rows + tile.row) * slice, sizeof stage.rows, full);
            hopper::copy(stage.cols, cols + (Index{p} * walk.cols + tile.col) * slice, sizeof stage.cols, full);
            at_.advance();
        }
    }

    Ring& ring_;
    RingPosition at_;
};

/// The products of a warpgroup.
class Multiplier {
public:
    __device__ Multiplier(Ring& ring, int first_row) : ring_(ring), offset_(first_row * panel_cols) {}

    /// sums = the products over so many panels, the next in the ring. They are there after finish().
    __device__ void multiply(float (&sums)[consumer_sums], int panels) {
        for (int p = 0; p < panels; ++p) {
            ring_.full[at_.stage].wait(at_.parity);
            const Stage& stage = ring_.stage[at_.stage];
            const std::uint64_t rows = descriptor(stage.rows + offset_), cols = descriptor(stage.cols);
            hopper::fence_products();
            NTK_UNROLL
            for (int k = 0; k < panel_cols / 16; ++k)
                hopper::multiply(sums, rows + k * descriptor_step, cols + k * descriptor_step, p > 0 || k > 0);
            hopper::commit_products();
            hopper::wait_for_products<1>();
            release();
            running_ = at_.stage;
            at_.advance();
        }
    }

    __device__ void finish() {
        hopper::wait_for_products<0>();
        release();
        running_ = -1;
    }

private:
    /// Gives the stage that was read before back, once all warps of both consumers have.
    __device__ void release() {
        if (running_ >= 0 && threadIdx.x % warp_threads == 0) ring_.empty[running_].arrive();
    }

    Ring& ring_;
    int offset_;
    int running_ = -1;  ///< the stage that the last group of products reads
    RingPosition at_;
};

/// Where the sums of a thread are: sums[4 j + 2 h + e] is at row first_row() + 8 h, column first_col() + 8 j + e of the tile.
__device__ int first_row(int consumer) {
    const int thread = static_cast<int>(threadIdx.x) % warpgroup;
    return consumer * consumer_rows + thread / warp_threads * 16 + thread % warp_threads / 4;
}
__device__ int first_col() { return static_cast<int>(threadIdx.x) % 4 * 2; }

__device__ void fill(float (&sums)[consumer_sums], float value) {
    NTK_UNROLL
    for (float& sum : sums) sum = value;
}

/// theta += (samples x its factors + shift x its factors) deltas.
__device__ void add_layer(float (&theta)[consumer_sums], const float (&samples)[consumer_sums], const float (&deltas)[consumer_sums],
                          const GramLayer& layer, const float2* row_factors, const float2* col_factors) {
    float2 rows[2];
    NTK_UNROLL
    for (int h = 0; h < 2; ++h) rows[h] = {layer.scale * row_factors[8 * h].x, layer.shift * row_factors[8 * h].y};
    NTK_UNROLL
    for (int j = 0; j < consumer_sums / 4; ++j) {
        const float4 cols = *reinterpret_cast<const float4*>(col_factors + 8 * j);
        NTK_UNROLL
        for (int h = 0; h < 2; ++h) {
            const int s = 4 * j + 2 * h;
            theta[s] = fmaf(fmaf(samples[s], rows[h].x * cols.x, rows[h].y * cols.y), deltas[s], theta[s]);
            theta[s + 1] = fmaf(fmaf(samples[s + 1], rows[h].x * cols.z, rows[h].y * cols.w), deltas[s + 1], theta[s + 1]);
        }
    }
}

/// x 2^exponent in two steps; beyond these bounds the result of a float32 sum is 0 or infinite all the same.
__device__ double scaled(double x, int exponent) {
    const int bounded = max(-2044, min(exponent, 2046)), part = bounded / 2;
    return x * formulas::power_of_two(part) * formulas::power_of_two(bounded - part);
}

/// theta(row.., col..) += sums in the units of their rows and columns. Some entries at a time are read before they are written, so that
/// the reads do not wait for one another.
template <class Real>
__device__ void store(const DeviceMatrix<Real>& theta, Index row, Index col, const float (&sums)[consumer_sums], const int* row_units,
                      const int* col_units, bool lower) {
    constexpr int together = 8;
    const auto row_of = [&](int s) { return row + s % 4 / 2 * 8; };
    const auto col_of = [&](int s) { return col + s / 4 * 8 + s % 2; };
    const auto inside = [&](int s) { return row_of(s) < theta.rows && col_of(s) < theta.cols && !(lower && col_of(s) > row_of(s)); };
    const int row_unit[2] = {row_units[row], row_units[row + 8]};
    NTK_UNROLL
    for (int first = 0; first < consumer_sums; first += together) {
        Real before[together];
        NTK_UNROLL
        for (int s = first; s < first + together; ++s) before[s - first] = inside(s) ? theta(row_of(s), col_of(s)) : Real{0};
        NTK_UNROLL
        for (int s = first; s < first + together; ++s) {
            const double term = scaled(static_cast<double>(sums[s]), row_unit[s % 4 / 2] + col_units[col_of(s)]);
            if (inside(s)) theta(row_of(s), col_of(s)) = static_cast<Real>(static_cast<double>(before[s - first]) + term);
        }
    }
}

/// A warpgroup that computes its rows of each tile.
template <class Real>
__device__ void consume(Ring& ring, int consumer, const Task& task, const DeviceMatrix<Real>& theta, SideFactors rows, SideFactors cols) {
    Multiplier multiplier(ring, consumer * consumer_rows);
    float sums[consumer_sums], samples[consumer_sums], deltas[consumer_sums];
    task.for_each_tile([&](TilePosition tile) {
        const Index row = Index{tile.row} * side + first_row(consumer), col = Index{tile.col} * side + first_col();
        fill(sums, 0);
        for (int l = 0; l < task.layers.count; ++l) {
            const GramLayer& layer = task.layers.layer[l];
            multiplier.multiply(samples, layer.a_panels);
            multiplier.multiply(deltas, layer.d_panels);
            multiplier.finish();
            hopper::settle(samples);
            hopper::settle(deltas);
            if (layer.d_panels == 0) fill(deltas, 1);
            add_layer(sums, samples, deltas, layer, &rows.factors(l, row), &cols.factors(l, col));
        }
        store(theta, row, col, sums, rows.units, cols.units, task.walk.lower);
    });
}

template <class Real>
__global__ void __launch_bounds__(threads, 1)
    fused_gram_kernel(const __grid_constant__ GramLayers layers, DeviceMatrix<Real> theta, DeviceMatrix<const float2> row_factors,
                      DeviceMatrix<const float2> col_factors, const int* row_units, const int* col_units, bool lower) {
    Ring& ring = hopper::dynamic_shared<Ring>();
    if (threadIdx.x == 0) {
        for (int s = 0; s < stages; ++s) {
            ring.full[s].initialize(1);
            ring.empty[s].initialize(consumers * warpgroup / warp_threads);
        }
        hopper::fence_initialized();
    }
    __syncthreads();
    const Task task{layers, {static_cast<int>(row_factors.cols / side), static_cast<int>(col_factors.cols / side), lower}};
    const int group = static_cast<int>(threadIdx.x) / warpgroup;
    if (group == 0) {
        hopper::give_registers<producer_registers>();
        if (threadIdx.x == 0) Producer(ring).run(task);
    } else {
        hopper::claim_registers<consumer_registers>();
        consume(ring, group - 1, task, theta, {row_factors, row_units}, {col_factors, col_units});
    }
}

}  // namespace

template <class Real>
void fused_gram(Context& context, const GramLayers& layers, const GramSide& rows, const GramSide& cols, MatrixView<Real> theta,
                bool lower) {
    constexpr int shared_bytes = sizeof(Ring);
    check(cudaFuncSetAttribute(fused_gram_kernel<Real>, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes), "cudaFuncSetAttribute");
    const TileWalk walk{static_cast<int>(rows.factors.cols() / side), static_cast<int>(cols.factors.cols() / side), lower};
    const auto blocks = static_cast<unsigned>(std::min(walk.count(), device_attribute(cudaDevAttrMultiProcessorCount, context.device())));
    context.launch("fused_gram", LaunchShape{dim3(blocks), dim3(threads), shared_bytes}, fused_gram_kernel<Real>, layers, theta,
                   rows.factors, cols.factors, rows.units, cols.units, lower);
}

template void fused_gram(Context&, const GramLayers&, const GramSide&, const GramSide&, MatrixView<float>, bool);
template void fused_gram(Context&, const GramLayers&, const GramSide&, const GramSide&, MatrixView<double>, bool);

}  // namespace ntk::cuda

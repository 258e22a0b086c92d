// The ways in which the CUDA backend draws kernels, one against the other: a block of threads a network with shared memory of each size
// and without, whole batches of one network and of several.

#include "cuda/cuda_backend.hpp"

#include <ntkcuda/kernel_sampler.hpp>

#include "support/samples.hpp"
#include "support/tolerance.hpp"

#include <gtest/gtest.h>

namespace ntk {
namespace {

using testing::random_matrix;
using testing::tolerance;

template <class Real>
HostMatrix<Real> sampled(const cuda::Tiling& tiling, const KernelSamplerOptions& options, const HostMatrix<double>& x) {
    const std::shared_ptr<Backend<Real>> backend = std::make_shared<cuda::CudaBackend<Real>>(0, tiling);
    const auto sampler = backend->kernel_sampler(options, upload(backend, x).view());
    Matrix<Real> out(backend, 3, sampler->layout().columns());
    sampler->sample(4, out.view());
    return download(out);
}

Architecture network(Index inputs, std::vector<Index> hidden, Index outputs) {
    Architecture a;
    a.inputs = inputs;
    a.hidden = std::move(hidden);
    a.outputs = outputs;
    a.biases = Biases::trained;
    a.bias_std = 0.3;
    return a;
}

struct Shape {
    Architecture architecture;
    Index samples;
};

/// 5, 16, 35 and 100 kilobytes in float64.
std::vector<Shape> shapes() {
    return {{network(2, {17, 5}, 3), 3}, {network(2, {33, 40}, 1), 2}, {network(3, {50, 40}, 2), 5}, {network(70, {66, 70, 1}, 1), 7}};
}

template <class Real>
class Samplers : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Samplers, Reals);

/// No sum is longer than the widest layer, and no preactivation of these is so near 0 that it changes its sign by rounding.
TYPED_TEST(Samplers, FusedAndBatchedAgree) {
    using Real = TypeParam;
    for (const auto& [architecture, samples] : shapes())
        for (const Block block : {Block::full, Block::trace, Block::diag}) {
            if (block != Block::full && architecture.outputs == 1) continue;
            const KernelSamplerOptions options{architecture, Sampler::weights, 5, block, true};
            const HostMatrix<double> x = random_matrix(samples, architecture.inputs);
            const HostMatrix<Real> fused = sampled<Real>({}, options, x), batched = sampled<Real>({.fused_network_bytes = 0}, options, x);
            Real size = 0;
            for (Index e = 0; e < batched.size(); ++e) size = std::max(size, std::abs(batched.data()[e]));
            for (Index e = 0; e < batched.size(); ++e)
                ASSERT_NEAR(fused.data()[e], batched.data()[e], size * tolerance<Real>(70 * architecture.depth())) << e;
        }
}

TYPED_TEST(Samplers, SmallBatchesChangeNothing) {
    using Real = TypeParam;
    for (const Sampler sampler : {Sampler::weights, Sampler::conditional}) {
        const KernelSamplerOptions options{network(4, {9, 7}, 2), sampler, 5, Block::full, true};
        const HostMatrix<double> x = random_matrix(3, 4);
        const auto batches_of = [&](Index bytes) { return sampled<Real>({.sampler_bytes = bytes, .fused_network_bytes = 0}, options, x); };
        const HostMatrix<Real> together = batches_of(Index{1} << 20);
        EXPECT_TRUE(testing::same_bits(batches_of(1), together));      // one by one
        EXPECT_TRUE(testing::same_bits(batches_of(16384), together));  // two or three
    }
}

}  // namespace
}  // namespace ntk

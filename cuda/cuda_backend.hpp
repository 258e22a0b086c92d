#pragma once

// The CUDA backend, a chain of classes like the host's (host/backend/host_backend.hpp): each file defines one concern and is
// instantiated once. memory -> recorder -> staging -> arithmetic -> norms -> summary -> network -> random -> gram -> half gram -> infinite
// width -> half angle -> sampler -> pairs -> solver (the complete backend).

#include "context.hpp"

#include <ntkcuda/backend.hpp>

namespace ntk::cuda {

/// Sizes and choices that do not change results beyond rounding; tests make them small.
struct Tiling {
    Index gram = 4096;                        ///< rows and columns of the tiles of a kernel matrix
    Index limit = 2048;                       ///< the same for the infinite-width recursion
    Index limit_layers = 64;                  ///< layers of it in one pass over a tile; deeper recursions store the pairs in between
    Index sampler_bytes = Index{1} << 31;     ///< for a batch of networks of a kernel sampler
    Index fused_network_bytes = 1 << 18;      ///< a network that needs no more has a block of threads to itself
    bool fused_gram = false;                  ///< FP16 layer Grams by the fused kernel, which the device must have (has_fused_gram)
    Index fused_gram_bytes = Index{1} << 32;  ///< for operands that wait for it
    Index staging_bytes = Index{1} << 26;     ///< of each of the two strips of pinned memory on the way to the host
};

template <class Real>
class CudaMemory : public Backend<Real> {
public:
    explicit CudaMemory(int device, Tiling tiling = {});
    DeviceInfo info() const override;
    Real* allocate(Index count) override;
    void release(Real* data) noexcept override;
    void upload(ConstMatrixView<Real> host, MatrixView<Real> device) override;
    void download(ConstMatrixView<Real> device, MatrixView<Real> host) override;
    void copy(ConstMatrixView<Real> from, MatrixView<Real> to) override;
    void fill(MatrixView<Real> x, double value) override;
    void synchronize() override;
    void limit_memory(std::uint64_t bytes) override;

    /// The device, made current on this thread.
    Context& context() const {
        context_.make_current();
        return context_;
    }

protected:
    const Tiling& tiling() const { return tiling_; }

private:
    mutable Context context_;
    Tiling tiling_;
};

template <class Real>
class CudaRecorder : public CudaMemory<Real> {
public:
    using CudaMemory<Real>::CudaMemory;
    std::unique_ptr<Recording> record(std::function<void()> work) override;
};

template <class Real>
class CudaStaging : public CudaRecorder<Real> {
public:
    using CudaRecorder<Real>::CudaRecorder;
    std::unique_ptr<HostStaging<Real>> host_staging() override;
};

template <class Real>
class CudaArithmetic : public CudaStaging<Real> {
public:
    using CudaStaging<Real>::CudaStaging;
    void gemm(Transpose ta, Transpose tb, double alpha, ConstMatrixView<Real> a, ConstMatrixView<Real> b, double beta,
              MatrixView<Real> c) override;
    void accumulate_gram(MatrixView<Real> theta, ConstMatrixView<Real> j1, ConstMatrixView<Real> j2, double alpha,
                         Triangle triangle) override;
    void axpy(double alpha, ConstMatrixView<Real> x, MatrixView<Real> y) override;
    void scale(double alpha, MatrixView<Real> x) override;
    void add_power(double alpha, Power power, ConstMatrixView<Real> x, MatrixView<Real> y) override;
    void add_row(ConstMatrixView<Real> row, MatrixView<Real> x) override;
    void add_to_diagonal(double value, MatrixView<Real> x) override;
    void diagonal(ConstMatrixView<Real> x, MatrixView<Real> diagonal) override;
    void mirror_lower(MatrixView<Real> x) override;
    void normalize(ConstMatrixView<Real> rows, ConstMatrixView<Real> cols, MatrixView<Real> x) override;
    void row_dots(ConstMatrixView<Real> a, ConstMatrixView<Real> b, MatrixView<Real> out) override;
};

template <class Real>
class CudaNorms : public CudaArithmetic<Real> {
public:
    using CudaArithmetic<Real>::CudaArithmetic;
    Norms norms(ConstMatrixView<Real> x) override;
    Norms difference_norms(ConstMatrixView<Real> x, ConstMatrixView<Real> y) override;
};

template <class Real>
class CudaSummary : public CudaNorms<Real> {
public:
    using CudaNorms<Real>::CudaNorms;
    EntrySummary summarize(ConstMatrixView<Real> x, Entries entries, double shift) override;
    HostMatrix<double> column_moments(ConstMatrixView<Real> x) override;
};

template <class Real>
class CudaNetwork : public CudaSummary<Real> {
public:
    using CudaSummary<Real>::CudaSummary;
    void activate(const Activation& activation, ConstMatrixView<Real> z, MatrixView<Real> a) override;
    void multiply_by_slope(const Activation& activation, ConstMatrixView<Real> z, MatrixView<Real> delta) override;
    void output_delta(const Activation& activation, ConstMatrixView<Real> w, ConstMatrixView<Real> z, MatrixView<Real> delta) override;
};

template <class Real>
class CudaRandom : public CudaNetwork<Real> {
public:
    using CudaNetwork<Real>::CudaNetwork;
    void draw_normals(NormalStream stream, double scale, MatrixView<Real> x) override;
};

template <class Real>
class CudaGram : public CudaRandom<Real> {
public:
    using CudaRandom<Real>::CudaRandom;
    void accumulate_layer_gram(MatrixView<Real> theta, ConstMatrixView<Real> a1, ConstMatrixView<Real> a2, ConstMatrixView<Real> d1,
                               ConstMatrixView<Real> d2, double scale, double shift, Triangle triangle) override;
    void accumulate_layer_diagonal(MatrixView<Real> theta, ConstMatrixView<Real> a, ConstMatrixView<Real> d, double scale,
                                   double shift) override;
    void jacobian_block(ConstMatrixView<Real> delta, ConstMatrixView<Real> a, Index first, Index count, double scale,
                        MatrixView<Real> out) override;
};

template <class Real>
class CudaHalfGram : public CudaGram<Real> {
public:
    using CudaGram<Real>::CudaGram;
    std::unique_ptr<LayerGramSum<Real>> half_gram_sum(MatrixView<Real> theta, Triangle triangle) override;
};

template <class Real>
class CudaInfiniteWidth : public CudaHalfGram<Real> {
public:
    using CudaHalfGram<Real>::CudaHalfGram;
    void infinite_width_kernel(const Architecture& architecture, InfiniteKernel kernel, ConstMatrixView<Real> x1, ConstMatrixView<Real> x2,
                               Triangle triangle, MatrixView<Real> out) override;
    void infinite_width_diagonal(const Architecture& architecture, InfiniteKernel kernel, ConstMatrixView<Real> x,
                                 MatrixView<Real> out) override;
    std::uint64_t kernel_workspace(Index rows, Index cols, Index inputs) const override;
};

template <class Real>
class CudaHalfAngle : public CudaInfiniteWidth<Real> {
public:
    using CudaInfiniteWidth<Real>::CudaInfiniteWidth;
    void half_angle_tangents(ConstMatrixView<Real> x1, ConstMatrixView<Real> x2, Triangle triangle, MatrixView<Real> out) override;
    void evaluate_series(const OctaveSeries& series, ConstMatrixView<Real> t, Triangle triangle, MatrixView<Real> out) override;
};

template <class Real>
class CudaSampler : public CudaHalfAngle<Real> {
public:
    using CudaHalfAngle<Real>::CudaHalfAngle;
    std::unique_ptr<KernelSampler<Real>> kernel_sampler(const KernelSamplerOptions& options, ConstMatrixView<Real> x) override;
};

template <class Real>
class CudaPairs : public CudaSampler<Real> {
public:
    using CudaSampler<Real>::CudaSampler;
    std::unique_ptr<PairRecursion<Real>> pair_recursion(const PairRecursionOptions& options, ConstMatrixView<Real> x1,
                                                        ConstMatrixView<Real> x2, Triangle triangle) override;
};

template <class Real>
class CudaBackend final : public CudaPairs<Real> {
public:
    using CudaPairs<Real>::CudaPairs;
    CholeskyStatus cholesky(MatrixView<Real> k) override;
    void cholesky_solve(ConstMatrixView<Real> factor, MatrixView<Real> b) override;
    void triangular_solve_rows(ConstMatrixView<Real> factor, MatrixView<Real> b) override;
    LuFactor lu(MatrixView<Real> a) override;
    void lu_solve_rows(ConstMatrixView<Real> factor, const LuFactor& lu, MatrixView<Real> b) override;
    void eigen(MatrixView<Real> k, MatrixView<Real> values, bool vectors) override;
};

extern template class CudaBackend<float>;
extern template class CudaBackend<double>;

}  // namespace ntk::cuda

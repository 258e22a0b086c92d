#pragma once

// The CPU backend, as a chain of classes so that each file defines one concern and is instantiated once:
// memory -> arithmetic -> summary -> network -> gram -> half gram -> infinite width -> half angle -> sampler -> pairs -> solver (the complete backend).
// OpenBLAS and LAPACK do the dense work; OpenMP runs over fixed tiles, so no result depends on the number of threads
// (except factorisations, which are LAPACK's own).

#include "block_cache.hpp"

#include <ntkcuda/backend.hpp>

#include <atomic>
#include <cstdint>
#include <limits>

namespace ntk {

template <class Real>
class HostMemory : public Backend<Real> {
public:
    explicit HostMemory(int threads);
    DeviceInfo info() const override;
    Real* allocate(Index count) override;
    void release(Real* data) noexcept override;
    void upload(ConstMatrixView<Real> host, MatrixView<Real> device) override;
    void download(ConstMatrixView<Real> device, MatrixView<Real> host) override;
    void copy(ConstMatrixView<Real> from, MatrixView<Real> to) override;
    void fill(MatrixView<Real> x, double value) override;
    void synchronize() override {}
    std::unique_ptr<Recording> record(std::function<void()> work) override;
    std::unique_ptr<HostStaging<Real>> host_staging() override;
    void limit_memory(std::uint64_t bytes) override;

protected:
    /// OpenMP threads of every parallel loop here.
    int threads() const { return threads_; }

private:
    /// Frees kept blocks as far as what is used, they and `more` bytes pass the limit.
    void stay_within_limit(std::uint64_t more) noexcept;

    int threads_;
    BlockCache released_;
    std::atomic<std::uint64_t> limit_ = std::numeric_limits<std::uint64_t>::max();
    std::atomic<std::uint64_t> used_ = 0;  ///< bytes of the matrices that are there
};

template <class Real>
class HostArithmetic : public HostMemory<Real> {
public:
    using HostMemory<Real>::HostMemory;
    void gemm(Transpose ta, Transpose tb, double alpha, ConstMatrixView<Real> a, ConstMatrixView<Real> b, double beta, MatrixView<Real> c) override;
    void accumulate_gram(MatrixView<Real> theta, ConstMatrixView<Real> j1, ConstMatrixView<Real> j2, double alpha, Triangle triangle) override;
    void axpy(double alpha, ConstMatrixView<Real> x, MatrixView<Real> y) override;
    void scale(double alpha, MatrixView<Real> x) override;
    void add_power(double alpha, Power power, ConstMatrixView<Real> x, MatrixView<Real> y) override;
    void add_row(ConstMatrixView<Real> row, MatrixView<Real> x) override;
    void add_to_diagonal(double value, MatrixView<Real> x) override;
    void diagonal(ConstMatrixView<Real> x, MatrixView<Real> diagonal) override;
    void mirror_lower(MatrixView<Real> x) override;
    void normalize(ConstMatrixView<Real> rows, ConstMatrixView<Real> cols, MatrixView<Real> x) override;
    void row_dots(ConstMatrixView<Real> a, ConstMatrixView<Real> b, MatrixView<Real> out) override;
    Norms norms(ConstMatrixView<Real> x) override;
    Norms difference_norms(ConstMatrixView<Real> x, ConstMatrixView<Real> y) override;
};

template <class Real>
class HostSummary : public HostArithmetic<Real> {
public:
    using HostArithmetic<Real>::HostArithmetic;
    EntrySummary summarize(ConstMatrixView<Real> x, Entries entries, double shift) override;
    HostMatrix<double> column_moments(ConstMatrixView<Real> x) override;
};

template <class Real>
class HostNetwork : public HostSummary<Real> {
public:
    using HostSummary<Real>::HostSummary;
    void draw_normals(NormalStream stream, double scale, MatrixView<Real> x) override;
    void activate(const Activation& activation, ConstMatrixView<Real> z, MatrixView<Real> a) override;
    void multiply_by_slope(const Activation& activation, ConstMatrixView<Real> z, MatrixView<Real> delta) override;
    void output_delta(const Activation& activation, ConstMatrixView<Real> w, ConstMatrixView<Real> z, MatrixView<Real> delta) override;
};

template <class Real>
class HostGram : public HostNetwork<Real> {
public:
    using HostNetwork<Real>::HostNetwork;
    void accumulate_layer_gram(MatrixView<Real> theta, ConstMatrixView<Real> a1, ConstMatrixView<Real> a2, ConstMatrixView<Real> d1,
                               ConstMatrixView<Real> d2, double scale, double shift, Triangle triangle) override;
    void accumulate_layer_diagonal(MatrixView<Real> theta, ConstMatrixView<Real> a, ConstMatrixView<Real> d, double scale, double shift) override;
    void jacobian_block(ConstMatrixView<Real> delta, ConstMatrixView<Real> a, Index first, Index count, double scale, MatrixView<Real> out) override;
};

template <class Real>
class HostHalfGram : public HostGram<Real> {
public:
    using HostGram<Real>::HostGram;
    std::unique_ptr<LayerGramSum<Real>> half_gram_sum(MatrixView<Real> theta, Triangle triangle) override;
};

template <class Real>
class HostInfiniteWidth : public HostHalfGram<Real> {
public:
    using HostHalfGram<Real>::HostHalfGram;
    void infinite_width_kernel(const Architecture& architecture, InfiniteKernel kernel, ConstMatrixView<Real> x1, ConstMatrixView<Real> x2,
                               Triangle triangle, MatrixView<Real> out) override;
    void infinite_width_diagonal(const Architecture& architecture, InfiniteKernel kernel, ConstMatrixView<Real> x, MatrixView<Real> out) override;
    std::uint64_t kernel_workspace(Index rows, Index cols, Index inputs) const override;
};

template <class Real>
class HostHalfAngle : public HostInfiniteWidth<Real> {
public:
    using HostInfiniteWidth<Real>::HostInfiniteWidth;
    void half_angle_tangents(ConstMatrixView<Real> x1, ConstMatrixView<Real> x2, Triangle triangle, MatrixView<Real> out) override;
    void evaluate_series(const OctaveSeries& series, ConstMatrixView<Real> t, Triangle triangle, MatrixView<Real> out) override;
};

template <class Real>
class HostSampler : public HostHalfAngle<Real> {
public:
    using HostHalfAngle<Real>::HostHalfAngle;
    std::unique_ptr<KernelSampler<Real>> kernel_sampler(const KernelSamplerOptions& options, ConstMatrixView<Real> x) override;
};

template <class Real>
class HostPairs : public HostSampler<Real> {
public:
    using HostSampler<Real>::HostSampler;
    std::unique_ptr<PairRecursion<Real>> pair_recursion(const PairRecursionOptions& options, ConstMatrixView<Real> x1,
                                                        ConstMatrixView<Real> x2, Triangle triangle) override;
};

template <class Real>
class HostBackend final : public HostPairs<Real> {
public:
    using HostPairs<Real>::HostPairs;
    CholeskyStatus cholesky(MatrixView<Real> k) override;
    void cholesky_solve(ConstMatrixView<Real> factor, MatrixView<Real> b) override;
    void triangular_solve_rows(ConstMatrixView<Real> factor, MatrixView<Real> b) override;
    LuFactor lu(MatrixView<Real> a) override;
    void lu_solve_rows(ConstMatrixView<Real> factor, const LuFactor& lu, MatrixView<Real> b) override;
    void eigen(MatrixView<Real> k, MatrixView<Real> values, bool vectors) override;
};

extern template class HostBackend<float>;
extern template class HostBackend<double>;

}  // namespace ntk

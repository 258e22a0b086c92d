// Layer Grams of FP16 operands over square tiles of theta: two products with float32 sums (cuBLAS, tensor cores), then one pass that
// multiplies them in float64 and adds to theta. fused_gram_sum.cu is the faster way of devices that have it.

#include "blas.hpp"
#include "cuda_backend.hpp"
#include "device_matrix.hpp"
#include "fused_gram_sum.hpp"
#include "half_rows.hpp"

namespace ntk::cuda {
namespace {

/// The products of two sets of rows, without the powers of two of the rows.
struct Product {
    DeviceMatrix<const float> sums;
    const double *row_scales, *col_scales;

    __device__ double operator()(Index i, Index j) const { return static_cast<double>(sums(i, j)) * row_scales[i] * col_scales[j]; }
};

template <class Real>
__global__ void half_hadamard_kernel(DeviceMatrix<Real> theta, DeviceMatrix<const float> sample_sums, const double* row_samples,
                                     const double* col_samples, DeviceMatrix<const float> delta_sums, const double* row_deltas,
                                     const double* col_deltas, double scale, double shift, bool lower) {
    const int outputs = static_cast<int>(theta.rows / sample_sums.rows);
    const Product samples{sample_sums, row_samples, col_samples}, deltas{delta_sums, row_deltas, col_deltas};
    for_each_entry(theta.rows, theta.cols, [&](Index i, Index j) {
        if (lower && j > i) return;
        const double factor = scale * samples(static_cast<int>(i) / outputs, static_cast<int>(j) / outputs) + shift;
        theta(i, j) = static_cast<Real>(static_cast<double>(theta(i, j)) + factor * deltas(i, j));
    });
}

/// The output layer, whose deltas are those of the identity: an entry is a pair of samples and one output.
template <class Real>
__global__ void half_identity_kernel(DeviceMatrix<Real> theta, DeviceMatrix<const float> sample_sums, const double* row_samples,
                                     const double* col_samples, double scale, double shift, bool lower) {
    const int outputs = static_cast<int>(theta.rows / sample_sums.rows);
    const Product samples{sample_sums, row_samples, col_samples};
    for_each_entry(theta.rows, sample_sums.cols, [&](Index i, Index x) {
        const Index j = x * outputs + static_cast<int>(i) % outputs;
        if (lower && j > i) return;
        theta(i, j) = static_cast<Real>(static_cast<double>(theta(i, j)) + (scale * samples(static_cast<int>(i) / outputs, x) + shift));
    });
}

/// Each layer is added to theta as it comes.
template <class Real>
class CudaLayerGramSum final : public LayerGramSum<Real> {
public:
    CudaLayerGramSum(std::shared_ptr<Backend<Real>> backend, Context& context, Index tile, MatrixView<Real> theta, Triangle triangle)
        : backend_(std::move(backend)),
          context_(context),
          side_(tile),
          theta_(theta),
          triangle_(triangle),
          a1_(context),
          a2_(context),
          d1_(context),
          d2_(context),
          sample_tile_(context),
          delta_tile_(context) {}

    void add(ConstMatrixView<Real> a1, ConstMatrixView<Real> a2, ConstMatrixView<Real> d1, ConstMatrixView<Real> d2, double scale,
             double shift) override {
        if (theta_.empty()) return;
        context_.make_current();
        const bool lower = triangle_ == Triangle::lower;
        const HalfView left = a1_.round(a1), left_delta = d1_.round(d1);
        const HalfView right = lower ? left : a2_.round(a2), right_delta = lower ? left_delta : d2_.round(d2);
        const Index n1 = a1.rows(), n2 = a2.rows(), outputs = theta_.rows() / n1, tile = std::max<Index>(1, side_ / outputs);
        const Index entries = std::min(tile, n1) * std::min(tile, n2);
        sample_tile_.reserve(entries * sizeof(float));
        if (!d1.empty()) delta_tile_.reserve(entries * outputs * outputs * sizeof(float));
        for (Index i = 0; i < n1; i += tile)
            for (Index j = 0; j < (lower ? i + 1 : n2); j += tile) {
                const Index rows = std::min(tile, n1 - i), cols = std::min(tile, n2 - j);
                const MatrixView<Real> part(theta_.data() + i * outputs * theta_.stride() + j * outputs, rows * outputs, cols * outputs,
                                            theta_.stride());
                add_tile(part, left.row_range(i, rows), right.row_range(j, cols), left_delta.row_range(i * outputs, rows * outputs),
                         right_delta.row_range(j * outputs, cols * outputs), scale, shift, lower && i == j);
            }
    }
    void finish() override {}

private:
    void add_tile(MatrixView<Real> theta, const HalfView& a1, const HalfView& a2, const HalfView& d1, const HalfView& d2, double scale,
                  double shift, bool lower) {
        const ConstMatrixView<float> samples = product(a1, a2, sample_tile_);
        if (d1.values.empty()) {
            context_.launch("half_gram", entries_shape(theta.rows(), samples.cols()), half_identity_kernel<Real>, theta, samples, a1.scales,
                            a2.scales, scale, shift, lower);
            return;
        }
        const ConstMatrixView<float> deltas = product(d1, d2, delta_tile_);
        context_.launch("half_gram", entries_shape(theta.rows(), theta.cols()), half_hadamard_kernel<Real>, theta, samples, a1.scales,
                        a2.scales, deltas, d1.scales, d2.scales, scale, shift, lower);
    }

    ConstMatrixView<float> product(const HalfView& left, const HalfView& right, const Buffer& tile) {
        const MatrixView<float> result(tile.as<float>(), left.values.rows(), right.values.rows());
        half_gemm(context_, left.values, right.values, result);
        return result;
    }

    std::shared_ptr<Backend<Real>> backend_;  // owns the context
    Context& context_;
    Index side_;
    MatrixView<Real> theta_;
    Triangle triangle_;
    HalfRows a1_, a2_, d1_, d2_;
    Buffer sample_tile_, delta_tile_;
};

}  // namespace

template <class Real>
std::unique_ptr<LayerGramSum<Real>> CudaHalfGram<Real>::half_gram_sum(MatrixView<Real> theta, Triangle triangle) {
    const Tiling& tiling = this->tiling();
    auto sum = std::make_unique<CudaLayerGramSum<Real>>(this->shared_from_this(), this->context(), tiling.gram, theta, triangle);
    if (!tiling.fused_gram) return sum;
    return make_fused_gram_sum<Real>(this->shared_from_this(), this->context(), tiling.fused_gram_bytes, theta, triangle, std::move(sum));
}

template class CudaHalfGram<float>;
template class CudaHalfGram<double>;

}  // namespace ntk::cuda

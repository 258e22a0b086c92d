// The operands of the fused kernel: rounded and kept until it runs, then the powers of two of their rows as factors in float32. A thread
// has a row.

#include "fused_gram_sum.hpp"

#include "device_matrix.hpp"
#include "fused_gram.hpp"
#include "half_rows.hpp"

#include <cmath>
#include <deque>

namespace ntk::cuda {
namespace {

/// Exponents of the two terms of a row in a layer: of the samples' product with the deltas, and of the deltas alone.
struct TermExponents {
    int samples, deltas;
};

__device__ TermExponents term_exponents(const GramLayers& layers, const DeviceMatrix<const int>& exponents, int l, Index i) {
    const GramLayer& layer = layers.layer[l];
    const int deltas = layer.d_panels > 0 ? exponents(2 * l + 1, i) : 0;
    return {exponents(2 * l, i) + deltas + layer.scale_exponent, deltas + layer.shift_exponent};
}

/// A row is counted in units of its largest term, so that sums in float32 neither overflow nor lose that term; what vanishes beside it
/// is far below the root of its diagonal entry. Rows 2 l and 2 l + 1 of `exponents` are those of the samples and deltas of layer l.
__global__ void row_factors_kernel(const __grid_constant__ GramLayers layers, DeviceMatrix<const int> exponents,
                                   DeviceMatrix<float2> factors, int* units) {
    for_each_entry(1, factors.cols, [&](Index, Index i) {
        const bool padding = i >= exponents.cols;
        int unit = 4 * zero_row_exponent;
        for (int l = 0; l < layers.count && !padding; ++l) {
            const TermExponents terms = term_exponents(layers, exponents, l, i);
            unit = max(unit, max(terms.samples, terms.deltas));
        }
        for (int l = 0; l < layers.count; ++l) {
            const TermExponents terms = padding ? TermExponents{unit, unit} : term_exponents(layers, exponents, l, i);
            factors(l, i) = {ldexpf(1, terms.samples - unit), ldexpf(1, terms.deltas - unit)};
        }
        units[i] = unit;
    });
}

/// x = mantissa 4^exponent, 1/2 <= |mantissa| < 2; 0 as one that vanishes beside any other.
void split(double x, float& mantissa, int& exponent) {
    int twos = zero_row_exponent;
    mantissa = static_cast<float>(std::frexp(x, &twos));
    if (x == 0) twos = 2 * zero_row_exponent;
    exponent = twos >> 1;
    if (twos & 1) mantissa *= 2;
}

/// The rows of the operands on one side of theta.
class Side {
public:
    Side(Context& context, Index rows) : context_(context), rows_(rows), exponents_(context), factors_(context), units_(context) {
        exponents_.reserve(2 * most_gram_layers * rows * sizeof(int));
        factors_.reserve(most_gram_layers * padded_rows(rows) * sizeof(float2));
        units_.reserve(padded_rows(rows) * sizeof(int));
    }

    /// Operand number `which`: 2 l for samples, 2 l + 1 for deltas.
    template <class Real>
    const __half* add(ConstMatrixView<Real> x, Index which) {
        panels_.emplace_back(context_, bytes(x.cols()));
        round_to_panels(context_, x, panels_.back().template as<__half>(), exponents_.as<int>() + which * rows_);
        return panels_.back().template as<__half>();
    }
    [[nodiscard]] Index bytes(Index cols) const {
        return panel_count(cols) * padded_rows(rows_) * panel_cols * static_cast<Index>(sizeof(__half));
    }

    GramSide factors(const GramLayers& layers) {
        const MatrixView<float2> factors(factors_.as<float2>(), layers.count, padded_rows(rows_));
        context_.launch("row_factors", entries_shape(1, factors.cols()), row_factors_kernel, layers,
                        ConstMatrixView<int>(exponents_.as<int>(), 2 * layers.count, rows_), factors, units_.as<int>());
        return {factors, units_.as<int>()};
    }
    void clear() { panels_.clear(); }

private:
    Context& context_;
    Index rows_;
    std::deque<Buffer> panels_;
    Buffer exponents_, factors_, units_;
};

template <class Real>
class FusedGramSum final : public LayerGramSum<Real> {
public:
    FusedGramSum(std::shared_ptr<Backend<Real>> backend, Context& context, Index bytes, MatrixView<Real> theta, Triangle triangle,
                 std::unique_ptr<LayerGramSum<Real>> library)
        : backend_(std::move(backend)),
          context_(context),
          most_bytes_(bytes),
          theta_(theta),
          lower_(triangle == Triangle::lower),
          library_(std::move(library)) {}

    void add(ConstMatrixView<Real> a1, ConstMatrixView<Real> a2, ConstMatrixView<Real> d1, ConstMatrixView<Real> d2, double scale,
             double shift) override {
        if (theta_.empty()) return;
        if (theta_.rows() != a1.rows()) return library_->add(a1, a2, d1, d2, scale, shift);
        context_.make_current();
        make_sides();
        const Index layer_bytes = bytes(a1.cols()) + (d1.empty() ? 0 : bytes(d1.cols()));
        if (layers_.count == most_gram_layers || (layers_.count > 0 && bytes_ + layer_bytes > most_bytes_)) add_to_theta();
        GramLayer layer{};
        split(scale, layer.scale, layer.scale_exponent);
        split(shift, layer.shift, layer.shift_exponent);
        keep(a1, a2, 2 * layers_.count, layer.a1, layer.a2, layer.a_panels);
        if (!d1.empty()) keep(d1, d2, 2 * layers_.count + 1, layer.d1, layer.d2, layer.d_panels);
        layers_.layer[layers_.count++] = layer;
        bytes_ += layer_bytes;
    }

    void finish() override {
        context_.make_current();
        add_to_theta();
        library_->finish();
    }

private:
    void make_sides() {
        if (rows_) return;
        if (!lower_) cols_ = std::make_unique<Side>(context_, theta_.cols());
        rows_ = std::make_unique<Side>(context_, theta_.rows());
    }

    [[nodiscard]] Index bytes(Index cols) const { return rows_->bytes(cols) + (lower_ ? 0 : cols_->bytes(cols)); }

    void keep(ConstMatrixView<Real> x1, ConstMatrixView<Real> x2, Index which, const __half*& rows, const __half*& cols, int& panels) {
        rows = rows_->add(x1, which);
        cols = lower_ ? rows : cols_->add(x2, which);
        panels = static_cast<int>(panel_count(x1.cols()));
    }

    void add_to_theta() {
        if (layers_.count == 0) return;
        const GramSide rows = rows_->factors(layers_), cols = lower_ ? rows : cols_->factors(layers_);
        fused_gram(context_, layers_, rows, cols, theta_, lower_);
        rows_->clear();
        if (!lower_) cols_->clear();
        layers_.count = 0;
        bytes_ = 0;
    }

    std::shared_ptr<Backend<Real>> backend_;  // owns the context
    Context& context_;
    Index most_bytes_, bytes_ = 0;
    MatrixView<Real> theta_;
    bool lower_;
    std::unique_ptr<LayerGramSum<Real>> library_;
    std::unique_ptr<Side> rows_, cols_;  ///< of theta; the columns are the rows of a triangle
    GramLayers layers_;
};

}  // namespace

bool has_fused_gram(int device) {
    return device_attribute(cudaDevAttrComputeCapabilityMajor, device) == 9 &&
           device_attribute(cudaDevAttrComputeCapabilityMinor, device) == 0;
}

template <class Real>
std::unique_ptr<LayerGramSum<Real>> make_fused_gram_sum(std::shared_ptr<Backend<Real>> backend, Context& context, Index bytes,
                                                        MatrixView<Real> theta, Triangle triangle,
                                                        std::unique_ptr<LayerGramSum<Real>> library) {
    return std::make_unique<FusedGramSum<Real>>(std::move(backend), context, bytes, theta, triangle, std::move(library));
}

#define NTKCUDA_INSTANTIATE(Real)                                                                                                       \
    template std::unique_ptr<LayerGramSum<Real>> make_fused_gram_sum(std::shared_ptr<Backend<Real>>, Context&, Index, MatrixView<Real>, \
                                                                     Triangle, std::unique_ptr<LayerGramSum<Real>>)
NTKCUDA_INSTANTIATE(float);
NTKCUDA_INSTANTIATE(double);
#undef NTKCUDA_INSTANTIATE

}  // namespace ntk::cuda

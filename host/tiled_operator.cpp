#include <ntkcuda/kernel_operator.hpp>

#include "rank_sum.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace ntk {
namespace {

/// Sides of tiles are multiples of this where they are larger.
constexpr Index tile_step = 384;

template <class Real>
class TiledOperator final : public KernelOperator<Real> {
public:
    TiledOperator(std::shared_ptr<Backend<Real>> backend, ConstMatrixView<Real> samples, KernelTiles<Real> tiles, const OperatorPlan& plan,
                  Ranks& ranks)
        : KernelOperator<Real>(std::move(backend), samples, tiles.rows_per_sample, ranks), tiles_(std::move(tiles)), side_(plan.batch) {
        Index dealt = 0;
        for (Index row = 0; row < samples.rows(); row += side_)
            for (Index col = 0; col <= row; col += side_)
                if (dealt++ % ranks.size() == ranks.rank()) mine_.push_back({row, col});
        for (std::size_t t = 0; t < mine_.size() && static_cast<Index>(t) < plan.kept; ++t) kept_.push_back(tile(mine_[t]));
    }

    void apply(ConstMatrixView<Real> v, MatrixView<Real> out) override {
        this->require_rows(v);
        const Index r = this->rows_per_sample();
        if (this->ranks().size() == 1) return multiply(v, out);
        const Matrix<Real> all = everywhere(v);
        Matrix<Real> product(this->backend(), this->all_rows(), v.cols());
        multiply(all.view(), product.view());
        sum_over_ranks(this->ranks(), product);
        this->backend()->copy(std::as_const(product).view().row_range(this->share().first * r, this->rows()), out);
    }

    [[nodiscard]] Matrix<Real> cross(ConstMatrixView<Real> x, ConstMatrixView<Real> v) override {
        this->require_rows(v);
        const Index r = this->rows_per_sample();
        Matrix<Real> out(this->backend(), x.rows() * r, v.cols());
        this->backend()->fill(out.view(), 0);
        const ConstMatrixView<Real> own = this->own_samples();
        for (Index row = 0; row < x.rows(); row += side_)
            for (Index col = 0; col < own.rows(); col += side_) {
                const ConstMatrixView<Real> left = part(x, row), right = part(own, col);
                const Matrix<Real> entries = tiles_.cross(left, right);
                this->backend()->gemm(Transpose::no, Transpose::no, 1, entries.view(), v.row_range(col * r, right.rows() * r), 1,
                                      out.view().row_range(row * r, left.rows() * r));
            }
        sum_over_ranks(this->ranks(), out);
        return out;
    }

    [[nodiscard]] Matrix<Real> diagonal() override { return tiles_.diagonal(this->own_samples()); }

    [[nodiscard]] Matrix<Real> columns(const std::vector<Index>& samples) override {
        const Index r = this->rows_per_sample();
        const Matrix<Real> x = this->gathered(samples);
        Matrix<Real> out(this->backend(), this->rows(), x.rows() * r);
        const ConstMatrixView<Real> own = this->own_samples();
        for (Index row = 0; row < own.rows(); row += side_) {
            const ConstMatrixView<Real> some = part(own, row);
            const Matrix<Real> entries = tiles_.cross(some, x.view());
            this->backend()->copy(entries.view(), out.view().row_range(row * r, some.rows() * r));
        }
        return out;
    }

private:
    struct Place {
        Index row, col;
    };

    [[nodiscard]] ConstMatrixView<Real> part(ConstMatrixView<Real> x, Index first) const {
        return x.row_range(first, std::min(side_, x.rows() - first));
    }
    [[nodiscard]] Matrix<Real> tile(const Place& at) const {
        const ConstMatrixView<Real> left = part(this->all_samples(), at.row);
        return at.row == at.col ? tiles_.symmetric(left) : tiles_.cross(left, part(this->all_samples(), at.col));
    }

    /// The rows of all ranks.
    [[nodiscard]] Matrix<Real> everywhere(ConstMatrixView<Real> v) const {
        Matrix<Real> all(this->backend(), this->all_rows(), v.cols());
        this->backend()->fill(all.view(), 0);
        this->backend()->copy(v, all.view().row_range(this->share().first * this->rows_per_sample(), v.rows()));
        sum_over_ranks(this->ranks(), all);
        return all;
    }

    /// out = the tiles of this rank times v, both of all rows.
    void multiply(ConstMatrixView<Real> v, MatrixView<Real> out) const {
        this->backend()->fill(out, 0);
        for (std::size_t t = 0; t < mine_.size(); ++t) {
            if (t < kept_.size())
                multiply(mine_[t], kept_[t].view(), v, out);
            else
                multiply(mine_[t], ConstMatrixView<Real>(tile(mine_[t])), v, out);
        }
    }
    void multiply(const Place& at, ConstMatrixView<Real> entries, ConstMatrixView<Real> v, MatrixView<Real> out) const {
        const Index r = this->rows_per_sample(), row = at.row * r, col = at.col * r;
        this->backend()->gemm(Transpose::no, Transpose::no, 1, entries, v.row_range(col, entries.cols()), 1,
                              out.row_range(row, entries.rows()));
        if (row != col)
            this->backend()->gemm(Transpose::yes, Transpose::no, 1, entries, v.row_range(row, entries.rows()), 1,
                                  out.row_range(col, entries.cols()));
    }

    KernelTiles<Real> tiles_;
    Index side_;
    std::vector<Place> mine_;
    std::vector<Matrix<Real>> kept_;
};

}  // namespace

template <class Real>
OperatorPlan plan_tiled_operator(const KernelTiles<Real>& tiles, Index samples, Index columns, const OperatorOptions& options, int ranks) {
    const auto n = static_cast<double>(samples * tiles.rows_per_sample), m = static_cast<double>(std::max<Index>(1, columns));
    const auto r = static_cast<double>(tiles.rows_per_sample);
    const auto entries = [&](Index side) { return static_cast<double>(side) * static_cast<double>(side) * r * r * sizeof(Real); };
    const double vectors = ranks > 1 ? 2 * n * m * sizeof(Real) : 0;
    const auto bytes = [&](Index side) { return vectors + entries(side) + tiles.workspace(side, side); };
    OperatorPlan plan;
    const Index most = std::min(options.most_batch, samples);
    plan.batch = std::min(minimal_batch, most);
    for (Index side = minimal_batch; side <= most; side += side < tile_step ? minimal_batch : tile_step)
        if (bytes(side) <= options.memory / 2) plan.batch = side;
    if (bytes(most) <= options.memory / 2) plan.batch = most;
    plan.batch = std::max<Index>(1, plan.batch);
    const Index across = (samples + plan.batch - 1) / plan.batch, all = (across * (across + 1) / 2 + ranks - 1) / ranks;
    plan.kept = std::clamp<Index>(
        static_cast<Index>(std::max(0.0, options.memory - bytes(plan.batch)) / std::max(1.0, entries(plan.batch))), 0, all);
    plan.bytes = bytes(plan.batch) + static_cast<double>(plan.kept) * entries(plan.batch);
    plan.product_flops = 2 * n * n * m / ranks;
    plan.gradient_numbers = ranks > 1 ? 2 * n * m : 0;
    return plan;
}

template <class Real>
std::unique_ptr<KernelOperator<Real>> tiled_operator(std::shared_ptr<Backend<Real>> backend, InputView<Real> samples,
                                                     KernelTiles<Real> tiles, const OperatorOptions& options, Ranks& ranks) {
    const OperatorPlan plan = plan_tiled_operator(tiles, samples.rows(), 1, options, ranks.size());
    return std::make_unique<TiledOperator<Real>>(std::move(backend), samples, std::move(tiles), plan, ranks);
}

template OperatorPlan plan_tiled_operator(const KernelTiles<float>&, Index, Index, const OperatorOptions&, int);
template OperatorPlan plan_tiled_operator(const KernelTiles<double>&, Index, Index, const OperatorOptions&, int);
template std::unique_ptr<KernelOperator<float>> tiled_operator(std::shared_ptr<Backend<float>>, ConstMatrixView<float>, KernelTiles<float>,
                                                               const OperatorOptions&, Ranks&);
template std::unique_ptr<KernelOperator<double>> tiled_operator(std::shared_ptr<Backend<double>>, ConstMatrixView<double>,
                                                                KernelTiles<double>, const OperatorOptions&, Ranks&);

}  // namespace ntk

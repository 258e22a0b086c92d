#include "host_backend.hpp"
#include "pair_loops.hpp"
#include "pair_tiles.hpp"

#include <algorithm>

namespace ntk {
namespace {

/// Layers in one pass over the pairs: tables of more would leave the second cache.
constexpr Index layers_at_once = 16;
/// Samples that one thread takes at a time.
constexpr Index samples_at_once = 64;

/// The samples of one side: their states, and what they bring to the layers of a pass.
class Side {
public:
    Side(const PairProblem& problem, Index count)
        : count_(count),
          factors_(PairLoops::factors(problem)),
          states_(static_cast<std::size_t>(SampleStates::components * count)),
          table_(static_cast<std::size_t>(layers_at_once * factors_ * count)) {}

    [[nodiscard]] Index count() const { return count_; }
    [[nodiscard]] SampleStates states() { return {count_, states_.data()}; }
    /// The table from sample `first` on.
    [[nodiscard]] FactorTable table(Index first) { return {table_.data() + first, count_}; }

    /// visit(first, last) for pieces of the samples, in parallel.
    template <class Visit>
    void for_each_piece(int threads, const Visit& visit) {
#pragma omp parallel for num_threads(threads) schedule(static) if (count_ > samples_at_once)
        for (Index first = 0; first < count_; first += samples_at_once) visit(first, std::min(count_, first + samples_at_once));
    }

private:
    Index count_, factors_;
    std::vector<double> states_, table_;
};

template <class Real>
class HostPairRecursion final : public PairRecursion<Real> {
public:
    HostPairRecursion(int threads, const PairRecursionOptions& options, ConstMatrixView<Real> x1, ConstMatrixView<Real> x2,
                      Triangle triangle)
        : threads_(threads), problem_(options), loops_(pair_loop_variants().back()), lower_(triangle == Triangle::lower) {
        const ScaledRows rows(x1, threads), cols(x2, threads);
        check_rows(rows, x1.rows());
        check_rows(cols, x2.rows());
        sides_.emplace_back(problem_, x1.rows());
        if (!lower_) sides_.emplace_back(problem_, x2.rows());
        Index size = 0;
        for (const Tile& t : product_tiles(x1.rows(), x2.rows(), triangle)) {
            tiles_.push_back({t, size});
            size += formulas::NormalizedPair::count * t.rows * t.cols;
        }
        pairs_ = Matrix<double>(std::make_shared<HostBackend<double>>(threads), 1, size);

        const auto start = [&](Side& side, const ScaledRows& scaled) {
            side.for_each_piece(threads_, [&](Index first, Index last) {
                double mean_square[samples_at_once];
                for (Index j = first; j < last; ++j) mean_square[j - first] = scaled.mean_square(j);
                loops_.first_samples(problem_, mean_square, first, last, side.states(), side.table(0));
            });
        };
        start(row_side(), rows);
        if (!lower_) start(col_side(), cols);
        for_each_product_tile(threads, rows, x1, cols, x2, triangle, [this](Index) {
            return [this](std::size_t k, const Tile& t, const LimitSamples& left, const LimitSamples& right, bool, const double* products) {
                loops_.first_pairs(problem_, left, right, products, row_side().table(t.row), col_side().table(t.col), state(tiles_[k]));
            };
        });
    }

    Index depth() const override { return depth_; }

    void advance(Index depth) override {
        PairProblem::check_depth(depth_, depth);
        while (depth_ < depth) {
            const Index layers = std::min(layers_at_once, depth - depth_);
            for (Side& side : sides_)
                side.for_each_piece(threads_, [&](Index first, Index last) {
                    loops_.next_samples(problem_, layers, first, last, side.states(), side.table(0));
                });
            for_each_tile([&](const StoredTile& stored) {
                loops_.next_pairs(problem_, layers, row_side().table(stored.tile.row), col_side().table(stored.tile.col), state(stored));
            });
            depth_ += layers;
        }
    }

    void correlation(MatrixView<Real> out) override {
        read(out, 1, [](const formulas::NormalizedPair& pair) { return correlation_of(pair).rho; });
    }
    void correlation_below_one(MatrixView<Real> out) override {
        read(out, 0, [](const formulas::NormalizedPair& pair) { return correlation_of(pair).below_one; });
    }
    void tangent(MatrixView<Real> out) override {
        read(out, 1, [](const formulas::NormalizedPair& pair) { return tangent_of(pair).value; });
    }
    void tangent_below_one(MatrixView<Real> out) override {
        read(out, 0, [](const formulas::NormalizedPair& pair) { return tangent_of(pair).below_one; });
    }

private:
    struct StoredTile {
        Tile tile;
        Index offset;  ///< of its state in pairs_
    };

    void check_rows(const ScaledRows& rows, Index count) const {
        for (Index i = 0; i < count; ++i) problem_.check_row(i, rows.squared_norm(i), rows.mean_square(i));
    }
    Side& row_side() { return sides_.front(); }
    Side& col_side() { return sides_.back(); }
    PairTileState state(const StoredTile& stored) {
        const Tile& t = stored.tile;
        return {t.rows, t.cols, lower_ && t.row == t.col, pairs_.view().data() + stored.offset};
    }

    template <class Visit>
    void for_each_tile(const Visit& visit) {
#pragma omp parallel for num_threads(threads_) schedule(dynamic) if (tiles_.size() > 1)
        for (const StoredTile& stored : tiles_) visit(stored);
    }

    template <class Value>
    void read(MatrixView<Real> out, Real diagonal, const Value& value) {
        for_each_tile([&](const StoredTile& stored) {
            const PairTileState from = state(stored);
            for (Index i = 0; i < from.rows; ++i) {
                Real* to = row_of(out, stored.tile.row + i) + stored.tile.col;
                for (Index j = 0; j < (from.lower ? i : from.cols); ++j)
                    to[j] =
                        static_cast<Real>(value(formulas::NormalizedPair::load(from.values + i * from.cols + j, from.rows * from.cols)));
                if (from.lower) to[i] = diagonal;
            }
        });
    }

    int threads_;
    PairProblem problem_;
    PairLoops loops_;
    bool lower_;
    Index depth_ = 1;
    std::vector<Side> sides_;  ///< of rows and columns; one where they are the same
    std::vector<StoredTile> tiles_;
    Matrix<double> pairs_;
};

}  // namespace

template <class Real>
std::unique_ptr<PairRecursion<Real>> HostPairs<Real>::pair_recursion(const PairRecursionOptions& options, ConstMatrixView<Real> x1,
                                                                     ConstMatrixView<Real> x2, Triangle triangle) {
    return std::make_unique<HostPairRecursion<Real>>(this->threads(), options, x1, x2, triangle);
}

template class HostPairs<float>;
template class HostPairs<double>;

}  // namespace ntk

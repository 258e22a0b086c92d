// Kernel matrices over several tiles and into views with gaps. All numbers are small integers, so every order of work gives the same sums.

#include "cuda/cuda_backend.hpp"
#include "cuda/tile_walk.hpp"

#include <ntkcuda/infinite_width.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <tuple>

namespace ntk {
namespace {

template <class Real>
HostMatrix<Real> integers(Index rows, Index cols, int seed) {
    HostMatrix<Real> x(rows, cols);
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < cols; ++j) x(i, j) = static_cast<Real>((i * 7 + j * 3 + i * j + seed) % 9 - 4);
    return x;
}

template <class Real>
Real row_product(const HostMatrix<Real>& a, Index i, const HostMatrix<Real>& b, Index j) {
    Real sum = 0;
    for (Index k = 0; k < a.cols(); ++k) sum += a(i, k) * b(j, k);
    return sum;
}

/// A backend with tiles of 5 rows, and matrices on it.
template <class Real>
class Tiling : public ::testing::Test {
protected:
    Matrix<Real> on_device(const HostMatrix<Real>& host) {
        Matrix<Real> device(backend, host.rows(), host.cols());
        backend->upload(host.view(), device.view());
        backend->synchronize();
        return device;
    }
    /// theta starts as integers; the result must be theta + term(i, j), untouched above the diagonal if only the lower part is asked for.
    template <class Term>
    void expect_sum(const HostMatrix<Real>& before, const Matrix<Real>& after, Triangle triangle, Term term) {
        const HostMatrix<Real> result = download(after);
        for (Index i = 0; i < before.rows(); ++i)
            for (Index j = 0; j < before.cols(); ++j) {
                const bool untouched = triangle == Triangle::lower && j > i;
                ASSERT_EQ(result(i, j), before(i, j) + (untouched ? 0 : term(i, j))) << i << ", " << j;
            }
    }

    std::shared_ptr<Backend<Real>> backend = std::make_shared<cuda::CudaBackend<Real>>(0, cuda::Tiling{.gram = 5});
};

using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Tiling, Reals);

TYPED_TEST(Tiling, AccumulateGram) {
    using Real = TypeParam;
    for (const Index n : {1, 5, 12}) {
        const auto j = integers<Real>(n, 7, 1), before = integers<Real>(n, n, 2);
        for (const Triangle triangle : {Triangle::lower, Triangle::full}) {
            Matrix<Real> theta = this->on_device(before);
            const Matrix<Real> left = this->on_device(j);
            this->backend->accumulate_gram(theta.view(), left.view(), left.view(), 2, triangle);
            this->expect_sum(before, theta, triangle, [&](Index r, Index c) { return 2 * row_product(j, r, j, c); });
        }
    }
}

TYPED_TEST(Tiling, LayerGram) {
    using Real = TypeParam;
    constexpr Real scale = 2, shift = 3;
    for (const auto& [n1, n2, outputs] : {std::tuple{13, 11, 1}, std::tuple{7, 9, 3}, std::tuple{3, 2, 8}}) {
        const auto a1 = integers<Real>(n1, 6, 1), a2 = integers<Real>(n2, 6, 2);
        const auto d1 = integers<Real>(n1 * outputs, 4, 3), d2 = integers<Real>(n2 * outputs, 4, 4),
                   before = integers<Real>(n1 * outputs, n2 * outputs, 5);
        const auto term = [&, r = outputs](Index i, Index j) {
            return (scale * row_product(a1, i / r, a2, j / r) + shift) * row_product(d1, i, d2, j);
        };
        Matrix<Real> theta = this->on_device(before);
        this->backend->accumulate_layer_gram(theta.view(), this->on_device(a1).view(), this->on_device(a2).view(),
                                             this->on_device(d1).view(), this->on_device(d2).view(), scale, shift, Triangle::full);
        this->expect_sum(before, theta, Triangle::full, term);
    }
}

TYPED_TEST(Tiling, LowerLayerGram) {
    using Real = TypeParam;
    constexpr Real scale = 2, shift = 3;
    for (const auto& [n, outputs] : {std::pair{13, 1}, std::pair{7, 2}, std::pair{3, 7}}) {
        const auto a = integers<Real>(n, 6, 1), d = integers<Real>(n * outputs, 4, 3), before = integers<Real>(n * outputs, n * outputs, 5);
        const auto term = [&, r = outputs](Index i, Index j) {
            return (scale * row_product(a, i / r, a, j / r) + shift) * row_product(d, i, d, j);
        };
        Matrix<Real> theta = this->on_device(before);
        const Matrix<Real> samples = this->on_device(a), deltas = this->on_device(d);
        this->backend->accumulate_layer_gram(theta.view(), samples.view(), samples.view(), deltas.view(), deltas.view(), scale, shift,
                                             Triangle::lower);
        this->expect_sum(before, theta, Triangle::lower, term);
    }
}

/// The same with FP16 operands, of which these integers are some, and with the sum over two layers.
TYPED_TEST(Tiling, HalfGramSum) {
    using Real = TypeParam;
    constexpr Real scale = 2, shift = 3;
    for (const auto& [n, outputs] : {std::pair{13, 1}, std::pair{7, 2}, std::pair{3, 7}})
        for (const Triangle triangle : {Triangle::lower, Triangle::full}) {
            const auto a = integers<Real>(n, 6, 1), d = integers<Real>(n * outputs, 4, 3),
                       before = integers<Real>(n * outputs, n * outputs, 5);
            const auto term = [&, r = outputs](Index i, Index j) {
                const Real factor = scale * row_product(a, i / r, a, j / r) + shift;
                return factor * row_product(d, i, d, j) + (i % r == j % r ? factor : Real{0});
            };
            Matrix<Real> theta = this->on_device(before);
            const Matrix<Real> samples = this->on_device(a), deltas = this->on_device(d);
            const auto sum = this->backend->half_gram_sum(theta.view(), triangle);
            sum->add(samples.view(), samples.view(), {}, {}, scale, shift);
            sum->add(samples.view(), samples.view(), deltas.view(), deltas.view(), scale, shift);
            sum->finish();
            this->expect_sum(before, theta, triangle, term);
        }
}

/// By the fused kernel in runs of any number of layers.
TYPED_TEST(Tiling, FusedGramSum) {
    using Real = TypeParam;
    const auto a = integers<Real>(13, 6, 1), d = integers<Real>(13, 4, 3), before = integers<Real>(13, 13, 5);
    const auto term = [&](Index i, Index j) {
        const Real factor = 2 * row_product(a, i, a, j) + 3;
        return 2 * factor * row_product(d, i, d, j) + factor;
    };
    const Index layer_bytes = 2 * 128 * 128;  // of two panels
    for (const Index bytes : {Index{1}, 2 * layer_bytes, Index{1} << 30})
        for (const Triangle triangle : {Triangle::lower, Triangle::full}) {
            this->backend = std::make_shared<cuda::CudaBackend<Real>>(0, cuda::Tiling{.fused_gram = true, .fused_gram_bytes = bytes});
            Matrix<Real> theta = this->on_device(before);
            const Matrix<Real> samples = this->on_device(a), deltas = this->on_device(d);
            const auto sum = this->backend->half_gram_sum(theta.view(), triangle);
            sum->add(samples.view(), samples.view(), {}, {}, 2, 3);
            for (int layer = 0; layer < 2; ++layer) sum->add(samples.view(), samples.view(), deltas.view(), deltas.view(), 2, 3);
            sum->finish();
            this->expect_sum(before, theta, triangle, term);
        }
}

TEST(TileWalk, TakesEachTileOnce) {
    for (const int rows : {1, 2, 11, 12, 13, 24, 37})
        for (const int cols : {rows, 1, 12, 40})
            for (const bool lower : {false, true}) {
                if (lower && cols != rows) continue;
                const cuda::TileWalk walk{rows, cols, lower};
                std::set<std::pair<int, int>> taken;
                for (int step = 0; step < walk.count(); ++step) {
                    const auto [row, col] = walk.at(step);
                    EXPECT_TRUE(row >= 0 && row < rows && col >= 0 && col < cols && !(lower && col > row)) << row << ", " << col;
                    EXPECT_TRUE(taken.emplace(row, col).second) << row << ", " << col;
                }
                EXPECT_EQ(taken.size(), static_cast<std::size_t>(lower ? rows * (rows + 1) / 2 : rows * cols));
            }
}

TYPED_TEST(Tiling, OutputLayerGram) {
    using Real = TypeParam;
    constexpr Real scale = 2, shift = 3;
    for (const auto& [n, outputs] : {std::pair{13, 1}, std::pair{7, 2}, std::pair{3, 7}})
        for (const Triangle triangle : {Triangle::lower, Triangle::full}) {
            const auto a = integers<Real>(n, 6, 1), before = integers<Real>(n * outputs, n * outputs, 5);
            const auto term = [&, r = outputs](Index i, Index j) {
                return i % r == j % r ? scale * row_product(a, i / r, a, j / r) + shift : Real{0};
            };
            Matrix<Real> theta = this->on_device(before);
            const Matrix<Real> samples = this->on_device(a);
            this->backend->accumulate_layer_gram(theta.view(), samples.view(), samples.view(), {}, {}, scale, shift, triangle);
            this->expect_sum(before, theta, triangle, term);
        }
}

/// Over several tiles and several passes over the layers; the products of a tile are rounded differently in tiles of another shape.
TYPED_TEST(Tiling, InfiniteWidth) {
    using Real = TypeParam;
    Architecture architecture;
    architecture.inputs = 6;
    architecture.hidden = {5, 5, 5, 5, 5, 5};
    architecture.biases = Biases::trained;
    architecture.bias_std = 0.5;
    const HostMatrix<Real> x1 = integers<Real>(11, 6, 1), x2 = integers<Real>(7, 6, 2);
    for (const Activation::Kind kind : {Activation::Kind::leaky_relu, Activation::Kind::erf}) {
        architecture.activation.kind = kind;
        const auto kernel = [&](const cuda::Tiling& tiling, bool symmetric) {
            this->backend = std::make_shared<cuda::CudaBackend<Real>>(0, tiling);
            const Matrix<Real> rows = this->on_device(x1), cols = this->on_device(x2);
            return download(symmetric ? infinite_width_kernel(architecture, InfiniteKernel::ntk, rows)
                                      : infinite_width_kernel(architecture, InfiniteKernel::ntk, rows, cols));
        };
        for (const bool symmetric : {true, false}) {
            const auto whole = kernel({}, symmetric), tiles = kernel({.limit = 4}, symmetric),
                       passes = kernel({.limit = 4, .limit_layers = 3}, symmetric);
            for (Index e = 0; e < whole.size(); ++e) {
                EXPECT_EQ(passes.data()[e], tiles.data()[e]);
                EXPECT_NEAR(tiles.data()[e], whole.data()[e], 8 * std::numeric_limits<Real>::epsilon() * whole(0, 0));
            }
        }
    }
}

/// The state of the pairs lies in tiles, and goes through some layers at a time.
TYPED_TEST(Tiling, PairRecursion) {
    using Real = TypeParam;
    const HostMatrix<Real> x1 = integers<Real>(11, 6, 1), x2 = integers<Real>(7, 6, 2);
    for (const Activation::Kind kind : {Activation::Kind::leaky_relu, Activation::Kind::erf}) {
        const auto kernel = [&](const cuda::Tiling& tiling, Triangle triangle) {
            this->backend = std::make_shared<cuda::CudaBackend<Real>>(0, tiling);
            const Matrix<Real> rows = this->on_device(x1), cols = this->on_device(triangle == Triangle::lower ? x1 : x2);
            const auto pairs = this->backend->pair_recursion({Activation{kind, 0}, 1.3, 0.5, true}, rows.view(),
                                                             triangle == Triangle::lower ? rows.view() : cols.view(), triangle);
            pairs->advance(9);
            Matrix<Real> out(this->backend, rows.rows(), cols.rows());
            this->backend->fill(out.view(), 0);
            pairs->tangent_below_one(out.view());
            return download(out);
        };
        for (const Triangle triangle : {Triangle::lower, Triangle::full}) {
            const auto whole = kernel({}, triangle), tiles = kernel({.limit = 4}, triangle),
                       passes = kernel({.limit = 4, .limit_layers = 3}, triangle);
            for (Index e = 0; e < whole.size(); ++e) {
                EXPECT_EQ(passes.data()[e], tiles.data()[e]);
                EXPECT_NEAR(tiles.data()[e], whole.data()[e], 32 * std::numeric_limits<Real>::epsilon() * whole.data()[e]);
            }
        }
    }
}

/// A second, smaller layer after a large one uses the same work space.
TYPED_TEST(Tiling, WorkSpaceIsKept) {
    using Real = TypeParam;
    const auto a = integers<Real>(12, 6, 1), d = integers<Real>(12, 4, 3);
    const Matrix<Real> samples = this->on_device(a), deltas = this->on_device(d);
    Matrix<Real> theta = this->on_device(HostMatrix<Real>(12, 12));
    const auto accumulate = [&](Index count) {
        this->backend->accumulate_layer_gram(MatrixView<Real>(theta.view().data(), count, count, 12), samples.view().row_range(0, count),
                                             samples.view().row_range(0, count), deltas.view().row_range(0, count),
                                             deltas.view().row_range(0, count), 1, 0, Triangle::lower);
    };
    accumulate(12);
    this->backend->synchronize();
    const std::size_t objects = emulated::live_objects();
    accumulate(3);
    accumulate(12);
    this->backend->synchronize();
    EXPECT_EQ(emulated::live_objects(), objects);
}

TYPED_TEST(Tiling, ViewsWithGaps) {
    using Real = TypeParam;
    const auto whole = integers<Real>(6, 8, 1);
    Matrix<Real> device = this->on_device(whole), copied = this->on_device(HostMatrix<Real>(6, 5));
    const MatrixView<Real> part(device.view().data() + 2, 6, 5, 8);
    this->backend->copy(part, copied.view());
    this->backend->scale(3, part);
    const auto result = download(device), copy = download(copied);
    for (Index i = 0; i < 6; ++i)
        for (Index j = 0; j < 8; ++j) {
            const bool inside = j >= 2 && j < 7;
            EXPECT_EQ(result(i, j), whole(i, j) * (inside ? 3 : 1));
            if (inside) {
                EXPECT_EQ(copy(i, j - 2), whole(i, j));
            }
        }
}

}  // namespace
}  // namespace ntk

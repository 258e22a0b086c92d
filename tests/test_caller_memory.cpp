// Matrices of the caller's memory: views with strides as inputs and outputs, borrowed matrices, direct copies to a device and back.

#include <ntkcuda/closed_form.hpp>
#include <ntkcuda/gram.hpp>
#include <ntkcuda/infinite_width.hpp>

#include "support/tolerance.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace ntk {
namespace {

constexpr double untouched = -77;

/// n x d normals as rows of a table with more columns, the others of a value that nothing may read or write.
struct Table {
    Index rows, cols, stride;
    std::vector<double> values;

    Table(Index n, Index d, Index step) : rows(n), cols(d), stride(step), values(static_cast<std::size_t>(n * step), untouched) {}
    static Table of_normals(Index n, Index d, Index step) {
        Table table(n, d, step);
        const HostMatrix<double> normals = host_normals({.seed = 3}, n, d);
        for (Index i = 0; i < n; ++i)
            for (Index j = 0; j < d; ++j) table(i, j) = normals(i, j);
        return table;
    }
    double& operator()(Index i, Index j) { return values[static_cast<std::size_t>(i * stride + j)]; }
    [[nodiscard]] MatrixView<double> view() { return ntk::view(values, rows, cols, stride); }
    [[nodiscard]] HostMatrix<double> dense() {
        HostMatrix<double> result(rows, cols);
        for (Index i = 0; i < rows; ++i)
            for (Index j = 0; j < cols; ++j) result(i, j) = (*this)(i, j);
        return result;
    }
    [[nodiscard]] bool surroundings_untouched() {
        for (Index i = 0; i < rows; ++i)
            for (Index j = cols; j < stride; ++j)
                if ((*this)(i, j) != untouched) return false;
        return true;
    }
};

std::vector<double> values_of(const HostMatrix<double>& x) { return {x.data(), x.data() + x.size()}; }

const Architecture network_shape{.inputs = 5, .hidden = {16, 8}, .outputs = 2};

TEST(CallerMemory, AViewIsTheMemoryItselfAndConstWhereThatIs) {
    std::vector<double> values(12);
    const std::array<float, 6> constant{};
    EXPECT_EQ(view(values, 3, 4).data(), values.data());
    EXPECT_EQ(view(std::span(values), 3, 2, 4).stride(), 4);
    static_assert(std::is_same_v<decltype(view(values, 3, 4)), MatrixView<double>>);
    static_assert(std::is_same_v<decltype(view(constant, 2, 3)), ConstMatrixView<float>>);
    static_assert(std::is_same_v<decltype(view(std::span<const double>(), 0, 0)), ConstMatrixView<double>>);
}

TEST(CallerMemory, AViewBeyondTheValuesIsRefused) {
    std::vector<double> values(11);
    EXPECT_NO_THROW((void)view(values, 3, 3, 4));  // the last row needs no rest
    EXPECT_THROW((void)view(values, 3, 4), Error);
    EXPECT_THROW((void)view(values, 2, 4, 3), Error);
    EXPECT_THROW((void)view(values, -1, 4), Error);
    EXPECT_THROW((void)view(values, Index{1} << 62, 4), Error);
    EXPECT_NO_THROW((void)view(values, 0, 0));
    EXPECT_NO_THROW((void)view(values, 5, 0));
}

TEST(CallerMemory, KernelsOfStridedRowsIntoStridedRowsAreThoseOfMatrices) {
    const auto backend = make_backend<double>("cpu");
    Table x = Table::of_normals(9, 5, 8), z = Table::of_normals(4, 5, 6);
    const Matrix<double> packed = upload(backend, x.dense()), packed_z = upload(backend, z.dense());
    const auto network = draw_network(backend, network_shape, 1);

    Table theta(9, 9, 11), cross(4, 9, 10), full(18, 18, 20);
    empirical_ntk_into(theta.view(), network, x.view());
    empirical_ntk_into(cross.view(), network, z.view(), x.view());
    empirical_ntk_into(full.view(), network, x.view(), {.block = Block::full});
    EXPECT_EQ(values_of(theta.dense()), values_of(download(empirical_ntk(network, packed))));
    EXPECT_EQ(values_of(cross.dense()), values_of(download(empirical_ntk(network, packed_z, packed))));
    EXPECT_EQ(values_of(full.dense()), values_of(download(empirical_ntk(network, packed, {.block = Block::full}))));
    EXPECT_TRUE(theta.surroundings_untouched() && cross.surroundings_untouched() && full.surroundings_untouched());

    infinite_width_kernel_into(theta.view(), backend, network_shape, InfiniteKernel::ntk, x.view());
    infinite_width_kernel_into(cross.view(), backend, network_shape, InfiniteKernel::ntk, z.view(), x.view());
    EXPECT_EQ(values_of(theta.dense()), values_of(download(infinite_width_kernel(network_shape, InfiniteKernel::ntk, packed))));
    EXPECT_EQ(values_of(cross.dense()), values_of(download(infinite_width_kernel(network_shape, InfiniteKernel::ntk, packed_z, packed))));
    EXPECT_TRUE(theta.surroundings_untouched() && cross.surroundings_untouched() && x.surroundings_untouched());
}

TEST(CallerMemory, ABorrowedKernelIsSolvedInPlace) {
    const auto backend = make_backend<double>("cpu");
    Table x = Table::of_normals(9, 5, 8), y = Table::of_normals(9, 2, 3), theta(9, 9, 11);
    infinite_width_kernel_into(theta.view(), backend, network_shape, InfiniteKernel::ntk, x.view());
    const HostMatrix<double> kernel = theta.dense();
    const auto expected =
        download(KernelSystem<double>(upload(backend, kernel), 0.5).predict(upload(backend, kernel), upload(backend, y.dense())));

    const KernelSystem<double> system(Matrix<double>::borrow(backend, theta.view()), 0.5);
    EXPECT_EQ(values_of(download(system.predict(kernel.view(), y.view()))), values_of(expected));
    EXPECT_NE(values_of(theta.dense()), values_of(kernel));
    EXPECT_TRUE(theta.surroundings_untouched() && y.surroundings_untouched());
}

TEST(CallerMemory, ABorrowedMatrixGivesNothingBack) {
    const auto backend = make_backend<double>("cpu");
    std::array<double, 4> values{1, 2, 3, 4};
    {
        Matrix<double> borrowed = Matrix<double>::borrow(backend, view(values, 2, 2)), own(backend, 2, 2);
        std::swap(borrowed, own);  // each keeps to whom its memory belongs
        EXPECT_EQ(own.view().data(), values.data());
    }
    const Matrix<double> fresh(backend, 2, 2);
    EXPECT_NE(fresh.view().data(), values.data());
    EXPECT_THAT(values, ::testing::ElementsAre(1, 2, 3, 4));
}

TEST(CallerMemory, UploadAndDownloadKeepStrides) {
    const auto backend = make_backend<float>("auto");
    const std::vector<float> from{1, 2, -1, 3, 4, -1};
    std::vector<float> to(7, -5);
    download(upload(backend, view(from, 2, 2, 3)), view(to, 2, 2, 4));
    EXPECT_THAT(to, ::testing::ElementsAre(1, 2, -5, -5, 3, 4, -5));
    EXPECT_THROW(download(upload(backend, view(from, 2, 2, 3)), view(to, 2, 3)), Error);
}

TEST(CallerMemory, AKernelDoesNotGoIntoAnotherShape) {
    const auto backend = make_backend<double>("cpu");
    Table x = Table::of_normals(3, 5, 5), wrong(3, 2, 2);
    const auto network = draw_network(backend, network_shape, 1);
    EXPECT_THROW(empirical_ntk_into(wrong.view(), network, x.view()), Error);
    EXPECT_THROW(empirical_ntk_into(wrong.view(), network, x.view(), x.view()), Error);
    EXPECT_THROW(infinite_width_kernel_into(wrong.view(), backend, network_shape, InfiniteKernel::ntk, x.view()), Error);
    EXPECT_NO_THROW(empirical_ntk_into(wrong.view(), network, x.view(), {.block = Block::diag}));
}

}  // namespace
}  // namespace ntk

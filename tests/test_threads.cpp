// The rule of ntkcuda.hpp: threads with a backend each work at once and get the bits that they would get alone.

#include <ntkcuda/closed_form.hpp>
#include <ntkcuda/gram.hpp>
#include <ntkcuda/how_deep.hpp>
#include <ntkcuda/infinite_width.hpp>

#include <gtest/gtest.h>
#include <omp.h>

#include <thread>

extern "C" int openblas_get_num_threads();

namespace ntk {
namespace {

/// Everything that a thread may do: draw, pass, Gram matrices, the limit, factorisations above and below the size that threads share.
std::vector<double> work(int threads, std::uint64_t seed, Index samples) {
    const auto backend = make_backend<double>("cpu", threads);
    const Architecture shape{.inputs = 8, .hidden = {32, 32}};
    const Matrix<double> x = upload(backend, host_normals({.seed = seed}, samples, 8)),
                         y = upload(backend, host_normals({.seed = seed + 100}, samples, 1));
    Matrix<double> finite = empirical_ntk(draw_network(backend, shape, seed), x);
    Matrix<double> limit = infinite_width_kernel(shape, InfiniteKernel::ntk, x);
    const HostMatrix<double> theta = download(finite);
    const HostMatrix<double> weights = download(KernelSystem<double>(std::move(limit), 1e-3).solve(y));
    std::vector<double> values(theta.data(), theta.data() + theta.size());
    values.insert(values.end(), weights.data(), weights.data() + weights.size());
    const KernelFamily family;
    values.push_back(how_deep(std::span(&family, 1), 1, std::vector<long double>{0.5L}, 50).front().offdiag_mean);
    return values;
}

TEST(Threads, WithABackendEachGetTheBitsOfOneAlone) {
    constexpr int repeats = 2;
    const int openmp = omp_get_max_threads(), blas = openblas_get_num_threads();
    // One thread each; and several beside one, whose wishes for OpenBLAS differ.
    for (const auto& [first_threads, second_threads] : {std::pair{1, 1}, std::pair{2, 1}, std::pair{2, 2}}) {
        const auto first_alone = work(first_threads, 1, 300), second_alone = work(second_threads, 2, 40);
        std::vector<std::vector<double>> first(repeats), second(repeats);
        {
            const std::jthread other([&, second_threads = second_threads] {
                for (auto& result : second) result = work(second_threads, 2, 40);
            });
            for (auto& result : first) result = work(first_threads, 1, 300);
        }
        for (int i = 0; i < repeats; ++i) {
            EXPECT_TRUE(first[static_cast<std::size_t>(i)] == first_alone);
            EXPECT_TRUE(second[static_cast<std::size_t>(i)] == second_alone);
        }
    }
    EXPECT_EQ(omp_get_max_threads(), openmp);
    EXPECT_EQ(openblas_get_num_threads(), blas);
}

}  // namespace
}  // namespace ntk

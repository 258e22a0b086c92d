#pragma once

// The closed form on several ranks beside KernelSystem on this rank's CPU alone, wherever the parts of kernels lie.

#include "mpi/parts.hpp"
#include "support/devices.hpp"

#include <ntkcuda/closed_form.hpp>
#include <ntkcuda/mpi.hpp>

#include <limits>

namespace ntk::testing {

/// place(part of a kernel): as the system takes it, in memory of the host or of a device; make(layout, placed part, ridge): the system.
/// Solutions of a system of that condition agree to its multiple of the rounding.
template <class Place, class Make>
void expect_solves_as_one_rank(const MpiRanks& ranks, const Place& place, const Make& make) {
    const auto cpu = make_backend<double>("cpu", 1);
    for (const Index n : {1, 3, 37, 150}) {
        constexpr Index tests = 7, targets = 3;
        const HostMatrix<double> k = gram(n, 10), y = random_matrix(n, targets, 1), cross = random_matrix(tests, n, 2);
        HostMatrix<double> prior(tests, 1);
        for (Index i = 0; i < tests; ++i) prior(i, 0) = 100 * static_cast<double>(n);
        const KernelSystem<double> one(upload(cpu, k), 0.01);
        const DistributedLayout layout = kernel_layout(ranks.size(), n, 0, 1), cross_layout = kernel_layout(ranks.size(), tests, n, 1);
        const DistributedKernelSystem<double> all = make(layout, place(part_of(k, layout, ranks.rank())), 0.01);
        const double tolerance = static_cast<double>(n) * 4e-16 * one.report().condition;
        EXPECT_NEAR(all.report().condition, one.report().condition, 1e-9 * one.report().condition);
        EXPECT_NEAR(all.report().log_determinant, one.report().log_determinant, 1e-12 * static_cast<double>(n) * 10);
        expect_near(all.solve(y), download(one.solve(upload(cpu, y))), 10 * tolerance);
        const HostMatrix<double> mine = part_of(cross, cross_layout, ranks.rank());
        const HostMatrix<double> variance = download(one.posterior_variance(upload(cpu, cross), upload(cpu, prior)));
        expect_near(all.posterior_variance(cross_layout, place(mine), prior), variance, 100 * static_cast<double>(n) * tolerance);
        expect_near(all.posterior_variance(cross_layout, mine, prior), variance, 100 * static_cast<double>(n) * tolerance);
    }
}

template <class Place, class Make>
void expect_refuses_in_the_words_of_one_rank(const MpiRanks& ranks, const Place& place, const Make& make) {
    HostMatrix<double> k = gram(40, 10);
    k(33, 33) = -1;
    std::string words;
    try {
        (void)KernelSystem<double>(upload(make_backend<double>("cpu", 1), k), 0.5);
    } catch (const Error& e) {
        words = e.what();
    }
    ASSERT_NE(words, "");
    const DistributedLayout layout = kernel_layout(ranks.size(), 40, 0, 1);
    const auto solve = [&] { (void)make(layout, place(part_of(k, layout, ranks.rank())), 0.5); };
    expect_error(ErrorCode::not_positive_definite, words, solve);
    k(3, 3) = std::numeric_limits<double>::infinity();
    expect_error(ErrorCode::invalid_argument, "not finite", solve);
    expect_error(ErrorCode::shape_mismatch, "part of the kernel", [&] { (void)make(layout, place(HostMatrix<double>(41, 41)), 0.5); });
}

}  // namespace ntk::testing

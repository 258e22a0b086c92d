#pragma once

// What the tests of the operations of every backend have in common.

#include "devices.hpp"
#include "tolerance.hpp"

#include <ntkcuda/backend.hpp>

#include <gtest/gtest.h>

#include <cmath>

namespace ntk::testing {

/// One test for both precisions on every device (test_backend.cpp instantiates it).
class Conformance : public ::testing::TestWithParam<std::string> {};

#define CONFORMANCE_TEST(name)                                                                     \
    template <class Real>                                                                          \
    void check_##name(const std::shared_ptr<Backend<Real>>& backend);                              \
    TEST_P(Conformance, name##Float64) { check_##name<double>(make_backend<double>(GetParam())); } \
    TEST_P(Conformance, name##Float32) { check_##name<float>(make_backend<float>(GetParam())); }   \
    template <class Real>                                                                          \
    void check_##name(const std::shared_ptr<Backend<Real>>& backend)

inline constexpr Index sizes[] = {1, 31, 33, 257};
inline constexpr Index pads[] = {0, 3};

/// A sum and the sum of the magnitudes of its terms.
struct Sum {
    long double value = 0, magnitude = 0;
    void add(long double term) {
        value += term;
        magnitude += std::fabs(term);
    }
};

/// Each entry is its definition within the rounding error of a sum of `terms` products.
template <class Real, class Definition>
void expect_entries(const HostMatrix<Real>& got, Index terms, const Definition& definition) {
    for (Index i = 0; i < got.rows(); ++i)
        for (Index j = 0; j < got.cols(); ++j) {
            const Sum sum = definition(i, j);
            ASSERT_NEAR(static_cast<double>(got(i, j)), static_cast<double>(sum.value),
                        static_cast<double>(sum.magnitude) * tolerance<Real>(terms))
                << "at (" << i << ", " << j << ") of " << got.rows() << " x " << got.cols();
        }
}

inline Sum inner_product(const HostMatrix<double>& a, Index i, const HostMatrix<double>& b, Index j) {
    Sum sum;
    for (Index k = 0; k < a.cols(); ++k) sum.add(static_cast<long double>(a(i, k)) * b(j, k));
    return sum;
}

inline Sum single(long double value) { return {value, std::fabs(value)}; }

}  // namespace ntk::testing
